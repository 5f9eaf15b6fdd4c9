"""The correction of a table's sums, and the interval around it."""

from __future__ import annotations

import numpy as np
import pytest

from natdeploy.core.latency_correction import (
    CorrectionTerms,
    compute_conformal_interval,
    fit_correction,
    fit_correction_with_interval,
    make_fold_masks,
    predict_held_out,
)
from natdeploy.core.table_errors import compute_errors
from natdeploy.errors import InputError


def sample(count, *, alpha=0.0, beta=1.0, gamma=0.0, noise=0.0, seed=0):
    """Return sums, blocks and measured latencies that follow a correction, with relative noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(10, 21, size=count)
    sums = blocks * rng.uniform(0.5, 2.0, size=count)
    measured = (alpha + beta * sums + gamma * blocks) * np.exp(rng.normal(0, noise, size=count))
    return sums.tolist(), blocks.tolist(), measured.tolist()


@pytest.mark.parametrize(("predicted", "measured"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([-1.0], [1.0])])
def test_latencies_that_do_not_match_are_refused(predicted, measured):
    """Lists that are empty, of different length or hold what is no latency are refused."""
    with pytest.raises(InputError):
        compute_conformal_interval(predicted, measured)
    with pytest.raises(InputError):
        fit_correction(predicted, [10] * len(predicted), measured)


def test_the_interval_takes_the_finite_sample_rank():
    """Of 20 ratios, the upper end for 90 % is the 19th and the lower the second; of 19 for 95 % the last."""
    ratios = np.arange(1, 21) / 10
    assert compute_conformal_interval([1.0] * 20, ratios) == (pytest.approx(0.2), pytest.approx(1.9))
    assert compute_conformal_interval([1.0] * 19, ratios[:19], 0.95) == (pytest.approx(0.1), pytest.approx(1.9))
    assert compute_conformal_interval([1.0] * 19, ratios[:19], 0.9) == (pytest.approx(0.2), pytest.approx(1.8))


def test_too_few_networks_give_the_extreme_ratios():
    """With three networks no rank covers 90 %: all three lie inside."""
    assert compute_conformal_interval([1.0, 1.0, 1.0], [1.2, 0.9, 1.0]) == (pytest.approx(0.9), pytest.approx(1.2))


def test_the_upper_end_covers_the_promised_share_of_new_networks():
    """Averaged over many draws, coverage is what conformal prediction promises."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        ratios = np.exp(rng.normal(0, 0.05, size=21))
        covered.append(ratios[20] <= compute_conformal_interval([1.0] * 20, ratios[:20])[1])
    assert np.mean(covered) == pytest.approx(19 / 21, abs=0.04)


def test_an_exact_correction_is_found():
    """Without noise the coefficients that made the latencies come back, each term or none."""
    for wanted in ({}, {"alpha": 3.0}, {"gamma": 0.2}, {"alpha": 2.0, "beta": 1.4, "gamma": 0.1}):
        found = fit_correction(*sample(30, **wanted))
        assert found.alpha_ms == pytest.approx(wanted.get("alpha", 0.0), abs=1e-6)
        assert found.beta == pytest.approx(wanted.get("beta", 1.0), abs=1e-6)
        assert found.gamma_ms == pytest.approx(wanted.get("gamma", 0.0), abs=1e-6)


@pytest.mark.parametrize(("count", "terms"), [(1, 1), (7, 1), (11, 2)])
def test_few_networks_get_few_terms(count, terms):
    """Each term takes four networks, whatever would fit them better."""
    found = fit_correction(*sample(count, alpha=3.0, gamma=0.3))
    assert 1 + (found.alpha_ms != 0) + (found.gamma_ms != 0) == terms
    assert found.beta > 1


def test_terms_that_do_not_help_are_small():
    """Where only a factor made the latencies, the correction is close to that factor for all of them."""
    sums, blocks, measured = sample(20, beta=0.8, noise=0.03)
    corrected = fit_correction(sums, blocks, measured).apply(sums, blocks)
    assert np.abs(corrected / (0.8 * np.array(sums)) - 1).max() < 0.04


def test_beta_stays_positive_and_nothing_is_predicted_negative():
    """Latencies that fall while the sums rise do not turn the table upside down."""
    sums = np.linspace(1, 20, 20)
    found = fit_correction(sums.tolist(), [10] * 20, (30 - sums).tolist())
    assert found.beta > 0
    assert (found.apply(sums, [10] * 20) > 0).all()


def test_relative_errors_count():
    """A small network that is off by a share weighs as much as a large one: not the largest decides the factor."""
    found = fit_correction([1.0, 1.0, 100.0], [10, 10, 10], [2.0, 2.0, 120.0])
    assert found.beta > 1.4


def test_held_out_predictions_have_not_seen_the_network():
    """Changing one network's latency does not change what is predicted for it."""
    sums, blocks, measured = sample(20, alpha=1.0, noise=0.05)
    before = predict_held_out(sums, blocks, measured)
    changed = [*measured[:3], 3 * measured[3], *measured[4:]]
    after = predict_held_out(sums, blocks, changed)
    assert after[3] == before[3]
    assert (np.delete(after, 3) != np.delete(before, 3)).all()


def test_a_network_that_was_left_out_is_never_predicted_negative():
    """On a noisy device, too, the fits without a network give it a positive latency."""
    for seed in range(200):
        rng = np.random.default_rng(seed)
        sums = np.sort(rng.uniform(0.05, 3.0, size=12))
        measured = np.maximum(0.02, 1.3 * sums - 0.4) * np.exp(rng.normal(0, 0.8, size=12))
        assert (predict_held_out(sums.tolist(), rng.integers(10, 21, size=12).tolist(), measured.tolist()) > 0).all()


def test_folds_are_a_partition():
    """Every network is in one fold, and no fold is empty."""
    for count, folds in ((7, 3), (3, 10)):
        masks = np.stack(list(make_fold_masks(count, folds)))
        assert (masks.sum(axis=0) == 1).all()
        assert masks.any(axis=1).all()


def test_a_correction_states_what_new_networks_will_see():
    """The error and the coverage that a correction by 20 networks states hold, on average, for others."""
    covered, stated, seen = [], [], []
    for seed in range(60):
        sums, blocks, measured = sample(60, alpha=2.0, beta=1.3, gamma=0.1, noise=0.05, seed=seed)
        correction, checked = fit_correction_with_interval(sums[:20], blocks[:20], measured[:20])
        fitted = CorrectionTerms(alpha_ms=correction.alpha_ms, beta=correction.beta, gamma_ms=correction.gamma_ms)
        predicted = fitted.apply(sums[20:], blocks[20:])
        covered.append(np.mean(np.array(measured[20:]) <= predicted * correction.upper_ratio))
        stated.append(checked.mape_percent)
        seen.append(compute_errors(predicted, measured[20:]).mape_percent)
    assert correction.networks == checked.networks == 20
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)
    assert np.mean(stated) == pytest.approx(np.mean(seen), rel=0.1)


def test_one_network_is_not_enough_to_state_an_error():
    """There must be one to fit on and one to check on."""
    with pytest.raises(InputError, match="too few"):
        fit_correction_with_interval([1.0], [10], [1.0])
