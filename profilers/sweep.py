"""Measuring the layers of a space on a device: one session for each width and resolution."""

from __future__ import annotations

from collections.abc import Container, Sequence

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.profilers.budget import sort_by_importance
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.sessions import MeasurementSession, compute_reference_latency
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.temporary import temporary_folder

Place = tuple[float, int]


def find_missing_places(space: SearchSpace, rows: Container[Layer]) -> list[Place]:
    """Return the widths and resolutions of `space` that have a layer without a row."""
    return [
        (width, resolution)
        for width in space.widths
        for resolution in space.resolutions
        if any(layer not in rows for layer in space_layers(space, width, resolution, CLASSIFIER_COUNTS))
    ]


def measure_places(
    space: SearchSpace, places: Sequence[Place], journal: RowJournal, setup: ProfilingSetup
) -> list[Place]:
    """Measure the layers of each width and resolution of `places`; each session goes into the journal at its end.

    Returns:
        The places that the budget did not allow. With a budget, the most important places come first.
    """
    budget = setup.budget
    waiting = list(places) if budget is None else sort_by_importance(places)
    with temporary_folder() as folder:
        files = ModelFiles(setup.exporter, folder, seed=setup.seed)
        while waiting:
            effort = 1.0 if budget is None else budget.choose_effort(len(waiting))
            if effort is None:
                break
            width, resolution = waiting.pop(0)
            done = len(places) - len(waiting) - 1
            setup.reporter.progress("profile", done, len(places), f"width {width:g}, resolution {resolution}")
            profiler = setup.with_effort(effort).make_profiler(files)
            started = setup.clock.seconds()
            rows, timed = profiler.measure(space, width, resolution, journal.references)
            journal.append(MeasurementSession(rows=rows, reference_latency_ms=compute_reference_latency(timed)))
            if budget is not None:
                budget.record(effort, setup.clock.seconds() - started)
    setup.reporter.progress("profile", len(places) - len(waiting), len(places))
    return waiting
