"""Loads the images of a run that goes on or is asked again: those that it began with, in the same splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.io.datasets import load_classes, load_task
from natdeploy.io.image_records import read_image_records
from natdeploy.io.runs import RunFolder
from natdeploy.ports import Reporter
from natdeploy.supernet.data import Task
from natdeploy.supernet.image_record import ImageRecord


def load_run_task(
    run: RunFolder,
    data: str,
    size: int,
    reporter: Reporter,
    normalization: Sequence[tuple[float, float, float]] = (),
) -> Task:
    """Load the task of a run.

    Args:
        run: Folder of the run.
        data: Name of its data set, or the absolute path of the folder where its images are now.
        size: Height and width at which images are stored, in pixels.
        reporter: Receives which images are new, and what `load_task` tells.
        normalization: As for `load_task`.

    Raises:
        InputError: Images are missing or have changed since the run began, or cannot be read.
    """
    recorded = find_recorded(run, data, reporter)
    return load_task(data, size, reporter=reporter, recorded=recorded, normalization=normalization)


def load_run_classes(run: RunFolder, data: str, reporter: Reporter) -> tuple[str, ...]:
    """Return the names of the classes of a run, without reading images.

    Raises:
        InputError: The run has recorded no images, and its data set is not there.
    """
    recorded = read_image_records(run.path)
    if recorded:
        return tuple(sorted({record.label for record in recorded}))
    return load_classes(data, reporter=reporter)


def warn_of_other_images(described: Mapping[str, Any] | None, task: Task, reporter: Reporter) -> None:
    """Warn if a folder has other images than when something was trained on it: its splits are then others, too.

    Args:
        described: Task of what was trained, as in a subnet file. None: unknown.
        task: The folder as it is now.
        reporter: Receives the warning.
    """
    if described is None or "images" not in described or described["classes"] != list(task.classes):
        return
    same_folder = Path(described["dataset"]).name == Path(task.name).name
    if same_folder and described["images"] != task.images_digest:
        reporter.warn(
            f"{task.name}: its images have changed since the training on it, so its splits differ, and top-1 may be "
            "measured on images that were trained on"
        )


def find_recorded(run: RunFolder, data: str, reporter: Reporter) -> tuple[ImageRecord, ...] | None:
    """Return the images that a run has recorded; none for a known data set, whose images do not change.

    None: the run is from a natdeploy that recorded no images, which is told.

    Raises:
        InputError: The record is damaged.
    """
    if not Path(data).is_absolute():
        return ()
    recorded = read_image_records(run.path)
    if recorded is None:
        reporter.warn(f"{run.path}: it is not recorded which images the run began with; {data} is split as it is now")
    return recorded
