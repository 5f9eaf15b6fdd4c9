"""Loads data sets: the bundled digits, the published sets by name, and folders of images.

A folder contains `train/<class>/*` and `test/<class>/*`, or only `<class>/*`, which is then split into train and test.
Validation images are always split off from the train images.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from natdeploy.errors import InputError
from natdeploy.io.dataset_download import download_dataset
from natdeploy.io.dataset_names import DIGITS, resolve_dataset
from natdeploy.io.image_files import View, read_square
from natdeploy.io.image_folders import list_all_images, list_classes, list_images
from natdeploy.io.published_sets import PUBLISHED
from natdeploy.machine import available_bytes, usable_cores
from natdeploy.ports import Reporter
from natdeploy.supernet.data import ImageSet, Interpolation, Task, compute_channel_statistics, concatenate
from natdeploy.supernet.images import ImageFiles, count_bytes

_TEST_SHARE = 0.2
_VALIDATION_SHARE = 0.25
_VALIDATION_IMAGES = 10_000
_SPLIT_SEED = 0
_MEMORY_SHARE = 0.4
_LARGE = 5_000
_LEAST_PICTURES = 20
_HELD_OUT_SHARE = 0.05
_HELD_OUT_PICTURES = 1_000
# Maximum number of classes that a warning names.
_NAMED = 5


def load_task(
    data: str | Path,
    size: int,
    *,
    reporter: Reporter | None = None,
    memory_bytes: int | None = None,
    download: bool = True,
) -> Task:
    """Load a task by name (`digits`, or one of `PUBLISHED`) or folder.

    Images that fit into memory are read once. Otherwise they are read again for each batch. Results are the same.

    Args:
        data: Name or folder.
        size: Height and width at which images are stored, in pixels. Data sets of small images keep their own size.
        reporter: Receives downloads, the reading of many images, and warnings about missing classes.
        memory_bytes: Memory that images may take. None: 40 % of the available memory.
        download: Whether a missing published data set may be downloaded.

    Raises:
        InputError: The name is unknown, a data set is missing or incomplete, a folder is empty, or an image cannot be
            read. The message names the file.
        OutputError: The folder for data sets cannot be written.
    """
    name = resolve_dataset(data)
    source = _open(name, size, reporter, download=download)
    # Public implementations of NAT use as many. More would slow every evaluation and add little information.
    train, validation = _split(source.rest, min(_VALIDATION_SHARE, _VALIDATION_IMAGES / len(source.rest)))
    if reporter is not None:
        splits = {"train": train, "validation": validation, "test": source.test}
        if Path(name).is_absolute():
            counts = ", ".join(f"{len(split)} {part}" for part, split in splits.items())
            reporter.info(f"{data}: {len(source.classes)} classes; {counts} images")
        for part, split in splits.items():
            _warn_of_missing(source.classes, part, split, reporter)
    room = int(available_bytes() * _MEMORY_SHARE) if memory_bytes is None else memory_bytes
    train, validation, test = _load_if_small([train, validation, source.test], room, reporter)
    mean, std = compute_channel_statistics(train.images)
    return Task(
        name=name,
        classes=tuple(source.classes),
        mean=mean,
        std=std,
        flip=source.flip,
        train=train,
        validation=validation,
        test=test,
        interpolation=source.interpolation,
    )


def load_pictures(
    folder: Path,
    size: int,
    *,
    classes: Sequence[str],
    normalization: tuple[tuple[float, float, float], tuple[float, float, float]],
    reporter: Reporter | None = None,
    memory_bytes: int | None = None,
) -> Task:
    """Load all pictures of a folder and its subfolders, without labels: every label is 0.

    One picture in twenty, at most 1,000, is held out as test and validation images.

    Args:
        folder: Folder.
        size: Height and width at which pictures are stored, in pixels.
        classes: Names of the classes of the network that is to label them.
        normalization: Mean and standard deviation of each colour channel, for pixels between 0 and 1.
        reporter: Receives the number of pictures, and the reading of many.
        memory_bytes: As for `load_task`.

    Raises:
        InputError: There are fewer than 20 pictures, or one cannot be read. The message names the file.
    """
    paths = list_all_images(folder)
    if len(paths) < _LEAST_PICTURES:
        msg = f"{folder}: holds {len(paths)} pictures; distillation needs {_LEAST_PICTURES} at least"
        raise InputError(msg)
    everything = _make_set_maker(size, View())(paths, [0] * len(paths))
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(paths))
    held_out = min(int(len(paths) * _HELD_OUT_SHARE), _HELD_OUT_PICTURES)
    if reporter is not None:
        reporter.info(f"{folder}: {len(paths)} pictures, whose folders are no labels; {held_out} are held out")
    room = int(available_bytes() * _MEMORY_SHARE) if memory_bytes is None else memory_bytes
    train, test = _load_if_small(
        [everything.select(np.sort(order[held_out:])), everything.select(np.sort(order[:held_out]))], room, reporter
    )
    mean, std = normalization
    return Task(
        name=str(folder), classes=tuple(classes), mean=mean, std=std, flip=True, train=train, validation=test, test=test
    )


def _warn_of_missing(classes: Sequence[str], name: str, split: ImageSet, reporter: Reporter) -> None:
    missing = [classes[number] for number in np.setdiff1d(np.arange(len(classes)), split.labels.numpy())]
    if missing:
        shown = ", ".join(missing[:_NAMED]) + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")
        reporter.warn(f"the {name} split has no image of {shown}")


def load_classes(data: str | Path, *, reporter: Reporter | None = None) -> tuple[str, ...]:
    """Return the names of the classes without reading image files.

    Raises:
        InputError: As for `load_task`, except for unreadable images.
        OutputError: The folder for data sets cannot be written.
    """
    return tuple(_open(resolve_dataset(data), 1, reporter, download=True).classes)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Source:
    classes: Sequence[str]
    rest: ImageSet
    test: ImageSet
    flip: bool = True
    interpolation: Interpolation = "bilinear"


def _open(data: str, size: int, reporter: Reporter | None, *, download: bool) -> _Source:
    if data == DIGITS:
        return _open_digits()
    if data in PUBLISHED:
        return _open_published(data, size, reporter, download=download)
    return _open_folder(Path(data), size)


def _open_digits() -> _Source:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey = torch.from_numpy((pixels.reshape(-1, 1, 8, 8) * (255 / 16)).round().astype(np.uint8))
    images = ImageSet(images=grey.repeat(1, 3, 1, 1), labels=torch.from_numpy(labels.astype(np.int64)))
    rest, test = _split(images, _TEST_SHARE)
    return _Source(classes=[str(digit) for digit in range(10)], rest=rest, test=test, flip=False)


def _open_published(name: str, size: int, reporter: Reporter | None, *, download: bool) -> _Source:
    published = PUBLISHED[name]
    images = _make_set_maker(published.native or size, published.view)
    parts = download_dataset(name, reporter=reporter, download=download)
    *train, test = (images(part.images, part.labels) for part in parts)
    return _Source(
        classes=parts[0].classes,
        rest=functools.reduce(concatenate, train),
        test=test,
        interpolation=published.view.interpolation,
    )


def _open_folder(folder: Path, size: int) -> _Source:
    train_folder, test_folder = folder / "train", folder / "test"
    root = train_folder if train_folder.is_dir() else folder
    classes = list_classes(root)
    images = _make_set_maker(size, View())
    rest = images(*list_images(root, classes))
    if root == folder or not test_folder.is_dir():
        rest, test = _split(rest, _TEST_SHARE)
        return _Source(classes=classes, rest=rest, test=test)
    unknown = sorted(set(list_classes(test_folder)) - set(classes))
    if unknown:
        msg = f"{test_folder}: class {unknown[0]!r} has no train images"
        raise InputError(msg)
    return _Source(classes=classes, rest=rest, test=images(*list_images(test_folder, classes, may_lack=True)))


def _make_set_maker(size: int, view: View) -> Callable[[Tensor | list[str], list[int]], ImageSet]:
    """Return a function that makes image sets from paths, or from pixels cropped to `size`. All share threads."""
    from torchvision.transforms import functional as vision

    read = functools.partial(read_square, size=size, view=view)
    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="images")

    def make(images: Tensor | list[str], labels: list[int]) -> ImageSet:
        if isinstance(images, Tensor):
            return ImageSet(images=vision.center_crop(images, [size]), labels=torch.tensor(labels))
        paths = np.array(images, dtype=np.object_)
        return ImageSet(images=ImageFiles(paths=paths, size=size, read=read, pool=pool), labels=torch.tensor(labels))

    return make


def _load_if_small(splits: Sequence[ImageSet], room: int, reporter: Reporter | None) -> list[ImageSet]:
    """Load all splits into memory if they fit into `room` bytes, otherwise return them unchanged."""
    if sum(count_bytes(split.images) for split in splits) > room:
        return list(splits)
    total = sum(len(split) for split in splits)
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        if reporter is not None and total >= _LARGE:
            reporter.progress("reading images", done, total)

    return [split.load(progress) for split in splits]


def _split(images: ImageSet, share: float) -> tuple[ImageSet, ImageSet]:
    """Split off `share` of each class, at least one image if the class has two. Every call gives the same split."""
    rng = np.random.default_rng(_SPLIT_SEED)
    labels = images.labels.numpy()
    taken = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(share * len(own))) if len(own) > 1 else 0
        taken[own[:count]] = True
    return images.select(np.flatnonzero(~taken)), images.select(np.flatnonzero(taken))
