"""Pretraining a supernet from nothing: the largest network first, then all of them, each distilled from it."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from natdeploy.api.context import Context, prepare_torch, resolve_space
from natdeploy.api.results import Result
from natdeploy.api.settings import validated
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.genotype import decode, sample
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError, InterruptedWorkError
from natdeploy.io.datasets import load_task, resolved
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.data import Task, joined
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer, Recipe

_WEIGHTS = "supernet.safetensors"
_RECALIBRATION_IMAGES = 2048


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PretrainPlan:
    """Everything that decides what pretraining does; what `run.toml` holds.

    Args:
        supernet: Name of the search space.
        resolutions: Input sizes that are trained.
        widths: Widths that are trained.
        data: Name of the data set, or its folder, absolute.
        epochs: Epochs in all.
        plain_epochs: How many of them, at the beginning, train the largest network alone.
        batch: Images in a step.
        learning_rate: Peak learning rate.
        weight_decay: Decay of weights other than biases and BatchNorm's.
        label_smoothing: Smoothing of the labels.
        subnets: Subnets of each step beside the largest; the smallest is one of them.
        averaging: Decay, a step, of the moving average of the weights that is kept; 0 for none.
        samples: Random subnets that are tested at the end, beside the largest and the smallest.
        seed: Seed.
        threads: Threads to train with.
    """

    supernet: str
    resolutions: tuple[int, ...]
    widths: tuple[float, ...]
    data: str
    epochs: int
    plain_epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    subnets: int
    averaging: float
    samples: int
    seed: int
    threads: int

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch": 2, "subnets": 1, "threads": 1}
        for name in ("epochs", "plain_epochs", "batch", "subnets", "samples", "seed", "threads"):
            if getattr(self, name) < least.get(name, 0):
                msg = f"{name.replace('_', '-')} is {getattr(self, name)}: it must be {least.get(name, 0)} at least"
                raise InputError(msg)
        if not 0 < self.learning_rate < float("inf"):
            msg = f"learning-rate is {self.learning_rate}: it must be a number over 0"
            raise InputError(msg)
        for name in ("weight_decay", "label_smoothing", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                msg = f"{name.replace('_', '-')} is {getattr(self, name)}: it must be 0 at least and less than 1"
                raise InputError(msg)

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return dataclasses.replace(find_space(self.supernet), resolutions=self.resolutions, widths=self.widths)

    @property
    def recipe(self) -> Recipe:
        """How each step is made."""
        return Recipe(
            batch=self.batch,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            label_smoothing=self.label_smoothing,
            subnets=self.subnets,
            sandwich=True,
            averaging=self.averaging,
        )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], source: str) -> PretrainPlan:
        """Read the settings of a run.

        Raises:
            InputError: They are not those of pretraining; the message names the key.
        """
        return validated(cls, lambda: settings["pretrain"], source, "pretraining")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainResult(Result):
    """A pretrained supernet.

    Args:
        run: Run folder.
        weights: Weight file, good for `--weights`.
        epochs: Epochs trained.
        seconds: What they took.
        largest_top1: Top-1 of the largest subnet on the test images, between 0 and 1.
        smallest_top1: Top-1 of the smallest.
        random_top1: Top-1 of random subnets.
    """

    run: Path
    weights: Path
    epochs: int
    seconds: float
    largest_top1: float
    smallest_top1: float
    random_top1: tuple[float, ...]


def pretrain(
    *,
    data: str,
    output: Path,
    supernet: str = "starter",
    resolutions: tuple[int, ...] | None = None,
    width: float | None = None,
    epochs: int = 60,
    plain_epochs: int = 30,
    batch: int = 128,
    learning_rate: float = 0.2,
    weight_decay: float = 5e-5,
    label_smoothing: float = 0.1,
    subnets: int = 2,
    averaging: float = 0.998,
    samples: int = 20,
    seed: int = 0,
    threads: int | None = None,
    context: Context | None = None,
) -> PretrainResult:
    """Train a supernet from random weights and test it.

    Train and validation images are all trained on, since nothing is chosen by them; the test images only tell the
    accuracy at the end. The arguments are those of `PretrainPlan`.

    Args:
        data: Name or folder of the data set.
        output: Folder of the run; it gets `supernet.safetensors`.
        supernet: Search space.
        resolutions: Input sizes; the space's own where None.
        width: The only width; all of the space's where None.
        epochs: Epochs in all.
        plain_epochs: Epochs, at the beginning, of the largest network alone.
        batch: Images in a step.
        learning_rate: Peak learning rate.
        weight_decay: Weight decay.
        label_smoothing: Label smoothing.
        subnets: Subnets of each step beside the largest.
        averaging: Decay of the moving average of the weights.
        samples: Random subnets to test.
        seed: Seed of everything random.
        threads: Threads to train with.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number or the data is not valid, or `output` holds a run.
        InterruptedWorkError: Interrupted from the keyboard; the message says how to go on.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet, resolutions, width)
    plan = PretrainPlan(
        supernet=supernet,
        resolutions=space.resolutions,
        widths=space.widths,
        data=resolved(data),
        epochs=epochs,
        plain_epochs=min(plain_epochs, epochs),
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        subnets=subnets,
        averaging=averaging,
        samples=samples,
        seed=seed,
        threads=prepare_torch(threads),
    )
    task = load_task(data, space.resolutions[-1], reporter=context.reporter)
    run = RunFolder.create(output, {"pretrain": dataclasses.asdict(plan)})
    run.begin()
    return _run(run, plan, task, context)


