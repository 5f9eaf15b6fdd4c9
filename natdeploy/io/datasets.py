"""Loads data sets: the bundled digits, the published sets by name, and folders of images.

A folder contains `train/<class>/*` and perhaps `test/<class>/*` and `val/<class>/*`, or only `<class>/*`. A split that
it lacks is split off from the train images.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from natdeploy.errors import InputError
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.image_files import FULL_LEVELS
from natdeploy.io.image_folders import list_all_images
from natdeploy.io.image_inspection import ImageInspection, digest_listing
from natdeploy.io.image_records import require_digests, require_recorded
from natdeploy.io.image_sources import make_sets, name_some, open_recorded, open_source, tell_passed_over
from natdeploy.io.image_walk import ImageWalk
from natdeploy.machine import available_bytes
from natdeploy.ports import Reporter
from natdeploy.supernet.data import ImageSet, Task, compute_channel_statistics
from natdeploy.supernet.image_record import ImageRecord

_SPLIT_SEED = 0
_MEMORY_SHARE = 0.4
_LEAST_PICTURES = 20
_HELD_OUT_SHARE = 0.05
_HELD_OUT_PICTURES = 1_000


def load_task(
    data: str | Path,
    size: int,
    *,
    reporter: Reporter | None = None,
    memory_bytes: int | None = None,
    download: bool = True,
    recorded: Sequence[ImageRecord] | None = None,
    normalization: Sequence[tuple[float, float, float]] = (),
) -> Task:
    """Load a task by name (`digits`, or one of `PUBLISHED`) or folder.

    All images are read once, so that damaged ones are found before any work. Those that do not fit into memory are read
    again for each batch. Results are the same.

    Args:
        data: Name or folder.
        size: Height and width at which images are stored, in pixels. Data sets of small images keep their own size.
        reporter: Receives downloads, the reading of many images, and warnings about missing classes.
        memory_bytes: Memory that images may take. None: 40 % of the available memory. 0: images are not read now.
        download: Whether a missing published data set may be downloaded.
        recorded: Images and splits of a run that goes on. They must be in the folder as they were. If they do not fit
            into memory, they are compared by name and size only.
        normalization: Mean and standard deviation of each colour channel. Empty: those of the train images.

    Raises:
        InputError: The name is unknown, a data set is missing or incomplete, a folder is empty, an image cannot be
            read, or recorded images have changed. The message names the files.
        OutputError: The folder for data sets cannot be written.
    """
    name = str(data) if recorded else resolve_dataset(data)
    source = (
        open_recorded(Path(name), size, recorded, reporter)
        if recorded
        else open_source(name, size, reporter, download=download)
    )
    if reporter is not None:
        for part, split in source.splits.items():
            _warn_of_missing(source.classes, part, split, reporter)
    splits, records = source.splits, tuple(recorded or ())
    if memory_bytes != 0:
        inspection = ImageInspection(reporter)
        splits = inspection.read(source.splits, _find_room(memory_bytes), check=recorded is None)
        if recorded:
            require_digests(Path(name), recorded, inspection.digests)
        elif Path(name).is_absolute():
            records = inspection.record(Path(name), source.splits, source.classes)
            if reporter is not None:
                inspection.warn(source.splits, reporter)
    mean, std = normalization or compute_channel_statistics(splits["train"].images)
    return Task(
        name=name,
        classes=tuple(source.classes),
        mean=mean,
        std=std,
        flip=source.flip,
        train=splits["train"],
        validation=splits["validation"],
        test=splits["test"],
        interpolation=source.interpolation,
        records=records,
        images_digest=digest_listing(Path(name), source.splits) if Path(name).is_absolute() else "",
        levels=None if source.levels == FULL_LEVELS else source.levels,
    )


def load_pictures(
    folder: Path,
    size: int,
    *,
    classes: Sequence[str],
    normalization: tuple[tuple[float, float, float], tuple[float, float, float]],
    reporter: Reporter | None = None,
    memory_bytes: int | None = None,
    recorded: Sequence[ImageRecord] | None = None,
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
        recorded: As for `load_task`.

    Raises:
        InputError: There are fewer than 20 pictures, one cannot be read, or recorded ones have changed. The message
            names the files.
    """
    if recorded:
        require_recorded(folder, recorded, reporter)
        listed = {
            split: [str(folder / record.file) for record in recorded if record.split == split]
            for split in ("train", "test")
        }
    else:
        listed = _split_pictures(folder, reporter)
    _, splits = make_sets({split: (paths, [0] * len(paths)) for split, paths in listed.items()}, size)
    records = tuple(recorded or ())
    if memory_bytes != 0:
        inspection = ImageInspection(reporter)
        read = inspection.read(splits, _find_room(memory_bytes), check=recorded is None)
        require_digests(folder, records, inspection.digests)
        records, splits = records or inspection.record(folder, splits, ()), read
    mean, std = normalization
    return Task(
        name=str(folder),
        classes=tuple(classes),
        mean=mean,
        std=std,
        flip=True,
        train=splits["train"],
        validation=splits["test"],
        test=splits["test"],
        records=records,
    )


def _split_pictures(folder: Path, reporter: Reporter | None) -> dict[str, list[str]]:
    walk = ImageWalk()
    paths = list_all_images(folder, walk)
    if len(paths) < _LEAST_PICTURES:
        msg = f"{folder}: holds {len(paths)} pictures; distillation needs {_LEAST_PICTURES} at least"
        raise InputError(msg)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(paths))
    held_out = min(int(len(paths) * _HELD_OUT_SHARE), _HELD_OUT_PICTURES)
    if reporter is not None:
        reporter.info(f"{folder}: {len(paths)} pictures, whose folders are no labels; {held_out} are held out")
        tell_passed_over(folder, walk, reporter)
    chosen = {"train": np.sort(order[held_out:]), "test": np.sort(order[:held_out])}
    return {split: [paths[place] for place in places] for split, places in chosen.items()}


def _warn_of_missing(classes: Sequence[str], name: str, split: ImageSet, reporter: Reporter) -> None:
    missing = [classes[number] for number in np.setdiff1d(np.arange(len(classes)), split.labels.numpy())]
    if missing:
        reporter.warn(f"the {name} split has no image of {name_some(missing)}")


def load_classes(data: str | Path, *, reporter: Reporter | None = None) -> tuple[str, ...]:
    """Return the names of the classes without reading image files.

    Raises:
        InputError: As for `load_task`, except for unreadable images.
        OutputError: The folder for data sets cannot be written.
    """
    name = resolve_dataset(data)
    # What a folder holds is told when its images are loaded.
    source = open_source(name, 1, None if Path(name).is_absolute() else reporter, download=True)
    return tuple(source.classes)


def _find_room(memory_bytes: int | None) -> int:
    return int(available_bytes() * _MEMORY_SHARE) if memory_bytes is None else memory_bytes
