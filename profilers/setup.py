"""What a profile works with: a device, an exporter, a clock and a reporter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from natdeploy.core.space import SearchSpace
from natdeploy.ports import Clock, Exporter, ModelTimer, Profiler, Reporter
from natdeploy.profilers.budget import Budget
from natdeploy.profilers.corrected import CorrectedProfiler
from natdeploy.profilers.in_context import InContextProfiler
from natdeploy.profilers.model_files import ModelFiles


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ProfilingSetup:
    """What a profile works with.

    Args:
        timer: The device.
        exporter: Writer of the files that the device runs. It names operators after the network's modules.
        clock: Source of time.
        reporter: Receives progress and warnings.
        seed: Seed of weights, images and order.
        budget: Time that the profile may take; None for as long as it needs.
        validation_networks: Number of whole networks, spread over the range of latencies, that validate the table;
            half as many random ones are added. With 0 the table has no validation, no correction and no interval.
        known_spaces: Spaces whose networks validate a table too, as far as it covers them.
    """

    timer: ModelTimer
    exporter: Exporter
    clock: Clock
    reporter: Reporter
    seed: int
    budget: Budget | None = None
    validation_networks: int = 20
    known_spaces: tuple[SearchSpace, ...] = ()

    @property
    def method(self) -> str:
        """Name of the method that measures layers on the device."""
        return self.make_profiler(ModelFiles(self.exporter, Path(), seed=self.seed)).method

    def with_effort(self, effort: float) -> ProfilingSetup:
        """Return a setup that measures for about `effort` times as long; less effort means more noise."""
        return self if effort == 1 else dataclasses.replace(self, timer=self.timer.with_effort(effort))

    def make_profiler(self, files: ModelFiles) -> Profiler:
        """Return the most accurate profiler that the device allows."""
        if self.timer.times_operators:
            return InContextProfiler(timer=self.timer, files=files, seed=self.seed)
        return CorrectedProfiler(timer=self.timer, files=files, seed=self.seed)
