"""Folders that hold a folder of images for each class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from natdeploy.errors import InputError
from natdeploy.io.image_files import SUFFIXES


def class_names(root: Path) -> list[str]:
    """Return the names of the class folders, sorted.

    Raises:
        InputError: There are fewer than two, or the folder cannot be read.
    """
    try:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(error) from error
    if len(names) < 2:
        msg = f"{root}: needs a folder of images for each of at least two classes, has {len(names)}"
        raise InputError(
            msg, hint="layout: FOLDER/train/CLASS/IMAGE and FOLDER/test/CLASS/IMAGE, or FOLDER/CLASS/IMAGE"
        )
    return names


def list_images(root: Path, classes: Sequence[str], *, may_lack: bool = False) -> tuple[list[str], list[int]]:
    """Return paths and labels of the images of `classes`, deeper folders included.

    Where the split `may_lack` a class, one image at all is enough.

    Raises:
        InputError: A class has no image, or its folder cannot be read.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _images_below(root / name) if (root / name).is_dir() or not may_lack else []
        if not found and not may_lack:
            raise _no_image(root / name)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise _no_image(root)
    return paths, labels


def list_all_images(root: Path) -> list[str]:
    """Return paths of all images in a folder, deeper folders included.

    Raises:
        InputError: There is none, or a folder cannot be read.
    """
    found = _images_below(root)
    if not found:
        raise _no_image(root)
    return found


def _images_below(folder: Path) -> list[str]:
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=_refuse)
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
    ]
    return [str(path) for path in sorted(found)]


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> InputError:
    return InputError(f"{error.filename}: cannot be read: {error.strerror}")


def _no_image(folder: Path) -> InputError:
    return InputError(f"{folder}: holds no image (known suffixes: {' '.join(sorted(SUFFIXES))})")
