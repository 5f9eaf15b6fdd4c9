"""Warns of accuracies that need no network."""

from __future__ import annotations

from natdeploy.ports import Reporter
from natdeploy.supernet.data import ImageSet, Task


def warn_of_guessing(top1: float, task: Task, split: ImageSet, reporter: Reporter) -> None:
    """Warn if an accuracy is no better than calling every image by the name of the most frequent class.

    Args:
        top1: The accuracy, between 0 and 1.
        task: The task.
        split: Images that it was measured on.
        reporter: Receives the warning.
    """
    counts = split.labels.bincount(minlength=len(task.classes))
    share = float(counts.max()) / len(split)
    if top1 <= share:
        name = task.classes[int(counts.argmax())]
        reporter.warn(
            f"top-1 {top1:.3f} is no better than calling every image {name!r}, which is right for {share:.3f} of them: "
            "train for more epochs or with another --lr, and check the images and their classes"
        )
