"""What estimates are worth, on resolutions of a real table that nothing was fitted to."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from natdeploy.io.devices import find_device


@pytest.fixture(scope="module")
def estimates():
    """Return the benchmark."""
    path = Path(__file__).parents[2] / "benchmarks" / "estimates.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_estimates", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def shipped():
    """Return the shipped figures of the phone."""
    roofline = find_device("galaxy-note10").roofline
    assert roofline is not None
    return roofline


@pytest.mark.parametrize("resolution", [164, 196, 216, 224])
def test_estimates_rank_networks_better_than_multiply_adds(estimates, shipped, shared_data, resolution):
    """Over 2,000 random networks of a held-out resolution Spearman is over 0.99, MAPE after one factor under 2 %."""
    assert resolution not in estimates.FITTED
    table = estimates.measured(shared_data, resolution)
    estimated, madds = (estimates.agreement(table, resolution, figures) for figures in (shipped, None))
    assert estimates.NETWORKS == 2000
    assert estimated.spearman > 0.99 > 0.97 > madds.spearman
    assert estimated.kendall > madds.kendall
    assert estimated.mape_percent < 2 < madds.mape_percent


def test_the_shipped_coefficients_can_be_made_again(estimates, shipped, shared_data):
    """A fit to the resolutions that the description names gives what it says."""
    source = find_device("galaxy-note10").source
    assert all(str(resolution) in source for resolution in estimates.FITTED)
    tables = [estimates.measured(shared_data, resolution) for resolution in estimates.FITTED]
    made = estimates.fit(tables, shipped.peak_gmadds["fp32"])
    assert made.efficiency == pytest.approx(shipped.efficiency, rel=0.01)
    assert made.bandwidth_gb_s == pytest.approx(shipped.bandwidth_gb_s, rel=0.01)
    assert made.operator_ms == pytest.approx(shipped.operator_ms, rel=0.01)
