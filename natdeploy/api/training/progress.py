"""Epochs of elastic training with progress by the step; used by the search, `adapt` and `pretrain`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from natdeploy.api.context import Context
from natdeploy.core.genotype import Population
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.supernet.training import ElasticTrainer

_PAUSE_S = 1.0


class StepProgress:
    """Reports the steps of one stage, about once a second, with the images per second.

    Work that ends within a second is not reported at all, unless `begin` announced it.

    Args:
        context: Receives the progress, and has the clock.
        stage: Name of the stage.
        total: Steps of the whole stage.
        images_per_step: Images of each step.
    """

    def __init__(self, context: Context, stage: str, total: int, images_per_step: int) -> None:
        self._context, self._stage, self._total, self._images_per_step = context, stage, total, images_per_step
        self._done, self._name, self._first, self._told = 0, "", 0, False
        self._began_s = self._said_s = context.clock.seconds()

    def begin(self, name: str) -> None:
        """Begin a part of the stage, such as an epoch. The rate is the mean of the present part."""
        self._name, self._first = name, self._done
        self._began_s = self._said_s = self._context.clock.seconds()
        self._say()

    def step(self) -> None:
        """Count one step. It is reported if the latest report is a second old, and `end` does not follow."""
        self._done += 1
        now = self._context.clock.seconds()
        if now - self._said_s >= _PAUSE_S and self._done < self._total:
            self._said_s = now
            rate = (self._done - self._first) * self._images_per_step / (now - self._began_s)
            self._say(f"{rate:.0f} images/s" if rate >= 10 else f"{rate:.1f} images/s")

    def end(self, detail: str = "") -> None:
        """Report the end of a part with what it found, unless none of the part was reported."""
        if self._told:
            self._say(detail)

    def _say(self, *details: str) -> None:
        self._told = True
        text = ", ".join(filter(None, (self._name, *details)))
        self._context.reporter.progress(self._stage, self._done, self._total, text)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """One trained epoch: its number, its mean loss, and how long it took."""

    number: int
    loss: float
    seconds: float


def train_epochs(
    trainer: ElasticTrainer, until: int, population: Population | None, *, stage: str, context: Context
) -> Iterator[Epoch]:
    """Train until `until` epochs are done, and yield each epoch before its end is reported.

    Args:
        trainer: Trainer.
        until: Number of epochs that are done at the end.
        population: Subnets are drawn from its marginals, or uniformly if it is None.
        stage: Name of the work in progress messages.
        context: Receives the progress, counted in steps, and has the clock.
    """
    start, clock = trainer.done, context.clock
    total = (until - start) * trainer.steps_per_epoch
    progress = StepProgress(context, stage, total, trainer.recipe.batch_size)
    for number in range(start, until):
        progress.begin(f"epoch {number - start + 1} of {until - start}")
        began_s = clock.seconds()
        loss = trainer.train_epoch(number, population, on_step=progress.step)
        yield Epoch(number=number, loss=loss, seconds=clock.seconds() - began_s)
        progress.end(f"loss {loss:.3f}")


def read_seconds(run: RunFolder) -> dict[int, float]:
    """Return the duration of each epoch of a run, in seconds, from its journal.

    Raises:
        InputError: The event of an epoch is damaged.
    """
    found = {}
    for event in run.events("epoch"):
        number, seconds = event.get("number"), event.get("seconds")
        if not isinstance(number, int) or not isinstance(seconds, int | float) or seconds < 0:
            msg = f"{run.journal}: the event of an epoch is damaged: number {number!r}, seconds {seconds!r}"
            raise InputError(msg, hint="take a copy of the journal that is not damaged, or start a new run")
        found[number] = seconds
    return found
