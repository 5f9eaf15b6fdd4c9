"""Choosing whole networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.cost import space_layers
from natdeploy.core.device import Deployment
from natdeploy.core.genotype import bounds, repair
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats, LatencyTable
from natdeploy.core.layers import walk
from natdeploy.io.spaces import find_space
from natdeploy.profilers.validation_networks import choose_spread_networks, draw_leaning_genotypes, draw_random_networks
from tests.support.strategies import MIXED

SPACE = dataclasses.replace(find_space("starter"), widths=(0.5, 1.0))


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    """Return a table whose latencies are the multiply-adds."""
    rows = {}
    for width in SPACE.widths:
        for resolution in SPACE.resolutions:
            for layer in space_layers(SPACE, width, resolution, CLASSIFIER_COUNTS):
                value = layer.madds / 1e6 + 0.001
                rows[layer] = LatencyStats(
                    median_ms=value, p10_ms=value, p90_ms=value, mean_ms=value, std_ms=0.0, runs=1
                )
    deployment = Deployment(device="host", runtime="onnxruntime", precision="fp32", batch=1, threads=1)
    return LatencyTable(deployment=deployment, provenance="measured", method="in-context", rows=rows)


def test_chosen_networks_spread_evenly_over_the_whole_range(table):
    """They reach from the smallest to the largest architecture without gaps or repetition."""
    networks = choose_spread_networks(SPACE, table, 20, np.random.default_rng(0))
    predicted = np.array([table.predict(layers).latency_ms for layers in networks])
    lowest = table.predict(walk(SPACE, smallest(SPACE), CLASSIFIER_COUNTS[0])).latency_ms
    highest = table.predict(walk(SPACE, largest(SPACE), CLASSIFIER_COUNTS[-1])).latency_ms
    assert len(set(networks)) == 20
    assert predicted[0] == pytest.approx(lowest, rel=0.05)
    assert predicted[-1] == pytest.approx(highest, rel=0.05)
    step = (highest - lowest) / 19
    assert np.abs(np.diff(predicted) / step - 1).max() < 0.5


def test_chosen_networks_cover_resolutions_and_widths(table):
    """No resolution or width of the space is left out."""
    networks = choose_spread_networks(SPACE, table, 30, np.random.default_rng(0))
    assert {layers[0].in_size for layers in networks} == set(SPACE.resolutions)
    assert len({layers[0].out_channels for layers in networks}) == 2
    assert {layers[-1].out_channels for layers in networks} == set(CLASSIFIER_COUNTS)


def test_the_seed_decides_the_choice(table):
    """The same seed gives the same networks, another seed others."""
    first, again, other = (choose_spread_networks(SPACE, table, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(draw_random_networks(SPACE, 7, np.random.default_rng(0))) == 7


@pytest.mark.parametrize("space", [SPACE, MIXED], ids=["starter", "mixed"])
def test_leaning_samples_are_canonical_and_reach_both_ends(space):
    """The first row is made of the smallest choices, the last of the largest."""
    rows = draw_leaning_genotypes(space, 50, np.random.default_rng(0))
    assert (repair(space, rows) == rows).all()
    assert rows[0].max() == 1
    assert (rows[-1] == bounds(space)[1]).all()
