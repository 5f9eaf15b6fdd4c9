"""Reads an image file as a square of pixels."""

from __future__ import annotations

import dataclasses
import math
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from natdeploy.errors import InputError

if TYPE_CHECKING:
    from natdeploy.supernet.data import Interpolation
    from natdeploy.supernet.images import Pixels

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Errors that Pillow's readers raise on damaged files. UnidentifiedImageError is an OSError.
_DAMAGE = (OSError, ValueError, SyntaxError, LookupError, EOFError, TypeError, struct.error, zlib.error)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How an image becomes a square.

    Args:
        crop: Share of the short side that the centre crop keeps, after the short side is resized. None squeezes the
            whole image into the square.
        interpolation: Interpolation of the resizing.
    """

    crop: float | None = 1.0
    interpolation: Interpolation = "bilinear"


def read_square(path: str, *, size: int, view: View) -> Pixels:
    """Read an image as `size x size x 3` uint8 pixels. An animation gives its first frame.

    Raises:
        InputError: The image cannot be read. The message states file and reason.
    """
    try:
        with Image.open(path) as handle:
            image = _to_rgb(handle)
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        msg = f"{path}: not a readable image: {_describe_damage(path, error)}"
        raise InputError(msg) from error
    return np.asarray(_make_square(image, size, view))


def _make_square(image: Image.Image, size: int, view: View) -> Image.Image:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as vision

    mode = InterpolationMode(view.interpolation)
    if view.crop is None:
        squeezed: Image.Image = vision.resize(image, [size, size], mode)
        return squeezed
    cropped: Image.Image = vision.center_crop(vision.resize(image, [math.ceil(size / view.crop)], mode), [size])
    return cropped


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow would clip 16-bit values at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        msg = f"its pixels have mode {image.mode}, which has no fixed range; convert it to 8 or 16 bits"
        raise ValueError(msg)
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _describe_damage(path: str, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its content is not in a known image format"
    if isinstance(error, FileNotFoundError) and Path(path).is_symlink():
        return f"it is a link to {Path(path).readlink()}, which does not exist"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
