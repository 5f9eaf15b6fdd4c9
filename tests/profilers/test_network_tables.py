"""Tables from measurements of whole networks: fitted to them, or another device's corrected by them."""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
from pathlib import Path

import numpy as np
import pytest

from natdeploy.api.context import SystemClock
from natdeploy.core.genotype import decode, sample
from natdeploy.core.latency import LatencyCorrection, count_searchable_blocks
from natdeploy.core.layers import walk
from natdeploy.core.table_errors import compute_errors
from natdeploy.errors import CoverageError, InputError
from natdeploy.io.spaces import find_space
from natdeploy.profilers.network_tables import calibrate_table, fit_table
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import HOST, made_up_table

SPACE = find_space("starter")
BOARD = dataclasses.replace(HOST, device="board")


def networks(count, *, space=SPACE, seed=0):
    """Return the layers of random networks."""
    return [walk(space, decode(space, row), 10) for row in sample(space, count, np.random.default_rng(seed))]


def measure(chosen, *, alpha=0.0, beta=1.0, gamma=0.0, noise=0.02, seed=0):
    """Return latencies that a correction of the made-up table gives, with relative noise."""
    table, rng = made_up_table(SPACE), np.random.default_rng(seed)
    return [
        (alpha + beta * table.predict(layers).latency_ms + gamma * count_searchable_blocks(layers))
        * rng.normal(1, noise)
        for layers in chosen
    ]


def fit(chosen, measured, *, space=SPACE, reporter=None):
    """Fit a table."""
    return fit_table(space, BOARD, chosen, measured, reporter=reporter or RecordingReporter(), clock=SystemClock())


def test_a_fitted_table_says_what_it_rests_on():
    """Provenance, error on held-out networks, interval, and how many rows no network holds."""
    chosen, reporter = networks(100), RecordingReporter()
    table = fit(chosen, measure(chosen), reporter=reporter)
    assert (table.provenance, table.deployment) == ("fitted", BOARD)
    assert table.find_covered_resolutions(SPACE, 10) == SPACE.resolutions
    unmeasured = sum(stats.runs == 0 for stats in table.rows.values())
    assert table.conditions["rows_without_measurement"] == unmeasured > 0
    assert f"{unmeasured} of {len(table.rows)} rows" in reporter.warnings[0]
    assert table.conditions["launch_bound"] is False
    assert table.validation.networks == table.latency_correction.networks == 100
    assert table.validation.mape_percent < 4
    others = networks(200, seed=1)
    found = compute_errors([table.predict(layers).latency_ms for layers in others], measure(others, seed=2))
    assert found.mape_percent == pytest.approx(table.validation.mape_percent, abs=1)
    assert table.latency_correction.lower_ratio < 1 < table.latency_correction.upper_ratio


def test_only_measured_resolutions_get_rows():
    """A resolution without a network is refused by name; one that is left out gets no row."""
    chosen = networks(60, space=SPACE.with_resolutions((32, 48)))
    with pytest.raises(InputError, match="no measured network has resolution 40"):
        fit(chosen, measure(chosen))
    table = fit(chosen, measure(chosen), space=SPACE.with_resolutions((48,)))
    assert table.find_covered_resolutions(SPACE, 10) == (48,)
    assert {layer.in_size for layer in table.rows if layer.op == "stem"} == {48}


def test_launch_bound_networks_make_a_table_that_says_so():
    """Latency by depth alone is flagged in fitted and in calibrated tables."""
    chosen = networks(60)
    measured = [(5 + len(layers)) * factor for layers, factor in zip(chosen, [0.99, 1.01] * 30, strict=True)]
    assert fit(chosen, measured).conditions["launch_bound"] is True
    table = calibrate_table(made_up_table(SPACE), BOARD, chosen[:20], measured[:20], clock=SystemClock())
    assert table.conditions["launch_bound"] is True
    assert "number of blocks" in table.conditions["causes"]


def test_a_calibrated_table_predicts_the_other_device():
    """Rows stay, sums are corrected, and the error on held-out networks is that on others."""
    source = dataclasses.replace(made_up_table(SPACE), runtime_version="1", fingerprint="machine")
    truth = {"alpha": 1.0, "beta": 1.7, "gamma": 0.05}
    chosen, others = networks(30), networks(200, seed=1)
    table = calibrate_table(source, BOARD, chosen, measure(chosen, **truth), clock=SystemClock())
    assert (table.provenance, table.deployment, table.rows) == ("calibrated", BOARD, source.rows)
    assert (table.runtime_version, table.fingerprint) == (None, None)
    assert table.conditions["source_provenance"] == "measured"
    found = compute_errors([table.predict(layers).latency_ms for layers in others], measure(others, **truth, seed=2))
    assert found.mape_percent < 3
    assert table.validation.mape_percent == pytest.approx(found.mape_percent, abs=1)


