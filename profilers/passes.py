"""Measuring the layers of a space on a device, in passes over its widths and resolutions."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.ports import Clock, Exporter, ModelTimer, Profiler, Reporter
from natdeploy.profilers.budget import Budget, by_importance
from natdeploy.profilers.drift import Pass, level_ms
from natdeploy.profilers.in_context import InContext, covering_networks
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.whole_networks import CorrectedByNetworks

Networks = list[tuple[Layer, ...]]
Place = tuple[float, int]
_REFERENCES = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a profile works with.

    Args:
        timer: The device.
        exporter: Writer of the files that it runs, with operators named after the network's modules.
        clock: Source of time.
        reporter: Where progress goes.
        seed: Seed of weights, images and order.
    """

    timer: ModelTimer
    exporter: Exporter
    clock: Clock
    reporter: Reporter
    seed: int

    @property
    def method(self) -> str:
        """Name of the way in which layers are measured on the device."""
        return self.profiler(ModelFiles(self.exporter, Path(), seed=self.seed)).method

    def with_effort(self, effort: float) -> Bench:
        """Return a bench that measures for about `effort` times as long, at the cost of noise."""
        return self if effort == 1 else dataclasses.replace(self, timer=self.timer.with_effort(effort))

    def profiler(self, files: ModelFiles) -> Profiler:
        """Return the best way to measure layers on the device."""
        if self.timer.tells_operators:
            return InContext(timer=self.timer, files=files, seed=self.seed)
        return CorrectedByNetworks(timer=self.timer, files=files, seed=self.seed)


def reference_networks(space: SearchSpace) -> Networks:
    """Return the networks that every pass over `space` is compared by: some of those of its middle resolution."""
    middle = space.resolutions[len(space.resolutions) // 2]
    return covering_networks(space, space.widths[0], middle)[:_REFERENCES]


def lacking(space: SearchSpace, rows: Container[Layer]) -> list[Place]:
    """Return the widths and resolutions of `space` of which not every layer has a row."""
    return [
        (width, resolution)
        for width in space.widths
        for resolution in space.resolutions
        if any(layer not in rows for layer in space_layers(space, width, resolution, CLASSIFIER_COUNTS))
    ]


def measure_places(
    space: SearchSpace, places: Sequence[Place], journal: RowJournal, bench: Bench, budget: Budget | None
) -> list[Place]:
    """Measure the layers of each width and resolution of `places`; each goes into the journal as soon as it is done.

    With a budget, those that matter most come first, and those that it does not reach are returned.
    """
    references = reference_networks(space)
    waiting = list(places) if budget is None else by_importance(places)
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
        files = ModelFiles(bench.exporter, Path(folder), seed=bench.seed)
        while waiting:
            effort = 1.0 if budget is None else budget.effort(len(waiting))
            if effort is None:
                break
            width, resolution = waiting.pop(0)
            done = len(places) - len(waiting) - 1
            bench.reporter.progress("profile", done, len(places), f"width {width:g}, resolution {resolution}")
            profiler = bench.with_effort(effort).profiler(files)
            started = bench.clock.seconds()
            rows, level = profiler.measure(space, width, resolution, references)
            journal.append(Pass(rows=rows, level_ms=level_ms(level)))
            if budget is not None:
                budget.spent(effort, bench.clock.seconds() - started)
    bench.reporter.progress("profile", len(places) - len(waiting), len(places))
    return waiting
