"""Rows of a table from whole networks alone."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.core.cost import space_layers
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import walk
from natdeploy.core.table_errors import compute_errors
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.profilers.fitting import fit_rows

SPACE = find_space("starter")


def networks(count, *, space=SPACE, seed=0):
    """Return the layers of random networks."""
    return [walk(space, decode(space, row), 10) for row in sample(space, count, np.random.default_rng(seed))]


def true_ms(layer):
    """Return what a layer really takes: work at a rate that depends on the kind of layer, and a launch."""
    rate = 1.0 + 0.3 * (layer.kernel == 5) + 0.5 * layer.se
    return 0.02 + rate * layer.madds / 1e7


def measure(chosen, *, noise=0.01, seed=0):
    """Return the latency of networks, with relative noise."""
    factors = np.random.default_rng(seed).normal(1, noise, size=len(chosen))
    return [factor * sum(map(true_ms, layers)) for factor, layers in zip(factors, chosen, strict=True)]


def test_the_rows_predict_networks_that_were_not_measured():
    """Also rates that the prior does not know are found, from fewer networks than there are rows."""
    chosen, others = networks(200), networks(100, seed=1)
    everything = [layer for r in SPACE.resolutions for layer in space_layers(SPACE, 0.5, r, [10])]
    fitted = fit_rows(chosen, measure(chosen), everything)
    predicted = [sum(fitted.rows[layer].median_ms for layer in layers) for layers in others]
    result = compute_errors(predicted, [sum(map(true_ms, layers)) for layers in others])
    assert len(fitted.rows) > 200
    assert result.mape_percent < 1.5
    assert result.kendall_tau > 0.95
    stated = compute_errors(fitted.predicted_ms, measure(chosen))
    assert stated.mape_percent == pytest.approx(result.mape_percent, abs=1.0)


def test_rows_that_no_network_holds_are_named_and_plausible():
    """They rest on the prior: positive, and near what they really take; `runs` says how many networks hold a row."""
    chosen = networks(40)
    everything = [layer for r in SPACE.resolutions for layer in space_layers(SPACE, 0.5, r, [10])]
    fitted = fit_rows(chosen, measure(chosen), everything)
    held = {layer for layers in chosen for layer in layers}
    assert fitted.unseen
    assert set(fitted.unseen) == set(everything) - held
    assert all(fitted.rows[layer].runs == 0 for layer in fitted.unseen)
    ratios = [fitted.rows[layer].median_ms / true_ms(layer) for layer in fitted.unseen]
    assert 0.5 < min(ratios) <= max(ratios) < 2
    stem = chosen[0][0]
    assert fitted.rows[stem].runs == sum(stem in layers for layers in chosen)


def test_rows_are_positive_whatever_was_measured():
    """Latencies that fall with the work do not make a row negative or zero."""
    chosen = networks(60)
    measured = [1e3 / sum(map(true_ms, layers)) ** 3 for layers in chosen]
    fitted = fit_rows(chosen, measured, [])
    assert min(row.median_ms for row in fitted.rows.values()) > 0


def test_too_few_networks_are_refused():
    """Nineteen do not make a table."""
    chosen = networks(19)
    with pytest.raises(InputError, match="19 networks are too few"):
        fit_rows(chosen, measure(chosen), [])
