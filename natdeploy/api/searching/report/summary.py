"""What a search tells its report besides the archive and the choices."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from natdeploy.supernet.data import Task


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Images:
    """The images of a search with training.

    Args:
        dataset: Name or folder of the data set.
        classes: Names of the classes.
        train: Number of images to train on.
        validation: Number of images that the accuracies of the archive are measured on.
        test: Number of images that the accuracies of the choices are measured on.
    """

    dataset: str
    classes: tuple[str, ...]
    train: int
    validation: int
    test: int

    @classmethod
    def of(cls, task: Task) -> Self:
        """Count the images of a task."""
        counts = {split: len(getattr(task, split)) for split in ("train", "validation", "test")}
        return cls(dataset=task.name, classes=task.classes, **counts)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WeightsSource:
    """The run that the subnets of an archive get their weights from.

    Args:
        run: Folder of the run, whose archive has these architectures.
        rows: Row of each architecture in the archive of that run.
    """

    run: Path
    rows: Sequence[int]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Content of report and result besides the archive.

    Args:
        title: Heading of the report.
        note: A sentence or two on what was done.
        iterations: Number of iterations.
        evaluations: Number of architectures that were evaluated or predicted.
        started_s: Start of the search, by the clock's `seconds`.
        images: The images; None if nothing was evaluated.
        weights: Where weights can be extracted from; None if there are none.
    """

    title: str
    note: str
    iterations: int
    evaluations: int
    started_s: float
    images: Images | None = None
    weights: WeightsSource | None = None