def test_a_correction_of_a_corrected_table_is_one_correction():
    """The source's own calibration is part of the new one."""
    first = LatencyCorrection(
        alpha_ms=0.5, beta=2.0, gamma_ms=0.1, lower_ratio=0.9, upper_ratio=1.1, coverage=0.9, networks=20
    )
    source = dataclasses.replace(made_up_table(SPACE), latency_correction=first)
    chosen = networks(12)
    measured = [3.0 * source.predict(layers).latency_ms for layers in chosen]
    table = calibrate_table(source, BOARD, chosen, measured, clock=SystemClock())
    assert [table.predict(layers).latency_ms for layers in chosen] == pytest.approx(measured)
    assert table.latency_correction.alpha_ms == pytest.approx(1.5)


def test_too_few_or_uncovered_networks_are_refused():
    """Nine networks are too few; a network that the source does not cover is named."""
    source = made_up_table(SPACE.with_resolutions((32, 40)))
    nine = networks(9)
    with pytest.raises(InputError, match="9 different networks are too few"):
        calibrate_table(source, BOARD, nine, measure(nine), clock=SystemClock())
    chosen = networks(20)
    with pytest.raises(CoverageError, match="lacks"):
        calibrate_table(source, BOARD, chosen, measure(chosen), clock=SystemClock())


def test_repeated_networks_and_equal_latencies_are_refused():
    """Copies of a few networks say no more than these; figures that are all the same were not measured."""
    source, nine = made_up_table(SPACE), networks(9)
    with pytest.raises(InputError, match="9 different networks are too few to calibrate"):
        calibrate_table(source, BOARD, 3 * nine, 3 * measure(nine), clock=SystemClock())
    chosen = networks(30)
    with pytest.raises(InputError, match="all networks have the same latency, 5 ms"):
        calibrate_table(source, BOARD, chosen, [5.0] * 30, clock=SystemClock())
    with pytest.raises(InputError, match="9 different networks are too few to fit"):
        fit_table(SPACE, BOARD, 4 * nine, 4 * measure(nine), reporter=RecordingReporter(), clock=SystemClock())


@pytest.fixture(scope="module")
def transfer():
    """Return the benchmark of transfer between two GPUs."""
    path = Path(__file__).parents[2] / "benchmarks" / "transfer.py"
    spec = importlib.util.spec_from_file_location("transfer_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def score(transfer, networks, latencies, *, batch, seen):
    """Return table, mean MAPE and mean Kendall tau over draws on the networks behind the first `seen`."""
    table = transfer.fit(networks[:seen], latencies[f"2080ti_{batch}_ms"][:seen], "ofa-mbv3-w1.2", batch)
    results = [
        scored for _, scored, _ in transfer.transfers(table, networks, latencies[f"titan_xp_{batch}_ms"], seen=seen)
    ]
    mape = statistics.mean(result.mape_percent for result in results)
    return table, mape, statistics.mean(result.kendall_tau for result in results)


@pytest.fixture(scope="module")
def measured(transfer, shared_data):
    """Return networks that were measured on two GPUs, at resolutions from 128, and their latencies."""
    return transfer.read(shared_data / transfer.FILE, "ofa-mbv3-w1.2")


def test_a_table_moves_from_one_gpu_to_another(transfer, measured):
    """At batch 64, on the networks of five resolutions: MAPE under 5 %, Kendall tau over 0.9 with 20 networks."""
    networks, latencies = measured
    kept = [place for place, layers in enumerate(networks) if layers[0].in_size in (128, 152, 176, 200, 224)]
    latencies = {name: [values[place] for place in kept] for name, values in latencies.items()}
    networks = [networks[place] for place in kept]
    table, mape, tau = score(transfer, networks, latencies, batch=64, seen=800)
    assert table.conditions["launch_bound"] is False
    assert mape < 5
    assert tau > 0.9
    table, _, _ = score(transfer, networks, latencies, batch=1, seen=800)
    assert table.conditions["launch_bound"] is True


@pytest.mark.slow
def test_a_table_of_4000_networks_moves_from_one_gpu_to_another(transfer, measured):
    """Fitted on 4,000 networks, calibrated with 20, scored on 1,000: MAPE under 5 %, Kendall tau over 0.9."""
    networks, latencies = measured
    table, mape, tau = score(transfer, networks, latencies, batch=64, seen=4000)
    assert len(table.rows) == 1257
    assert mape < 5
    assert tau > 0.9
