"""The supernet in a weight file, out of which subnets are taken without training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.training.initial_weights import require_weights
from natdeploy.core.architecture import Architecture
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.io.datasets import load_task
from natdeploy.io.run_images import warn_of_other_images
from natdeploy.io.supernet_weights import read_task
from natdeploy.ports import Reporter
from natdeploy.supernet.checkpoints import count_classes
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.threads import use_threads

if TYPE_CHECKING:
    from natdeploy.supernet.data import Task
    from natdeploy.supernet.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True)
class TakenSubnet:
    """A subnet that was taken out of a supernet.

    Args:
        network: Its network.
        task: Its task, as a subnet file describes it; None if it is not known.
        validation_top1: Its top-1 on validation images, between 0 and 1; None without images.
    """

    network: Network
    task: Mapping[str, Any] | None
    validation_top1: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SupernetFile:
    """A supernet with the weights and the classifier of a file.

    Args:
        path: The file.
        supernet: The supernet.
        task: The task of its classifier, as a subnet file describes it; None if the file does not say.
        reporter: Receives warnings.
    """

    path: Path
    supernet: Supernet
    task: Mapping[str, Any] | None
    reporter: Reporter

    @classmethod
    def open(
        cls, space: SearchSpace, weights: Path | str | None, *, classes: int | None, reporter: Reporter
    ) -> SupernetFile:
        """Read a weight file.

        Args:
            space: Search space of the weights.
            weights: A file, or `released`; the packaged weights of the supernet if None.
            classes: Outputs that the classifier must have; any number if None.
            reporter: Receives the choice and warnings.

        Raises:
            InputError: There is no such file, it is damaged, or it does not fit.
        """
        file = require_weights(space, weights, reporter=reporter).files[0]
        task, found = read_task(file.path), count_classes(file.path)
        if task is not None and len(task["classes"]) != found:
            msg = f"{file.path}: its task has {len(task['classes'])} classes, its classifier {found}"
            raise InputError(msg)
        supernet = Supernet(space, classes or found)
        if not supernet.load_weights(file.path, file.width):
            msg = f"{file.path}: its classifier does not have {classes} outputs"
            raise InputError(msg)
        return cls(path=file.path, supernet=supernet, task=task, reporter=reporter)

    def take(self, architecture: Architecture, data: str | Path | None) -> TakenSubnet:
        """Take a subnet out of the supernet.

        Args:
            architecture: The architecture.
            data: Data set whose train images give new BatchNorm statistics. If None, those that the file has
                for each choice, or else those of the supernet, are kept.

        Raises:
            InputError: The data set is not valid, or has other classes.
        """
        if data is not None:
            task = self._load_task(data, architecture.resolution)
            with use_threads():
                evaluator = SubnetEvaluator(self.supernet, task)
                network, top1 = evaluator.extract(architecture), evaluator.top1(architecture)
            return TakenSubnet(network=network, task=task.describe(), validation_top1=top1)
        if not self.supernet.has_statistics:
            self.reporter.warn("without --data, the BatchNorm statistics are those of the supernet, not of this subnet")
        return TakenSubnet(network=self.supernet.extract(architecture).eval(), task=self.task, validation_top1=None)

    def _load_task(self, data: str | Path, resolution: int) -> Task:
        """Return a data set with the classes of the weights. Their normalization, if known, replaces its own."""
        task = load_task(data, resolution, reporter=self.reporter)
        hint = "adapt the supernet to the data first: natdeploy adapt"
        if len(task.classes) != self.supernet.classes:
            msg = f"{data}: has {len(task.classes)} classes, the weights are for {self.supernet.classes}"
            raise InputError(msg, hint=hint)
        if self.task is None:
            return task
        # ImageNet's folders are named by numbers, not by classes.
        if task.name != self.task["dataset"]:
            for own, known in zip(task.classes, self.task["classes"], strict=True):
                if own != known:
                    msg = f"{data}: has a class {own!r} where the weights have {known!r}"
                    raise InputError(msg, hint=hint)
        warn_of_other_images(self.task, task, self.reporter)
        return dataclasses.replace(task, mean=tuple(self.task["mean"]), std=tuple(self.task["std"]))
