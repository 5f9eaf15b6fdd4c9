"""Whole networks against a table: which are run, what follows from them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from natdeploy.api.context import SilentReporter, SystemClock
from natdeploy.core.cost import space_layers
from natdeploy.core.device import Deployment
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats, LatencyTable, count_searchable_blocks
from natdeploy.core.timed import Disturbance, Timed
from natdeploy.io.spaces import find_space, shipped_spaces
from natdeploy.profilers.references import choose_reference_place
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.validation_networks import draw_random_networks
from natdeploy.profilers.whole_network_validation import (
    ValidationRun,
    add_validation,
    find_covered_spaces,
    measure_validation_networks,
)

STARTER, NAT = find_space("starter"), find_space("nat").with_resolutions((192, 224))
KNOWN = tuple(shipped_spaces())


def table_of(*spaces) -> LatencyTable:
    """Return a table of the spaces in which a layer takes as long as its multiply-adds say."""
    rows = {}
    for space in spaces:
        for width in space.widths:
            for resolution in space.resolutions:
                for layer in space_layers(space, width, resolution, CLASSIFIER_COUNTS):
                    ms = layer.madds / 1e6 + 0.001
                    rows[layer] = LatencyStats(median_ms=ms, p10_ms=ms, p90_ms=ms, mean_ms=ms, std_ms=0.0, runs=1)
    deployment = Deployment(device="host", runtime="onnxruntime", precision="fp32", batch=1, threads=1)
    return LatencyTable(deployment=deployment, provenance="measured", method="in-context", rows=rows)


def test_all_known_spaces_that_a_table_covers_are_checked():
    """A table that grew over several spaces has one correction, so networks of all of them count."""
    assert find_covered_spaces(table_of(STARTER), STARTER, KNOWN) == [STARTER]
    assert find_covered_spaces(table_of(STARTER, NAT), NAT, KNOWN) == [NAT, STARTER]
    assert find_covered_spaces(table_of(STARTER, NAT), STARTER, KNOWN) == [STARTER, NAT]


def test_a_space_that_is_covered_in_part_is_checked_in_this_part():
    """Resolutions and widths that have no rows yet are left out."""
    part = dataclasses.replace(NAT, widths=(1.2,), resolutions=(224,))
    assert find_covered_spaces(table_of(part), NAT, KNOWN) == [part]


def checked(networks, spread, factor=1.0, constant_ms=0.0):
    """Return networks that take what the table says times `factor`, and `constant_ms` more."""
    table = table_of(STARTER)
    measured = [factor * table.sum_ms(layers) + constant_ms for layers in networks]
    return ValidationRun(
        spread=networks[:spread],
        random=networks[spread:],
        measured_ms=measured,
        reference_latency_ms=2.0,
        noise_percent=0.1,
        unstable=0,
        disturbance=None,
    )


def test_what_the_sums_miss_is_corrected():
    """A factor and a constant are found, at the level of the quietest pass."""
    networks = draw_random_networks(STARTER, 30, np.random.default_rng(0))
    found = add_validation(table_of(STARTER), checked(networks, 20, factor=2.4, constant_ms=0.4), quietest_ms=1.0)
    layers = draw_random_networks(STARTER, 1, np.random.default_rng(1))[0]
    expected = (2.4 * found.sum_ms(layers) + 0.4) / 2
    assert found.predict(layers).latency_ms == pytest.approx(expected, rel=1e-3)
    assert (found.validation.networks, found.random_validation.networks) == (20, 10)
    assert found.validation.max_error_percent < 0.1
    assert found.random_validation.max_error_percent < 0.1


def test_errors_are_of_networks_that_the_correction_has_not_seen():
    """One network that nothing explains shows its whole error."""
    networks = draw_random_networks(STARTER, 12, np.random.default_rng(0))
    seen = checked(networks, 12)
    outlier = dataclasses.replace(seen, measured_ms=[2 * seen.measured_ms[0], *seen.measured_ms[1:]])
    found = add_validation(table_of(STARTER), outlier, quietest_ms=None)
    assert found.validation.max_error_percent == pytest.approx(50, abs=1)
    assert found.random_validation is None
    assert found.latency_correction.networks == 12


def test_the_fixed_block_does_not_count_as_searchable():
    """The correction's count of blocks is that of the active genes."""
    layers = draw_random_networks(STARTER, 1, np.random.default_rng(0))[0]
    assert count_searchable_blocks(layers) == sum(layer.op == "block" for layer in layers) - 1


class Turns:
    """A timer that knows each model by its file, keeps what it was given in one call, and is slower in each call."""

    suffix = ".model"

    def __init__(self, slower: float = 1.0) -> None:
        self.slower = slower
        self.calls: list[list[float]] = []

    def time(self, paths, *, seed):
        """Return as a model's latency what its file says."""
        self.calls.append([float(path.read_text()) for path in paths])
        slower = self.slower ** (len(self.calls) - 1)
        return Timed(
            stats=tuple(
                LatencyStats(median_ms=ms, p10_ms=ms, p90_ms=ms, mean_ms=ms, std_ms=0.0, runs=3).scale(slower)
                for ms in self.calls[-1]
            ),
            disturbance=Disturbance(others=0.1 * len(self.calls), steal=0.0, lost=0.0),
        )


class MaddsExporter:
    """Writes the sum of the table that these tests use instead of a model."""

    format, suffix = "made up", ".model"

    def write(self, network, deployment):
        """Write the sum over the layers."""
        deployment.write_text(str(sum(layer.madds / 1e6 + 0.001 for layer in network.layers)))
        return {}


def test_each_space_has_its_own_turn():
    """Networks of one space are not timed in turns with those of another; the references bring both to one level."""
    table, timer = table_of(STARTER, NAT), Turns(slower=1.3)
    setup = ProfilingSetup(
        timer=timer,
        exporter=MaddsExporter(),
        clock=SystemClock(),
        reporter=SilentReporter(),
        seed=0,
        validation_networks=6,
        known_spaces=KNOWN,
    )
    references = choose_reference_place(NAT).make_networks()
    found = measure_validation_networks(NAT, table, references, setup)
    assert len(timer.calls) == 2
    assert min(timer.calls[0]) > sorted(timer.calls[1])[-1 - len(references)]
    assert found.measured_ms == pytest.approx([table.sum_ms(layers) for layers in [*found.spread, *found.random]])
    assert (len(found.spread), len(found.random), found.unstable, found.noise_percent) == (6, 4, 0, 0.0)
    assert found.disturbance == Disturbance(others=0.2, steal=0.0, lost=0.0)
