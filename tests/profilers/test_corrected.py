"""Layers timed alone, and corrected by whole networks, through a timer that tells no operators."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from natdeploy.api.context import SilentReporter, SystemClock
from natdeploy.core import genotype
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import POOLING, STEM, walk
from natdeploy.core.timed import Timed
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.io.spaces import find_space
from natdeploy.profilers.corrected import CorrectedProfiler, draw_correcting_networks
from natdeploy.profilers.isolated import SHORTEST_MS, IsolatedProfiler, list_distinct_layers
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.references import choose_reference_place
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.table_building import profile_device
from natdeploy.profilers.validation_networks import choose_spread_networks
from natdeploy.testing.tables import made_up_table
from tests.support.host_timer import SHORT, host_timer

SPACE = find_space("starter").with_resolutions((48,))
LAYERS = list_distinct_layers(SPACE, 0.5, 48)
OVERHEAD_MS = 0.003
ALONE = {layer: 0.0 if layer.op == POOLING else 0.001 + layer.madds / 1e8 for layer in LAYERS}


class Files:
    """Paths that stand for models, without any file."""

    def __init__(self) -> None:
        self.models = []

    def path(self, layers):
        """Return a path that names the model."""
        self.models.append(tuple(layers))
        return Path(str(len(self.models) - 1))


class FakeTimer:
    """Knows what each layer takes, alone and in a network, and adds what a call takes, and noise."""

    def __init__(self, files, *, slower=1.0, noise=0.0) -> None:
        self.files, self.slower, self.noise = files, slower, noise

    def time(self, paths, *, seed):
        """Return made-up times."""
        rng = np.random.default_rng(seed)
        return Timed(stats=tuple(self._stats(self.files.models[int(str(path))], rng) for path in paths))

    def _stats(self, model, rng):
        value = sum(ALONE.get(layer, 0.0005 * layer.in_size) for layer in model)
        value *= self.slower if model[-1].op == "classifier" and len(model) > 5 else 1.0
        value = (value + OVERHEAD_MS) * (1 + rng.normal(0, self.noise))
        return LatencyStats(median_ms=value, p10_ms=value, p90_ms=value, mean_ms=value, std_ms=0.0, runs=7)


def measured(profiler, **options):
    """Profile with a fake timer."""
    files = Files()
    rows, references = profiler(timer=FakeTimer(files, **options), files=files, seed=0).measure(
        SPACE, 0.5, 48, choose_reference_place(SPACE).make_networks()
    )
    assert len(references) == len(choose_reference_place(SPACE).make_networks())
    return rows


def test_isolated_rows_are_the_layers_own_times():
    """What carries an image to the layer, and what a call takes, is taken off; a layer of no time gets a row too."""
    rows = measured(IsolatedProfiler)
    assert set(rows) == set(LAYERS)
    for layer in LAYERS:
        carried = 0.0005 if layer.op == STEM else 0.0
        assert rows[layer].median_ms == pytest.approx(max(ALONE[layer] - carried, SHORTEST_MS), abs=2e-6)
    assert all(stats.median_ms > 0 and stats.runs == 7 for stats in rows.values())


def test_rows_are_brought_to_what_whole_networks_take():
    """Where networks take half as long again as their layers alone, the rows say so, for networks of no fit too."""
    rows = measured(CorrectedProfiler, slower=1.5, noise=0.005)
    assert set(rows) == set(LAYERS)
    for network in choose_spread_networks(SPACE, made_up_table(SPACE), 20, np.random.default_rng(5)):
        expected = 1.5 * sum(ALONE[layer] for layer in network) + OVERHEAD_MS
        assert sum(rows[layer].median_ms for layer in network) == pytest.approx(expected, rel=0.06)


def test_equal_models_are_timed_once():
    """A carrier that several layers share has one file and one time."""
    files = Files()
    CorrectedProfiler(timer=FakeTimer(files), files=files, seed=0).measure(SPACE, 0.5, 48, [])
    assert len(files.models) == len(set(files.models))


def test_networks_that_correct_are_not_those_that_check():
    """The smallest and largest architectures, which every check holds, and the chosen ones are in no fit."""
    for name in ("starter", "ofa-mbv3-w1.0"):
        space = find_space(name)
        place = space.with_resolutions(space.resolutions[:1])
        correcting = set(draw_correcting_networks(space, space.widths[0], place.resolutions[0], 14, seed=0))
        assert len(correcting) == 14
        ends = {walk(place, end(place), classes) for end in (smallest, largest) for classes in (10, 100, 1000)}
        checking = choose_spread_networks(place, made_up_table(place), 50, np.random.default_rng(0))
        assert not correcting & {*ends, *checking}


def test_networks_that_correct_spread_over_sizes():
    """From small to large, all of the width and resolution asked for."""
    networks = draw_correcting_networks(SPACE, 0.5, 48, 14, seed=0)
    madds = [sum(layer.madds for layer in network) for network in networks]
    sampled = genotype.sample(SPACE, 300, np.random.default_rng(0))
    usual = [sum(layer.madds for layer in walk(SPACE, genotype.decode(SPACE, row), 10)) for row in sampled]
    assert min(madds) < min(usual)
    assert max(madds) > max(usual)
    assert {network[0].in_size for network in networks} == {48}


def test_a_space_is_profiled_with_litert_for_real(tmp_path):
    """Every layer gets a positive row, the table names the method, and its sums rank whole networks."""
    space = find_space("starter").with_resolutions((32,))
    timing = dataclasses.replace(SHORT, rounds=4, max_rounds=4, round_s=0.0005, min_runs=1, quiet_rounds=2)
    deployment = Deployment(device="host", runtime="litert", precision="fp32", batch=1, threads=1)
    with host_timer("litert", timing=timing) as timer:
        setup = ProfilingSetup(
            timer=timer,
            exporter=TfliteDirectExporter(),
            clock=SystemClock(),
            reporter=SilentReporter(),
            seed=0,
            validation_networks=8,
        )
        table = profile_device(space, deployment, setup, existing=None, journal=tmp_path / "rows.jsonl")
    assert table.method == setup.method == "isolated+whole-networks"
    assert set(table.rows) == set(list_distinct_layers(space, 0.5, 32))
    assert all(stats.median_ms > 0 for stats in table.rows.values())
    assert table.validation.kendall_tau > 0.3


def test_other_formats_can_be_timed_layer_by_layer(tmp_path):
    """Single layers make ONNX files as well, those without a map included."""
    from natdeploy.export.onnx import OnnxExporter
    from natdeploy.profilers.isolated import make_isolated_models
    from natdeploy.runtimes.onnx_runtime import OnnxRuntime

    files = ModelFiles(OnnxExporter(), tmp_path, seed=0)
    tail = [layer for layer in LAYERS if layer.op not in ("block", STEM)]
    for model in make_isolated_models(tail):
        session = OnnxRuntime().open(files.path(model), threads=1)
        assert session.input_size == model[0].in_size
        image = np.zeros((1, 3, session.input_size, session.input_size), np.float32)
        assert session.run(image).size == model[-1].out_size ** 2 * model[-1].out_channels
