"""The result of elastic training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from natdeploy.api.results import Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult(Result):
    """A trained supernet.

    Args:
        run: Run folder.
        weights: Weight file, which `--weights` accepts.
        supernet: Name of the search space, or the absolute path of its file.
        data: Name of the data set, or its absolute folder.
        epochs: Number of epochs trained.
        seconds: Time that the epochs took.
        top1_source: Split on which the following accuracies were measured: `test` or `validation`. Or `agreement`: they
            are the share of held-out pictures that a subnet and the pretrained network classify alike.
        largest_top1: Top-1 of the largest subnet, between 0 and 1.
        smallest_top1: Top-1 of the smallest subnet.
        random_top1: Top-1 of each random subnet.
    """

    run: Path
    weights: Path
    supernet: str
    data: str
    epochs: int
    seconds: float
    top1_source: str
    largest_top1: float
    smallest_top1: float
    random_top1: tuple[float, ...]
