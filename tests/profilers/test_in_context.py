"""The in-context method: networks that cover a space, shares, and rows."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import layer_names
from natdeploy.core.operators import ModelProfile, Node
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.profilers.covering_networks import make_covering_networks
from natdeploy.profilers.in_context import compute_layer_shares, merge_rows
from natdeploy.profilers.sessions import MeasurementSession, compute_reference_latency, merge_sessions
from natdeploy.testing.choices import with_choices
from tests.support.strategies import MIXED


def stats(median_ms: float) -> LatencyStats:
    """Return statistics without spread."""
    return LatencyStats(median_ms=median_ms, p10_ms=median_ms, p90_ms=median_ms, mean_ms=median_ms, std_ms=0.0, runs=2)


@pytest.mark.parametrize(
    "space",
    [
        find_space("starter"),
        find_space("nat"),
        with_choices(find_space("starter"), kernels=(3, 5), expand_ratios=(2, 4)),
        with_choices(find_space("starter"), kernels=(3,), expand_ratios=(2,), depths=(1,)),
        find_space("lite"),
        MIXED,
    ],
    ids=["starter", "nat", "even", "single", "lite", "mixed"],
)
def test_the_networks_hold_every_layer_of_a_resolution(space):
    """Whatever the family, no layer of the space is missing from the networks."""
    for width in space.widths:
        networks = make_covering_networks(space, width, space.resolutions[-1])
        held = {layer for layers in networks for layer in layers}
        assert held == set(space_layers(space, width, space.resolutions[-1], CLASSIFIER_COUNTS))


def test_nine_networks_of_like_size_are_enough():
    """The full space needs nine networks, none much larger than another."""
    networks = make_covering_networks(find_space("ofa-mbv3-w1.0"), 1.0, 224)
    madds = [sum(layer.madds for layer in layers) for layers in networks]
    assert len(networks) == 9
    assert max(madds) / min(madds) < 1.2


def profile_of(layers, times_us) -> ModelProfile:
    """Return a profile with one operator a layer, and one that moves nothing."""
    scopes = [name.replace("blocks.", "blocks/blocks.") for name in layer_names(layers)]
    nodes = [Node(name=f"/{scope}/Conv", op="Conv", consumers=()) for scope in scopes]
    return ModelProfile(
        nodes=(*nodes, Node(name="/Flatten", op="Flatten", consumers=())), times_us=times_us, with_overhead=True
    )


def test_shares_add_up_and_leave_out_the_profilers_own_cost():
    """An operator's share is its time less what profiling costs."""
    layers = make_covering_networks(find_space("starter"), 0.5, 32)[0]
    times = np.full((4, len(layers) + 1), 20.0)
    times[:, 0], times[:, -1] = 38.0, 2.0
    shares = compute_layer_shares(layers, profile_of(layers, times))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["stem"] / shares["pooling"] == pytest.approx((38 - 1.8) / (20 - 1.8))
    assert shares["classifier"] / shares["pooling"] == pytest.approx((20 - 1.8 + 0.2) / (20 - 1.8))


def test_disturbed_runs_do_not_change_the_shares():
    """A layer that is slow in some runs keeps the share of its quiet ones."""
    layers = make_covering_networks(find_space("starter"), 0.5, 32)[0]
    times = np.full((8, len(layers) + 1), 20.0)
    times[:, -1] = 2.0
    quiet = compute_layer_shares(layers, profile_of(layers, times))
    noisy = times.copy()
    noisy[3:, 5] = 400.0
    assert compute_layer_shares(layers, profile_of(layers, noisy)) == pytest.approx(quiet)


def test_rows_are_shares_of_the_time_without_a_profiler():
    """Equal layers of a network are averaged, of several networks the median is taken."""
    networks = make_covering_networks(find_space("starter"), 0.5, 32)[:3]
    shares = [dict.fromkeys(layer_names(layers), 1 / len(layers)) for layers in networks]
    whole = [stats(len(layers) * factor) for layers, factor in zip(networks, (1.0, 2.0, 9.0), strict=True)]
    rows = merge_rows(networks, whole, shares)
    stem = networks[0][0]
    assert rows[stem].median_ms == pytest.approx(2)
    only_first = next(layer for layer in networks[0] if all(layer not in other for other in networks[1:]))
    assert rows[only_first].median_ms == pytest.approx(1)


def test_a_layer_without_time_is_named():
    """A runtime that counts the operators of a layer to other layers cannot be profiled in context, and says so."""
    layers = make_covering_networks(find_space("starter"), 0.5, 32)[0]
    shares = {**dict.fromkeys(layer_names(layers), 0.1), "pooling": 0.0}
    with pytest.raises(InputError, match="no time of the layer pooling at size 1") as caught:
        merge_rows([layers], [stats(0.4)], [shares])
    assert "tables fit" in str(caught.value.hint)


def test_the_rows_of_a_network_sum_to_its_time():
    """What was measured of a single network is given out to its layers, all of it."""
    layers = make_covering_networks(find_space("starter"), 0.5, 32)[4]
    times = np.random.default_rng(0).uniform(5, 50, size=(6, len(layers) + 1))
    rows = merge_rows([layers], [stats(0.4)], [compute_layer_shares(layers, profile_of(layers, times))])
    assert sum(rows[layer].median_ms for layer in layers) == pytest.approx(0.4, rel=1e-3)


def test_passes_are_joined_at_the_level_of_the_quietest():
    """Rows of a noisy pass are scaled down by what its reference networks took longer."""
    one, other = make_covering_networks(find_space("starter"), 0.5, 32)[0][:2]
    sessions = [
        MeasurementSession(rows={one: stats(3.0)}, reference_latency_ms=1.5),
        MeasurementSession(rows={one: stats(9.0), other: stats(4.0)}, reference_latency_ms=2.0),
    ]
    rows = merge_sessions(sessions, 1.0)
    assert (rows[one].median_ms, rows[other].median_ms) == (pytest.approx(2.0), pytest.approx(2.0))
    assert merge_sessions([MeasurementSession(rows={one: stats(3.0)}, reference_latency_ms=None)], 1.0)[
        one
    ].median_ms == pytest.approx(3.0)
    assert compute_reference_latency([stats(1.0), stats(4.0)]) == pytest.approx(2.0)
