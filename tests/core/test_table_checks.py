"""What is found wrong with a table, each by its own name, and nothing with a good one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from natdeploy.core.genotype import decode, sample
from natdeploy.core.latency import LatencyStats, LatencyTable
from natdeploy.core.layers import BLOCK, walk
from natdeploy.core.table_checks import (
    check_measurements,
    check_rows,
    find_copied_rows,
    find_missing_rows,
    find_probable_places,
)
from natdeploy.io.foreign_tables import read_ofa
from natdeploy.io.spaces import find_space, shipped_spaces
from natdeploy.testing.tables import HOST, made_up_table

SPACE = find_space("starter")
DEVICE = dataclasses.replace(HOST, device="other")


def stats(median_ms, *, spread=0.0, std=0.0, runs=10):
    """Return statistics around a median."""
    return LatencyStats(
        median_ms=median_ms,
        p10_ms=median_ms * (1 - spread),
        p90_ms=median_ms * (1 + spread),
        mean_ms=median_ms,
        std_ms=std,
        runs=runs,
    )


@pytest.fixture
def table() -> LatencyTable:
    """Return a table without faults."""
    return made_up_table(SPACE)


def changed(table, change):
    """Return the table with other rows: `change` gets layer and latency and returns statistics, or None to drop it."""
    rows = {layer: change(layer, row.median_ms) for layer, row in table.rows.items()}
    return dataclasses.replace(table, rows={layer: row for layer, row in rows.items() if row is not None})


def codes(findings):
    """Return the names of findings."""
    return [finding.code for finding in findings]


def networks(count, seed=0):
    """Return the layers of random networks."""
    rows = sample(SPACE, count, np.random.default_rng(seed))
    return [walk(SPACE, decode(SPACE, row), 10) for row in rows]


def test_nothing_is_found_in_a_good_table(table):
    """A table whose rows follow the work is free of findings."""
    assert check_rows(table) == []
    assert find_missing_rows(table, find_probable_places(table, shipped_spaces())) == []
    other = changed(table, lambda layer, ms: stats(1.01 * ms))
    assert find_copied_rows(table, {"other": other}) == []


def test_medians_outside_their_quantiles_are_found(table):
    """A median below p10 or above p90 cannot come from runs."""
    first = next(iter(table.rows))
    wrong = changed(table, lambda layer, ms: stats(ms, spread=-0.5 if layer == first else 0.01))
    (found,) = [finding for finding in check_rows(wrong) if finding.code == "disordered"]
    assert (found.severity, len(found.rows)) == ("error", 1)


def test_nothing_is_found_in_the_table_of_the_note10(shared_data):
    """The published table that is known to be good has no finding."""
    foreign = read_ofa(shared_data / "latency" / "note10", find_space("ofa-mbv3-w1.2"))
    table = LatencyTable(deployment=DEVICE, provenance="imported", method="ofa-lut", rows=foreign.rows)
    assert check_rows(table) == []
    places = find_probable_places(table, shipped_spaces())
    assert {(space.name, resolution) for space, _, resolution in places} == {
        ("ofa-mbv3-w1.2", resolution) for resolution in range(160, 225, 4)
    }
    assert find_missing_rows(table, places) == []


def test_missing_rows_are_named(table):
    """Resolutions of which the table has most layers must be whole; others only where they are asked for."""
    lost = next(layer for layer in table.rows if layer.op == BLOCK and layer.kernel == 5)
    partial = changed(table, lambda layer, ms: None if layer == lost else stats(ms))
    (finding,) = find_missing_rows(partial, find_probable_places(partial, shipped_spaces()))
    assert (finding.code, finding.severity, len(finding.rows)) == ("missing-rows", "error", 1)
    assert "kernel 5" in finding.rows[0]
    assert find_missing_rows(partial, [(SPACE, 0.5, 64)])[0].rows


def test_a_table_without_classifier_misses_it(table):
    """One count of classes is enough, none is not."""
    headless = changed(table, lambda layer, ms: None if layer.op == "classifier" else stats(ms))
    assert "classifier" in find_missing_rows(headless, find_probable_places(headless, shipped_spaces()))[0].rows[0]
    one = changed(table, lambda layer, ms: None if (layer.op, layer.out_channels) == ("classifier", 10) else stats(ms))
    assert find_missing_rows(one, find_probable_places(one, shipped_spaces())) == []


@pytest.mark.parametrize("field", ["kernel", "mid_channels", "in_size"])
def test_rows_quicker_than_smaller_ones_are_found(table, field):
    """In kernel, expand ratio and feature-map size; the row and what it undercuts are named."""
    odd = max((layer for layer in table.rows if layer.op == BLOCK), key=lambda layer: (getattr(layer, field), layer))
    (finding,) = check_rows(changed(table, lambda layer, ms: stats(0.3 * ms if layer == odd else ms)))
    assert (finding.code, finding.severity) == ("non-monotone", "warning")
    assert len(finding.rows) == 1


def test_noise_is_not_called_non_monotone(table):
    """A drop within 5 %, or within what the rows vary, is noise."""
    rng = np.random.default_rng(0)
    slightly = {layer: rng.uniform(0.98, 1.02) for layer in table.rows}
    flat = changed(table, lambda layer, ms: stats(slightly[layer] * 2.0 ** round(np.log2(ms))))
    assert "non-monotone" not in codes(check_rows(flat))
    wild = {layer: rng.uniform(0.8, 1.2) for layer in table.rows}
    noisy = changed(table, lambda layer, ms: stats(wild[layer], std=0.6 * wild[layer], runs=2))
    assert "non-monotone" not in codes(check_rows(noisy))


def test_rows_of_high_variance_are_found(table):
    """By the quantiles, which outliers do not move; by the deviation where there are no quantiles."""
    odd = next(iter(table.rows))
    for row in (stats(1.0, spread=0.5), stats(1.0, std=0.4)):
        found = check_rows(changed(table, lambda layer, ms, row=row: row if layer == odd else stats(ms)))
        assert codes(found) == ["high-variance"]
        assert len(found[0].rows) == 1
    assert check_rows(changed(table, lambda layer, ms: stats(ms, spread=0.05, std=9 * ms))) == []


def test_rows_of_another_device_are_found(table):
    """More than three rows that agree to the last digit are copied."""
    layers = list(table.rows)
    other = dataclasses.replace(
        changed(table, lambda layer, ms: stats(ms * (1.0 if layer in layers[:4] else 1.1))), deployment=DEVICE
    )
    mine = changed(table, lambda layer, ms: stats(ms))
    (finding,) = find_copied_rows(mine, {"other": other})
    assert (finding.code, finding.severity, len(finding.rows)) == ("equal-to-other", "error", 4)
    assert "other" in finding.explanation
    fewer = changed(table, lambda layer, ms: stats(ms * (1.0 if layer in layers[:3] else 1.1)))
    assert find_copied_rows(mine, {"other": fewer}) == []


def test_tables_that_may_share_rows_are_not_called_copies(table):
    """A calibrated table keeps the rows of its source; estimates may rest on the same figures."""
    assert find_copied_rows(dataclasses.replace(table, provenance="calibrated"), {"source": table}) == []
    estimate = dataclasses.replace(table, provenance="estimated")
    assert find_copied_rows(estimate, {"twin": estimate}) == []
    assert codes(find_copied_rows(table, {"twin": estimate})) == ["equal-to-other"]


def test_latencies_that_ignore_resolution_are_found(table):
    """Rows that follow the channels and not the pixels."""
    flat = changed(table, lambda layer, ms: stats(0.01 * layer.mid_channels + 0.001 * layer.kernel + 0.01))
    assert "no-size-dependence" in codes(check_rows(flat))


def test_launch_bound_tables_are_found(table):
    """Rows that are one constant, or a table that says so of itself."""
    constant = changed(table, lambda layer, ms: stats(0.5))
    assert codes(check_rows(constant)) == ["no-size-dependence", "launch-bound"]
    said = dataclasses.replace(table, conditions={"launch_bound": True, "causes": "depth explains all"})
    (finding,) = check_rows(said)
    assert finding.code == "launch-bound"
    assert "depth explains all" in finding.explanation


def test_sums_are_no_measurements(table):
    """Latencies that layers' times add up to exactly were never measured: by this table's rows or by any."""
    few, many = networks(12), networks(600)
    sums = [2.0 * table.predict(layers).latency_ms for layers in few]
    assert codes(check_measurements(table, few, sums)) == ["exact-sums"]
    other = changed(table, lambda layer, ms: stats(ms**0.7 + 0.001 * layer.kernel))
    sums = [other.predict(layers).latency_ms for layers in many]
    assert codes(check_measurements(table, many, sums)) == ["exact-sums"]


def test_measurements_with_noise_are_believed(table):
    """Neither few nor many noisy latencies are called sums."""
    rng = np.random.default_rng(0)
    for count in (12, 600):
        chosen = networks(count)
        measured = [table.predict(layers).latency_ms * rng.normal(1, 0.01) for layers in chosen]
        assert check_measurements(table, chosen, measured) == []


def test_launch_bound_measurements_are_found(table):
    """Latencies that follow the number of blocks."""
    rng = np.random.default_rng(0)
    chosen = networks(40)
    measured = [(5 + len(layers)) * rng.normal(1, 0.02) for layers in chosen]
    assert codes(check_measurements(table, chosen, measured)) == ["launch-bound"]


def test_an_empty_table_is_no_reason_to_fail(table):
    """Where no row could be read there is nothing more to find."""
    empty = dataclasses.replace(table, rows={})
    assert check_rows(empty) == []
    assert find_probable_places(empty, shipped_spaces()) == []
