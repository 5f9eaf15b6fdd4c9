"""Choosing whole networks, comparing, and the interval."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.cost import space_layers
from natdeploy.core.device import Target
from natdeploy.core.genotype import repair
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats, LatencyTable
from natdeploy.core.layers import walk
from natdeploy.core.space import SPACES
from natdeploy.profilers.validation import compare, interval, leaning, random_networks, spread_networks

SPACE = dataclasses.replace(SPACES["starter"], widths=(0.5, 1.0))


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
    target = Target(device="host", runtime="onnxruntime", precision="fp32", batch=1, threads=1)
    return LatencyTable(target=target, provenance="measured", method="in-context", rows=rows)


def test_chosen_networks_spread_evenly_over_the_whole_range(table):
    """They reach from the smallest to the largest architecture without gaps or repetition."""
    networks = spread_networks(SPACE, table, 20, np.random.default_rng(0))
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
    networks = spread_networks(SPACE, table, 30, np.random.default_rng(0))
    assert {layers[0].in_size for layers in networks} == set(SPACE.resolutions)
    assert len({layers[0].out_channels for layers in networks}) == 2
    assert {layers[-1].out_channels for layers in networks} == set(CLASSIFIER_COUNTS)


def test_the_seed_decides_the_choice(table):
    """The same seed gives the same networks, another seed others."""
    first, again, other = (spread_networks(SPACE, table, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len(random_networks(SPACE, 7, np.random.default_rng(0))) == 7


def test_leaning_samples_are_canonical_and_reach_both_ends():
    """The first row is made of the smallest choices, the last of the largest."""
    rows = leaning(SPACE, 50, np.random.default_rng(0))
    assert (repair(SPACE, rows) == rows).all()
    assert rows[0].max() == 1
    assert (rows[-1][2:] == SPACE.max_gene).all()


def test_errors_are_relative_to_what_was_measured():
    """MAPE, the largest error, the share within 5 % and the rank correlation of hand-made figures."""
    result = compare([1.1, 2.0, 2.88, 4.0], [1.0, 2.0, 3.0, 5.0])
    assert result.networks == 4
    assert result.mape_percent == pytest.approx((10 + 0 + 4 + 20) / 4)
    assert result.max_error_percent == pytest.approx(20)
    assert result.within_5_percent == pytest.approx(0.5)
    assert result.kendall_tau == pytest.approx(1)
    assert compare([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]).kendall_tau == pytest.approx(-1)


def test_the_interval_takes_the_finite_sample_rank():
    """Of 20 ratios, the upper end for 90 % is the 19th and the lower the second."""
    ratios = np.arange(1, 21) / 10
    found = interval([1.0] * 20, list(ratios))
    assert (found.lower_ratio, found.upper_ratio) == (pytest.approx(0.2), pytest.approx(1.9))
    assert (found.alpha_ms, found.beta, found.gamma_ms) == (0.0, 1.0, 0.0)
    assert (found.coverage, found.networks) == (0.9, 20)


def test_too_few_networks_give_the_extreme_ratios():
    """With three networks no rank covers 90 %: all three lie inside."""
    found = interval([1.0, 1.0, 1.0], [1.2, 0.9, 1.0])
    assert (found.lower_ratio, found.upper_ratio) == (pytest.approx(0.9), pytest.approx(1.2))


def test_the_upper_end_covers_the_promised_share_of_new_networks():
    """Averaged over many draws, coverage is what conformal prediction promises."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        ratios = np.exp(rng.normal(0, 0.05, size=21))
        covered.append(ratios[20] <= interval([1.0] * 20, list(ratios[:20])).upper_ratio)
    assert np.mean(covered) == pytest.approx(19 / 21, abs=0.04)
