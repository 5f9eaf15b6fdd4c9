"""Reads an image file as a square of pixels."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, features

from natdeploy.errors import InputError
from natdeploy.io.image_content import describe_damage, drop_text, require_whole
from natdeploy.readers import IMAGE_BYTES, read_bytes

if TYPE_CHECKING:
    from natdeploy.supernet.data import Interpolation
    from natdeploy.supernet.images import Pixels

SUFFIXES = frozenset(
    {".apng", ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif"}
    | {".tiff", ".webp"}
    # Pillow reads it since version 11.3, where it was built with it.
    | ({".avif"} if "avif" in features.modules and features.check("avif") else set())
)
# Values of 16-bit images that become 0 and 255.
FULL_LEVELS = (0, 0xFFFF)
# Formats that can have 16-bit grey.
_WIDE_SUFFIXES = frozenset({".apng", ".pgm", ".png", ".pnm", ".tif", ".tiff"})
_LEVELS_IMAGES = 256
_CLIPPED = 0.001
_GROUND = 128
# Of images that are longer than so many times their short side, the middle is cut out before they are resized.
_SLIVER = 32
_ORIENTATION = 0x0112
# Errors that Pillow's readers raise on damaged files. UnidentifiedImageError is an OSError.
_DAMAGE = (OSError, ValueError, SyntaxError, LookupError, EOFError, TypeError, struct.error, zlib.error)

# Pillow warns of photographs of more than 89 megapixels and of damaged EXIF, with the path of its own file. Neither
# does harm, and what cannot be read is an error with the reason.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How an image becomes a square.

    Args:
        crop: Share of the short side that the centre crop keeps, after the short side is resized. None squeezes the
            whole image into the square.
        interpolation: Interpolation of the resizing.
        upright: Whether an image is turned as its camera noted. Published accuracies were measured without it.
    """

    crop: float | None = 1.0
    interpolation: Interpolation = "bilinear"
    upright: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SquareReader:
    """Reads images as `size x size x 3` uint8 pixels. An animation gives its first frame.

    Args:
        size: Height and width, in pixels.
        view: How an image becomes a square.
        levels: Values of 16-bit images that become 0 and 255; those beyond them are clipped.
    """

    size: int
    view: View = View()
    levels: tuple[int, int] = FULL_LEVELS

    def __call__(self, path: str) -> Pixels:
        """Read an image.

        Raises:
            InputError: The image cannot be read. The message states file and reason.
        """
        return self.decode(path, read_file(path))

    def decode(self, path: str, content: bytes) -> Pixels:
        """Return the pixels of an image whose file is read already.

        Raises:
            InputError: As for a call.
        """
        try:
            image = self._decode(content)
        except Image.DecompressionBombError as error:
            limit = f"{2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000} megapixels"
            msg = f"{path}: not a readable image: it has more than the {limit} that are read; make it smaller"
            raise InputError(msg) from error
        except _DAMAGE as error:
            msg = f"{path}: not a readable image: {describe_damage(error, content)}"
            raise InputError(msg) from error
        return np.asarray(_make_square(image, self.size, self.view))

    def _decode(self, content: bytes) -> Image.Image:
        require_whole(content)
        try:
            opened = Image.open(io.BytesIO(content))
        except ValueError:
            # Pillow refuses a PNG file with more than a megabyte of text or colour profile, which is not needed here.
            opened = Image.open(io.BytesIO(drop_text(content)))
        with opened as handle:
            return _to_rgb(_turn_upright(handle) if self.view.upright else handle, self.levels)


def read_file(path: str) -> bytes:
    """Return the content of an image file.

    Raises:
        InputError: The file cannot be read. The message states file and reason.
    """
    try:
        return read_bytes(Path(path), IMAGE_BYTES)
    except InputError as error:
        reason = error.message.removeprefix(f"{path}: ").removeprefix("cannot be read: ")
        msg = f"{path}: not a readable image: {reason}"
        raise InputError(msg) from error


def find_levels(paths: Sequence[str]) -> tuple[int, int]:
    """Return the values of 16-bit grey images that become black and white, from a sample of them.

    They are 0 and 65,535, unless the images use less than half of that: cameras and scanners often fill 10 to 14 bits.
    Then they are the values between which 99.8 % of the pixels lie. Images that cannot be read are passed over.
    """
    wide = [path for path in paths if Path(path).suffix.lower() in _WIDE_SUFFIXES]
    counts = np.zeros(1 << 16, dtype=np.int64)
    for path in wide[:: max(1, len(wide) // _LEVELS_IMAGES)]:
        with contextlib.suppress(*_DAMAGE, Image.DecompressionBombError), Image.open(path) as image:
            if _is_wide(image):
                counts += np.bincount(np.asarray(image).ravel(), minlength=1 << 16)
    shares = np.cumsum(counts) / max(1, counts.sum())
    low, high = (int(np.searchsorted(shares, share)) for share in (_CLIPPED, 1 - _CLIPPED))
    return (low, high) if counts.any() and low < high < low + (1 << 15) else FULL_LEVELS


def _make_square(image: Image.Image, size: int, view: View) -> Image.Image:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as vision

    mode = InterpolationMode(view.interpolation)
    width, height = image.size
    short = min(width, height)
    if view.crop is not None and max(width, height) > _SLIVER * short:
        # Resized as a whole, it could take gigabytes.
        left, top = max(0, (width - _SLIVER * short) // 2), max(0, (height - _SLIVER * short) // 2)
        image = image.crop((left, top, width - left, height - top))
    if view.crop is None:
        squeezed: Image.Image = vision.resize(image, [size, size], mode)
        return squeezed
    cropped: Image.Image = vision.center_crop(vision.resize(image, [math.ceil(size / view.crop)], mode), [size])
    return cropped


def _turn_upright(image: Image.Image) -> Image.Image:
    # Some readers of Pillow turn the image themselves when it is loaded, and then say so.
    image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        # Viewers, too, show an image whose notes are damaged as it is stored.
        return image
    return ImageOps.exif_transpose(image) if orientation in range(2, 9) else image


def _is_wide(image: Image.Image) -> bool:
    """Tell whether an image is 16-bit grey. Pillow scales that of a PGM file to 65,535, with a mode of 32 bits."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")


def _to_rgb(image: Image.Image, levels: tuple[int, int]) -> Image.Image:
    if _is_wide(image):
        # Pillow would clip 16-bit values at 255.
        return Image.fromarray(_make_grey(np.asarray(image), levels)).convert("RGB")
    if image.mode in {"I", "F"}:
        msg = f"its pixels have mode {image.mode}, which has no fixed range; convert it to 8 or 16 bits"
        raise ValueError(msg)
    if image.has_transparency_data:
        # A shape may be in the transparency alone. On a middle grey, black and white shapes can both be seen.
        ground = Image.new("RGBA", image.size, (_GROUND, _GROUND, _GROUND, 255))
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _make_grey(values: np.ndarray, levels: tuple[int, int]) -> Pixels:
    if levels == FULL_LEVELS:
        return (values >> 8).astype(np.uint8)
    low, high = levels
    scaled = (np.clip(values, low, high).astype(np.float32) - low) * (255 / (high - low))
    grey: Pixels = scaled.round().astype(np.uint8)
    return grey
