"""Data sets: the bundled digits, and folders of images.

A folder holds `train/<class>/*` and `test/<class>/*`, or `<class>/*` alone, of which a test split is then taken.
Validation images are always taken from the train images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import functional as vision

from natdeploy.errors import InputError
from natdeploy.supernet.data import ImageSet, Task, channel_statistics

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.25
_SPLIT_SEED = 0


def load_task(data: str, size: int) -> Task:
    """Load a task by name (`digits`) or folder.

    Args:
        data: Name or folder.
        size: Height and width that the images of a folder are kept at, in pixels.

    Raises:
        InputError: The name is unknown, the folder is empty or an image cannot be read; the message names the file.
    """
    if data == "digits":
        return _digits()
    if not data:
        msg = "the data set has no name"
        raise InputError(msg)
    folder = Path(data)
    if not folder.is_dir():
        msg = f"unknown data set {data!r}: it is neither a folder nor a known name (known: digits)"
        raise InputError(msg)
    return _folder(folder, size)


def _digits() -> Task:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey = torch.from_numpy((pixels.reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8))
    images = ImageSet(images=grey.repeat(1, 3, 1, 1), labels=torch.from_numpy(labels.astype(np.int64)))
    rest, test = _split(images, _TEST_SHARE)
    return _task("digits", [str(digit) for digit in range(10)], rest, test, flip=False)


def _folder(folder: Path, size: int) -> Task:
    train_folder = folder / "train"
    has_split = train_folder.is_dir()
    root = train_folder if has_split else folder
    classes = _class_names(root)
    images = _read_split(root, classes, size)
    if has_split and (folder / "test").is_dir():
        unknown = sorted(set(_class_names(folder / "test")) - set(classes))
        if unknown:
            msg = f"{folder / 'test'}: class {unknown[0]!r} has no train images"
            raise InputError(msg)
        rest, test = images, _read_split(folder / "test", classes, size, may_lack=True)
    else:
        rest, test = _split(images, _TEST_SHARE)
    return _task(str(folder), classes, rest, test, flip=True)


def _task(name: str, classes: Sequence[str], rest: ImageSet, test: ImageSet, *, flip: bool) -> Task:
    train, validation = _split(rest, _VALIDATION_SHARE)
    mean, std = channel_statistics(train.images)
    return Task(
        name=name,
        classes=tuple(classes),
        mean=mean,
        std=std,
        flip=flip,
        train=train,
        validation=validation,
        test=test,
    )


def _split(images: ImageSet, share: float) -> tuple[ImageSet, ImageSet]:
    """Take `share` of each class away, at least one image of every class that has two; the same on every call."""
    rng = np.random.default_rng(_SPLIT_SEED)
    labels = images.labels.numpy()
    taken = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(share * len(own))) if len(own) > 1 else 0
        taken[own[:count]] = True
    return images.subset(np.flatnonzero(~taken)), images.subset(np.flatnonzero(taken))


def _class_names(root: Path) -> list[str]:
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        msg = f"{root}: needs a folder of images for each of at least two classes, has {len(names)}"
        raise InputError(
            msg, hint="layout: FOLDER/train/CLASS/IMAGE and FOLDER/test/CLASS/IMAGE, or FOLDER/CLASS/IMAGE"
        )
    return names


def _read_split(root: Path, classes: Sequence[str], size: int, *, may_lack: bool = False) -> ImageSet:
    """Read the images of `classes`; where the split `may_lack` a class, one image at all is enough."""
    images, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(path for path in (root / name).rglob("*") if _is_image(path))
        images += [_read_image(path, size) for path in files]
        labels += [label] * len(files)
        if not files and not may_lack:
            msg = f"{root / name}: holds no image (known suffixes: {' '.join(sorted(SUFFIXES))})"
            raise InputError(msg)
    if not images:
        msg = f"{root}: holds no image (known suffixes: {' '.join(sorted(SUFFIXES))})"
        raise InputError(msg)
    return ImageSet(images=torch.stack(images), labels=torch.tensor(labels))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow would cut 16-bit values off at 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        msg = f"its pixels are of mode {image.mode}, which has no fixed range; convert it to 8 or 16 bit"
        raise ValueError(msg)
    if image.mode == "P" and "transparency" in image.info:
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _read_image(path: Path, size: int) -> Tensor:
    try:
        with Image.open(path) as handle:
            image = _to_rgb(handle)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        msg = f"{path}: not a readable image: {error}"
        raise InputError(msg) from error
    square = vision.center_crop(vision.resize(image, [size]), [size])
    pixels: Tensor = vision.pil_to_tensor(square)
    return pixels
