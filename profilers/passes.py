"""Measuring a device: passes over widths and resolutions, then whole networks against the sums."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from natdeploy.core.calibration import COVERAGE, compare, conformal_interval
from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS, Calibration, LatencyTable
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.ports import Clock, Exporter, ModelTimer, Profiler, Reporter
from natdeploy.profilers.drift import Pass, level_ms
from natdeploy.profilers.in_context import InContext, covering_networks
from natdeploy.profilers.meter import Meter
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.validation import spread_networks

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
        return self.profiler(Path()).method

    def profiler(self, folder: Path) -> Profiler:
        """Return the best way to measure layers on the device; model files go into `folder`.

        Raises:
            InputError: There is none.
        """
        if not self.timer.tells_operators:
            msg = f"{self.timer.fingerprint()}: this runtime does not tell how long each operator takes"
            raise InputError(msg)
        files = ModelFiles(self.exporter, folder, seed=self.seed)
        return InContext(timer=self.timer, files=files, seed=self.seed)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """Whole networks, what they took, and the level of the device meanwhile."""

    networks: Networks
    measured_ms: list[float]
    level_ms: float


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


def measure_places(space: SearchSpace, places: Sequence[Place], journal: RowJournal, bench: Bench) -> None:
    """Measure the layers of each width and resolution of `places`; each goes into the journal as soon as it is done."""
    references = reference_networks(space)
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
        profiler = bench.profiler(Path(folder))
        for done, (width, resolution) in enumerate(places):
            bench.reporter.progress("profile", done, len(places), f"width {width:g}, resolution {resolution}")
            rows, level = profiler.measure(space, width, resolution, references)
            journal.append(Pass(rows=rows, level_ms=level_ms(level)))
    bench.reporter.progress("profile", len(places), len(places))


def measure_whole(space: SearchSpace, table: LatencyTable, count: int, bench: Bench) -> Checked:
    """Measure `count` networks whose latency by `table` spreads evenly over the range of `space`."""
    networks = spread_networks(space, table, count, np.random.default_rng(bench.seed))
    references = reference_networks(space)
    bench.reporter.info(f"checking the table on {len(networks)} whole networks")
    meter = Meter(exporter=bench.exporter, timer=bench.timer, seed=bench.seed)
    measured = meter.measure([*networks, *references])
    return Checked(
        networks=networks,
        measured_ms=[stats.median_ms for stats in measured[: len(networks)]],
        level_ms=level_ms(measured[len(networks) :]),
    )


def quietest_level(passes: Sequence[Pass], checked: Checked | None) -> float | None:
    """Return the lowest level of all passes, None where none is known."""
    levels = [measured.level_ms for measured in passes if measured.level_ms is not None]
    if checked is not None:
        levels.append(checked.level_ms)
    return min(levels, default=None)


def with_errors(table: LatencyTable, checked: Checked, quietest_ms: float | None) -> LatencyTable:
    """Return `table` with its errors over whole networks, and the interval that follows."""
    factor = 1.0 if quietest_ms is None else quietest_ms / checked.level_ms
    measured = [value * factor for value in checked.measured_ms]
    predicted = [table.predict(layers).latency_ms for layers in checked.networks]
    lower, upper = conformal_interval(predicted, measured)
    interval = Calibration(lower_ratio=lower, upper_ratio=upper, coverage=COVERAGE, networks=len(measured))
    return dataclasses.replace(table, validation=compare(predicted, measured), calibration=interval)
