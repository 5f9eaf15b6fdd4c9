"""Finds the splits and classes of a folder of images."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from natdeploy.errors import InputError
from natdeploy.io.foreign_layouts import LAYOUT, describe_layout
from natdeploy.io.image_files import SUFFIXES
from natdeploy.io.image_walk import ImageWalk, count_images, scan_folder
from natdeploy.ports import Reporter
from natdeploy.supernet.image_record import Split

_SPLITS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Words that stand for a split within a longer name, such as `seg_train`, besides those above.
_SHORT: dict[str, Split] = {
    "trn": "train",
    "dev": "validation",
    "tst": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_ADDED = re.compile(r"(data|dataset|set|split|images|imgs|pictures|photos)$")
_NO_LETTER = re.compile(r"[\W\d_]+")
# Maximum number of folders that a message names.
_NAMED = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SplitFolders:
    """The folders of the splits of a data set.

    Args:
        train: Folder of the classes to train on. It is the folder of the data set if that has no splits.
        validation: Folder of the validation images.
        test: Folder of the test images.
    """

    train: Path
    validation: Path | None = None
    test: Path | None = None


def find_splits(folder: Path, walk: ImageWalk) -> SplitFolders:
    """Find the splits of a folder by their names: `train`, `training_set`, `Valid`, `val`, `test` and the like.

    Raises:
        InputError: A folder could be a split or a class, a split is there twice, or there are no train images.
    """
    names = walk.list_folders(folder)
    splits: dict[Split, list[str]] = defaultdict(list)
    for name in names:
        split = name_split(name)
        if split is not None:
            splits[split].append(name)
    if not splits:
        _refuse_splits_in_classes(folder, names)
        _refuse_possible_splits(folder, names)
        return SplitFolders(train=folder)
    for split, found in splits.items():
        if len(found) > 1:
            msg = f"{folder}: {found[0]}/ and {found[1]}/ could both be the {split} split"
            raise InputError(msg, hint=f"leave one of them there; {LAYOUT}")
    others = [name for name in names if name_split(name) is None and count_images(folder / name)]
    if others and (len(splits) == 1 or "train" not in splits):
        own = next(iter(splits.values()))[0]
        msg = f"{folder}: {own}/ could be a split or a class: it lies beside {_list_names(others)}"
        hint = "for splits, move the classes into FOLDER/train/; for classes alone, move all of them there, "
        raise InputError(msg, hint=f"{hint}{own}/ too; {LAYOUT}")
    if "train" not in splits:
        msg = f"{folder}: holds {_list_names([found[0] for found in splits.values()])}, but no folder of train images"
        raise InputError(msg, hint=LAYOUT)
    for name in others:
        walk.leave_out(folder / name)
    return SplitFolders(**{split: folder / found[0] for split, found in splits.items()})


def name_split(name: str) -> Split | None:
    """Return the split that a folder's name stands for, such as `validation` for `Valid_set`; None for other names."""
    letters = _NO_LETTER.sub("", name.lower())
    return _SPLITS.get(letters) or _SPLITS.get(_ADDED.sub("", letters))


def list_classes(root: Path, walk: ImageWalk | None = None) -> list[str]:
    """Return the sorted names of the class folders.

    Raises:
        InputError: There are fewer than two class folders, or the folder cannot be read.
    """
    names = (walk or ImageWalk()).list_folders(root)
    if len(names) < 2:
        found = f"{_list_names(names)} alone" if names else "no folder"
        msg = f"{root}: it must contain a folder of images for each of at least two classes, but contains {found}"
        raise InputError(msg, hint=_find_inner(root, names) or describe_layout(root) or LAYOUT)
    hint = describe_layout(root)
    if hint:
        msg = f"{root}: {_list_names(names)} are no classes"
        raise InputError(msg, hint=hint)
    return names


def warn_of_twins(folder: Path, classes: Sequence[str], reporter: Reporter) -> None:
    """Warn of classes whose names look alike to a reader."""
    known: dict[str, str] = {}
    for name in classes:
        twin = known.setdefault(fold_name(name), name)
        if twin != name:
            reporter.warn(
                f"{folder}: the names of two classes differ only in case, blanks or the encoding of accents: "
                f"{twin!a} and {name!a}; if they are one class, move its images into one folder"
            )


def fold_name(name: str) -> str:
    """Return a name without what a reader does not see: case, blanks at its ends, the encoding of its accents."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def list_images(
    root: Path, classes: Sequence[str], walk: ImageWalk | None = None, *, may_lack: bool = False
) -> tuple[list[str], list[int]]:
    """Return paths and labels of the images of `classes`, including those in subfolders.

    If the split `may_lack` classes, a single image is enough.

    Raises:
        InputError: A class that is required has no image, or a folder cannot be read.
    """
    walk = walk or ImageWalk()
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = walk.list_images(root / name) if (root / name).is_dir() or not may_lack else []
        if not found and not may_lack:
            raise _make_no_image_error(root / name, root)
        paths += found
        labels += [label] * len(found)
    if not paths:
        raise _make_no_image_error(root, root)
    return paths, labels


def list_all_images(root: Path, walk: ImageWalk | None = None) -> list[str]:
    """Return the paths of all images in a folder and its subfolders.

    Raises:
        InputError: There is no image, or a folder cannot be read.
    """
    found = (walk or ImageWalk()).list_images(root)
    if not found:
        raise _make_no_image_error(root, root)
    return found


def _refuse_splits_in_classes(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        inner = {name_split(below.name) for below in scan_folder(folder / name) if below.is_dir()}
        if "train" in inner and len(inner - {None}) > 1:
            msg = f"{folder}: the splits lie within the classes, as in {name}/"
            raise InputError(msg, hint=f"put the classes into the splits; {LAYOUT}")


def _refuse_possible_splits(folder: Path, names: Sequence[str]) -> None:
    """Refuse classes such as `seg_train` and `seg_test`, which are more probably splits."""
    possible: dict[Split, str] = {}
    for name in names:
        for word in _WORD.findall(name):
            split = name_split(word) or _SHORT.get(word.lower())
            if split is not None:
                possible.setdefault(split, name)
    if "train" in possible and len(set(possible.values())) > 1:
        msg = f"{folder}: {_list_names(sorted(set(possible.values())))} could be splits or classes"
        hint = "for splits, name the folders train/, val/ and test/; for classes, move all of them into FOLDER/train/; "
        raise InputError(msg, hint=f"{hint}{LAYOUT}")


def _find_inner(root: Path, names: Sequence[str]) -> str | None:
    """Return a hint if the data set is one folder further down, as unpacked archives have it."""
    inner = [root / name for name in names if sum(below.is_dir() for below in scan_folder(root / name)) > 1]
    if inner and name_split(root.name):
        return f"move what {inner[0]} holds one level up"
    return f"did you mean {inner[0]}?" if inner else None


def _make_no_image_error(folder: Path, root: Path) -> InputError:
    walk = ImageWalk()
    walk.list_images(folder)
    known = f"known suffixes: {' '.join(sorted(SUFFIXES))}"
    msg = f"{folder}: holds no image ({known})"
    unread, unnamed = walk.describe_unread(), walk.describe_unnamed()
    if unread or unnamed:
        hint = "convert them to .jpg or .png" if unread else "give their names the suffix of their kind, such as .jpg"
        return InputError(f"{msg}, but {unread or unnamed}, which are not read", hint=hint)
    return InputError(msg, hint=describe_layout(root) or "put images into it, or remove it")


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(f"{name}/" for name in names[:_NAMED])
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
