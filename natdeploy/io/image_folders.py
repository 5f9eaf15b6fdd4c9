"""Reads folders that contain one folder of images per class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from natdeploy.errors import InputError
from natdeploy.io.image_files import SUFFIXES


def list_classes(root: Path) -> list[str]:
    """Return the sorted names of the class folders.

    Raises:
        InputError: There are fewer than two class folders, or the folder cannot be read.
    """
    try:
        names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise _make_unreadable_error(error) from error
    if len(names) < 2:
        msg = f"{root}: it must contain a folder of images for each of at least two classes, but contains {len(names)}"
        raise InputError(
            msg, hint="layout: FOLDER/train/CLASS/IMAGE and FOLDER/test/CLASS/IMAGE, or FOLDER/CLASS/IMAGE"
        )
    return names


def list_images(root: Path, classes: Sequence[str], *, may_lack: bool = False) -> tuple[list[str], list[int]]:
    """Return paths and labels of the images of `classes`, including those in subfolders.

    If the split `may_lack` classes, a single image is enough.

    Raises:
        InputError: A class that is required has no image, or a folder cannot be read.
    """
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = _list_images_below(root / name) if (root / name).is_dir() or not may_lack else []
        if not found and not may_lack:
            raise _make_no_image_error(root / name)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise _make_no_image_error(root)
    return paths, labels


def list_all_images(root: Path) -> list[str]:
    """Return the paths of all images in a folder and its subfolders.

    Raises:
        InputError: There is no image, or a folder cannot be read.
    """
    found = _list_images_below(root)
    if not found:
        raise _make_no_image_error(root)
    return found


def _list_images_below(folder: Path) -> list[str]:
    found = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=_raise_unreadable)
        for name in names
        if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
    ]
    return [str(path) for path in sorted(found)]


def _raise_unreadable(error: OSError) -> None:
    raise _make_unreadable_error(error) from error


def _make_unreadable_error(error: OSError) -> InputError:
    return InputError(f"{error.filename}: cannot be read: {error.strerror}")


def _make_no_image_error(folder: Path) -> InputError:
    return InputError(f"{folder}: holds no image (known suffixes: {' '.join(sorted(SUFFIXES))})")