def resume_pretraining(path: Path, *, context: Context | None = None) -> PretrainResult:
    """Go on with pretraining that was interrupted; it ends in the weights that it would have had.

    Raises:
        InputError: `path` is not the folder of such a run, or a file in it is damaged.
        OutputError: Something cannot be written.
    """
    run = RunFolder.open(path)
    plan = PretrainPlan.from_settings(run.settings, str(path / "run.toml"))
    prepare_torch(plan.threads)
    context = context or Context()
    task = load_task(plan.data, plan.resolutions[-1], reporter=context.reporter)
    return _run(run, plan, task, context)


def _run(run: RunFolder, plan: PretrainPlan, task: Task, context: Context) -> PretrainResult:
    context.reporter.info(f"run folder: {run.path}")
    whole = dataclasses.replace(task, train=joined(task.train, task.validation))
    supernet = Supernet(plan.space, len(task.classes), seed=plan.seed)
    if torch.cuda.is_available():
        supernet.cuda()
    trainer = ElasticTrainer(
        supernet,
        whole,
        plan.recipe,
        total_epochs=plan.epochs,
        plain_epochs=plan.plain_epochs,
        seed=plan.seed,
    )
    if run.checkpoint.exists():
        trainer.restore(run.checkpoint)
    try:
        _train(run, plan, trainer, context)
        trainer.use_average()
        return _finish(run, plan, supernet.cpu(), whole, context)
    except KeyboardInterrupt as error:
        msg = "interrupted; nothing is lost but the epoch at hand"
        hint = f"go on with: natdeploy pretrain --resume {shlex.quote(str(run.path))}"
        raise InterruptedWorkError(msg, hint=hint) from error


def _train(run: RunFolder, plan: PretrainPlan, trainer: ElasticTrainer, context: Context) -> None:
    start = trainer.done
    for number in range(start, plan.epochs):
        began = context.clock.seconds()
        loss = trainer.epoch(number, None)
        trainer.save(run.checkpoint)
        run.record("epoch", {"number": number, "loss": loss, "seconds": context.clock.seconds() - began})
        context.reporter.progress("pretraining", number + 1 - start, plan.epochs - start, f"loss {loss:.3f}")


def _finish(run: RunFolder, plan: PretrainPlan, supernet: Supernet, task: Task, context: Context) -> PretrainResult:
    space = plan.space
    rows = sample(space, plan.samples, np.random.default_rng(plan.seed))
    tested = [largest(space), smallest(space), *(decode(space, row) for row in rows)]
    evaluator = SubnetEvaluator(supernet, task, recalibration_images=_RECALIBRATION_IMAGES, seed=plan.seed)
    found = []
    for number, architecture in enumerate(tested):
        found.append(evaluator.test_top1(evaluator.subnet(architecture)))
        context.reporter.progress("test", number + 1, len(tested), f"top-1 {found[-1]:.3f}")
    weights = run.path / _WEIGHTS
    write_state(weights, supernet.state_dict(), _about(plan, task))
    seconds = {event["number"]: float(event["seconds"]) for event in run.recorded("epoch")}
    result = PretrainResult(
        run=run.path,
        weights=weights,
        epochs=plan.epochs,
        seconds=round(sum(seconds.values()), 1),
        largest_top1=found[0],
        smallest_top1=found[1],
        random_top1=tuple(found[2:]),
    )
    run.record("finished", {"at": context.clock.now().isoformat(), "result": result.to_json()})
    return result


def _about(plan: PretrainPlan, task: Task) -> dict[str, str]:
    recipe = {name: value for name, value in dataclasses.asdict(plan).items() if name not in {"data", "threads"}}
    return {"recipe": json.dumps(recipe), "data": Path(task.name).name, "classes": str(len(task.classes))}
