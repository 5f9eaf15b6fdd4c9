"""Latencies that cannot be those of a device in milliseconds, and single ones among them that are wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from natdeploy.core.device import Device
from natdeploy.core.genotype import decode, sample
from natdeploy.core.latency import LatencyTable
from natdeploy.core.layers import BLOCK, Layer, walk
from natdeploy.core.table_checks import ERROR, WARNING
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.profilers.plausibility import Expectation, check_networks, check_plausibility
from natdeploy.testing.tables import HOST, made_up_table

SPACE = find_space("starter")
TABLE = made_up_table(SPACE)
NETWORKS = [walk(SPACE, decode(SPACE, row), 10) for row in sample(SPACE, 40, np.random.default_rng(0))]
PLACES = [f"m.csv, line {place + 2}" for place in range(len(NETWORKS))]
DEVICES = [None, "server-cpu", "pixel-8"]


def describe(name: str | None) -> Device | None:
    """Return a device without a description, or a shipped one."""
    return None if name is None else find_device(name)


def check(
    change: Callable[[list[float]], Sequence[float]], device: str | None = None
) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return severity and rows of what is found in changed latencies of the networks, by code."""
    times = change([TABLE.predict(layers).latency_ms for layers in NETWORKS])
    expected = Expectation(deployment=HOST, device=describe(device))
    found = check_networks(NETWORKS, times, PLACES, expected)
    return {finding.code: (finding.severity, finding.rows) for finding in found}


def scale(table: LatencyTable, factor: float, only: Callable[[Layer], bool] = lambda _: True) -> LatencyTable:
    """Return a table with rows that are `factor` times as large."""
    rows = {
        layer: dataclasses.replace(
            stats, **{name: getattr(stats, name) * factor for name in ("median_ms", "p10_ms", "p90_ms", "mean_ms")}
        )
        if only(layer)
        else stats
        for layer, stats in table.rows.items()
    }
    return dataclasses.replace(table, rows=rows)


@pytest.mark.parametrize("device", DEVICES)
def test_good_latencies_have_no_finding(device):
    """Neither a table nor networks with some noise are suspected, whatever is known of the device."""
    noise = np.random.default_rng(0).normal(1, 0.05, len(NETWORKS))
    assert check(lambda times: np.array(times) * noise, device) == {}
    assert check_plausibility(TABLE, describe(device)) == []


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("factor", "code", "severity"),
    [(1e-3, "faster-than-possible", ERROR), (1e-6, "faster-than-possible", ERROR), (1e3, "implausibly-slow", WARNING)],
)
def test_another_unit_is_found(device, factor, code, severity):
    """Seconds are faster than any processor; microseconds are slower than any that is described."""
    assert check(lambda times: [time * factor for time in times], device) == {code: (severity, ())}
    (finding,) = check_plausibility(scale(TABLE, factor), describe(device))
    assert (finding.code, finding.severity) == (code, severity)
    assert "in place of milliseconds" in finding.explanation


def test_images_per_second_are_found():
    """They fall where the networks do more."""
    assert check(lambda times: [1000 / time for time in times])["falls-with-work"][0] == ERROR


@pytest.mark.parametrize(("factor", "severity"), [(1000, ERROR), (1e-3, ERROR), (3, WARNING), (1 / 3, WARNING)])
def test_a_single_network_is_named_by_its_line(factor, severity):
    """One latency among forty that is far off is named; much too far is an error, since a fit would hide it."""
    found = check(lambda times: [time * (factor if place == 7 else 1) for place, time in enumerate(times)])
    ((found_severity, (row,)),) = [value for code, value in found.items() if code == "outlying-networks"]
    assert found_severity == severity
    assert row.startswith("m.csv, line 9: ")


def test_latencies_that_follow_depth_alone_are_not_outliers():
    """On a device that launches one operator at a time, large networks are as fast as small ones."""
    assert "outlying-networks" not in check(lambda times: [5.0 + len(layers) for layers in NETWORKS])


def test_networks_that_contradict_themselves_are_named():
    """One network with two latencies is told with both lines."""
    networks, places = [*NETWORKS, NETWORKS[0]], [*PLACES, "m.csv, line 42"]
    times = [TABLE.predict(layers).latency_ms for layers in networks]
    times[-1] *= 1.8
    found = check_networks(networks, times, places, Expectation(deployment=HOST, device=None))
    (rows,) = [finding.rows for finding in found if finding.code == "conflicting-networks"]
    assert "m.csv, line 2: " in rows[0]
    assert "m.csv, line 42: " in rows[0]


@pytest.mark.parametrize("factor", [1000, 1e-3])
def test_a_single_row_of_a_table_is_named(factor):
    """A row that is far from those of its kind is named."""
    wrong = next(layer for layer in TABLE.rows if layer.op == BLOCK)
    (finding,) = check_plausibility(scale(TABLE, factor, lambda layer: layer == wrong), None)
    assert (finding.code, finding.severity, len(finding.rows)) == ("implausible-row", WARNING, 1)
    assert f"{wrong.in_channels}->{wrong.out_channels}" in finding.rows[0]


def test_a_gpu_may_be_as_fast_as_a_gpu():
    """The limit of a CPU's threads is not that of a GPU, with or without figures of its own."""
    fast = check_plausibility(scale(TABLE, 1e-3), dataclasses.replace(find_device("server-gpu"), roofline=None))
    assert [finding.code for finding in fast] == []
