"""Opens a data set as splits of images, without reading the images: the digits, a published set, or a folder."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.dataset_download import download_dataset
from natdeploy.io.dataset_names import DIGITS
from natdeploy.io.image_files import FULL_LEVELS, SquareReader, find_levels
from natdeploy.io.image_folders import find_splits, fold_name, list_classes, list_images, warn_of_twins
from natdeploy.io.image_records import require_recorded
from natdeploy.io.image_walk import ImageWalk, count_images
from natdeploy.io.published_sets import PUBLISHED
from natdeploy.machine import usable_cores
from natdeploy.ports import Reporter
from natdeploy.supernet.data import ImageSet, Interpolation, concatenate
from natdeploy.supernet.image_record import ImageRecord
from natdeploy.supernet.images import ImageFiles

_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.25
_VALIDATION_IMAGES = 10_000
_SPLIT_SEED = 0
# Maximum number of classes that a message names.
_NAMED = 5

Maker = Callable[[Tensor | list[str], list[int]], ImageSet]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Source:
    """A data set whose images are not read yet.

    Args:
        classes: Names of the classes.
        train: Images to train on.
        validation: Images that guide the search.
        test: Images for the final accuracy.
        flip: Whether a mirrored image keeps its class.
        interpolation: How images are resized.
        levels: Values of 16-bit images that become 0 and 255.
    """

    classes: Sequence[str]
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    flip: bool = True
    interpolation: Interpolation = "bilinear"
    levels: tuple[int, int] = FULL_LEVELS

    @property
    def splits(self) -> dict[str, ImageSet]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def open_source(data: str, size: int, reporter: Reporter | None, *, download: bool) -> Source:
    """Open a data set by its name, or by the absolute path of its folder.

    Args:
        data: Name or folder.
        size: Height and width at which images are read, in pixels. Data sets of small images keep their own size.
        reporter: Receives what the folders and files of a folder are taken for.
        download: Whether a missing published data set may be downloaded.

    Raises:
        InputError: A data set is missing or incomplete, or a folder is not laid out as one.
        OutputError: The folder for data sets cannot be written.
    """
    if data == DIGITS:
        return _open_digits()
    if data in PUBLISHED:
        return _open_published(data, size, reporter, download=download)
    return _open_folder(Path(data), size, reporter)


def _open_digits() -> Source:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey = torch.from_numpy((pixels.reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8))
    images = ImageSet(images=grey.repeat(1, 3, 1, 1), labels=torch.from_numpy(labels.astype(np.int64)))
    rest, test = split_off(images, _TEST_SHARE)
    train, validation = _split_validation(rest)
    classes = [str(digit) for digit in range(10)]
    return Source(classes=classes, train=train, validation=validation, test=test, flip=False)


def _open_published(name: str, size: int, reporter: Reporter | None, *, download: bool) -> Source:
    published = PUBLISHED[name]
    images = make_set_maker(SquareReader(size=published.native or size, view=published.view))
    parts = download_dataset(name, reporter=reporter, download=download)
    *rest, test = (images(part.images, part.labels) for part in parts)
    train, validation = _split_validation(functools.reduce(concatenate, rest))
    return Source(
        classes=parts[0].classes,
        train=train,
        validation=validation,
        test=test,
        interpolation=published.view.interpolation,
    )


def _open_folder(folder: Path, size: int, reporter: Reporter | None) -> Source:
    walk = ImageWalk()
    found = find_splits(folder, walk)
    classes = list_classes(found.train, walk if found.train != folder else None)
    listed = {"train": list_images(found.train, classes, walk)}
    origins = {"train": "the class folders" if found.train == folder else f"{found.train.name}/"}
    for split, place in (("validation", found.validation), ("test", found.test)):
        origins[split] = "split off" if place is None else f"{place.name}/"
        if place is not None:
            listed[split] = list_images(place, _check_classes(place, classes, walk), walk, may_lack=True)
    levels, sets = make_sets(listed, size)
    if "test" not in sets:
        sets["train"], sets["test"] = split_off(sets["train"], _TEST_SHARE)
    if "validation" not in sets:
        sets["train"], sets["validation"] = _split_validation(sets["train"])
    source = _make_source(classes, sets, levels)
    if reporter is not None:
        _tell(folder, source, origins, walk, reporter)
    return source


def open_recorded(folder: Path, size: int, records: Sequence[ImageRecord], reporter: Reporter | None) -> Source:
    """Open a folder with the images and the splits that a run has recorded.

    Args:
        folder: Folder of the data set.
        size: Height and width at which images are read, in pixels.
        records: Images of the run, with labels.
        reporter: Receives which images are new.

    Raises:
        InputError: Images are missing or have changed.
    """
    require_recorded(folder, records, reporter)
    classes = sorted({record.label for record in records})
    listed: dict[str, tuple[list[str], list[int]]] = {split: ([], []) for split in ("train", "validation", "test")}
    for record in records:
        listed[record.split][0].append(str(folder / record.file))
        listed[record.split][1].append(classes.index(record.label))
    levels, sets = make_sets(listed, size)
    return _make_source(classes, sets, levels)


def _make_source(classes: list[str], sets: Mapping[str, ImageSet], levels: tuple[int, int]) -> Source:
    return Source(classes=classes, train=sets["train"], validation=sets["validation"], test=sets["test"], levels=levels)


def make_sets(
    listed: Mapping[str, tuple[list[str], list[int]]], size: int
) -> tuple[tuple[int, int], dict[str, ImageSet]]:
    """Return the levels of the images of a folder, and its splits, from paths and labels."""
    levels = find_levels(sorted(path for paths, _ in listed.values() for path in paths))
    make = make_set_maker(SquareReader(size=size, levels=levels))
    return levels, {split: make(paths, labels) for split, (paths, labels) in listed.items()}


def _check_classes(folder: Path, classes: list[str], walk: ImageWalk) -> list[str]:
    names = walk.list_folders(folder)
    if not names and count_images(folder):
        msg = f"{folder}: holds images, but no folders of classes, so their labels are not known"
        hint = f"move each image into the folder of its class; or move {folder.name}/ away, then others are split off"
        raise InputError(msg, hint=hint)
    unknown = sorted(set(names) - set(classes))
    if unknown:
        msg = f"{folder}: class {unknown[0]!r} has no train images"
        twin = next((name for name in classes if fold_name(name) == fold_name(unknown[0])), None)
        if twin is not None:
            hint = f"rename it to the folder of the train images, {twin!a}: it is now {unknown[0]!a}"
        else:
            hint = did_you_mean(unknown[0], classes) or "add train images of the class, or remove the folder"
        raise InputError(msg, hint=hint)
    return classes


def _tell(folder: Path, source: Source, origins: Mapping[str, str], walk: ImageWalk, reporter: Reporter) -> None:
    counts = ", ".join(f"{len(split)} {name} ({origins[name]})" for name, split in source.splits.items())
    total = sum(len(split) for split in source.splits.values())
    classes = f"{len(source.classes)} classes ({name_some(source.classes)})"
    reporter.info(f"{folder}: {total} images of {classes}: {counts}")
    warn_of_twins(folder, source.classes, reporter)
    tell_passed_over(folder, walk, reporter)
    if source.levels != FULL_LEVELS:
        low, high = source.levels
        reporter.info(f"{folder}: of 16 bits, its images use the values {low} to {high}, which become 0 to 255")


def tell_passed_over(folder: Path, walk: ImageWalk, reporter: Reporter) -> None:
    """Tell which files and folders a walk has passed over, and why."""
    if walk.others:
        reporter.info(f"{folder}: not read, because they are no images: {walk.describe()}")
    if walk.unused:
        reporter.warn(f"{folder}: not used: {walk.describe_unused()}")
    if walk.unread:
        unread = walk.describe_unread()
        reporter.warn(f"{folder}: pictures of a kind that is not read: {unread}; convert them to .jpg or .png")
    if walk.unnamed:
        reporter.warn(
            f"{folder}: images that are not read because of their names: {walk.describe_unnamed()}; give their names "
            "the suffix of their kind, such as .jpg"
        )


def name_some(names: Sequence[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def make_set_maker(reader: SquareReader) -> Maker:
    """Return a function that makes image sets from paths, or from pixels cropped to a size. All share threads."""
    from torchvision.transforms import functional as vision

    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="images")

    def make(images: Tensor | list[str], labels: list[int]) -> ImageSet:
        if isinstance(images, Tensor):
            return ImageSet(images=vision.center_crop(images, [reader.size]), labels=torch.tensor(labels))
        paths = np.array(images, dtype=np.object_)
        files = ImageFiles(paths=paths, size=reader.size, read=reader, pool=pool)
        return ImageSet(images=files, labels=torch.tensor(labels))

    return make


def _split_validation(images: ImageSet) -> tuple[ImageSet, ImageSet]:
    # Public implementations of NAT use as many. More would slow every evaluation and add little information.
    return split_off(images, min(_VALIDATION_SHARE, _VALIDATION_IMAGES / len(images)))


def split_off(images: ImageSet, share: float) -> tuple[ImageSet, ImageSet]:
    """Split off `share` of each class, at least one image if the class has two. Every call gives the same split."""
    rng = np.random.default_rng(_SPLIT_SEED)
    labels = images.labels.numpy()
    taken = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(share * len(own))) if len(own) > 1 else 0
        taken[own[:count]] = True
    return images.select(np.flatnonzero(~taken)), images.select(np.flatnonzero(taken))
