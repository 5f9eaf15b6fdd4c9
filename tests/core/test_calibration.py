"""Errors of predictions, the correction of a table's sums, and the interval around it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from natdeploy.core.calibration import (
    Coefficients,
    calibrate,
    compare,
    conformal_interval,
    fit_calibration,
    fold_masks,
    held_out,
    kendall,
    spearman,
)
from natdeploy.errors import InputError


def sample(count, *, alpha=0.0, beta=1.0, gamma=0.0, noise=0.0, seed=0):
    """Return sums, blocks and measured latencies that follow a correction, with relative noise."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(10, 21, size=count)
    sums = blocks * rng.uniform(0.5, 2.0, size=count)
    measured = (alpha + beta * sums + gamma * blocks) * np.exp(rng.normal(0, noise, size=count))
    return sums.tolist(), blocks.tolist(), measured.tolist()


def test_errors_are_relative_to_what_was_measured():
    """MAPE, the largest error, the share within 5 % and the rank correlations of hand-made figures."""
    result = compare([1.1, 2.0, 2.88, 4.0], [1.0, 2.0, 3.0, 5.0])
    assert result.networks == 4
    assert result.mape_percent == pytest.approx((10 + 0 + 4 + 20) / 4)
    assert result.max_error_percent == pytest.approx(20)
    assert result.within_5_percent == pytest.approx(0.5)
    assert (result.spearman_rho, result.kendall_tau) == (1, 1)
    backwards = compare([3.0, 2.0, 1.0], [1.0, 2.0, 3.0])
    assert (backwards.spearman_rho, backwards.kendall_tau) == (-1, -1)


@pytest.mark.parametrize("levels", [5, 1000])
def test_rank_correlations_are_the_usual_ones(levels):
    """With ties and without, they are what scipy computes."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(levels, size=(2, 60)).astype(float)
    second += first
    assert kendall(first, second) == pytest.approx(kendalltau(first, second).statistic, abs=1e-12)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_rank_correlations_of_little():
    """One pair is in order; a list that does not vary has no order."""
    assert (kendall([1.0], [2.0]), spearman([1.0], [2.0])) == (1, 1)
    assert (kendall([1.0, 1.0], [1.0, 2.0]), spearman([1.0, 1.0], [1.0, 2.0])) == (0, 0)


@pytest.mark.parametrize(("predicted", "measured"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([-1.0], [1.0])])
def test_what_cannot_be_compared_is_refused(predicted, measured):
    """Lists that are empty, of different length or hold what is no latency are refused."""
    with pytest.raises(InputError):
        compare(predicted, measured)
    with pytest.raises(InputError):
        conformal_interval(predicted, measured)
    with pytest.raises(InputError):
        fit_calibration(predicted, [10] * len(predicted), measured)


def test_the_interval_takes_the_finite_sample_rank():
    """Of 20 ratios, the upper end for 90 % is the 19th and the lower the second; of 19 for 95 % the last."""
    ratios = np.arange(1, 21) / 10
    assert conformal_interval([1.0] * 20, ratios) == (pytest.approx(0.2), pytest.approx(1.9))
    assert conformal_interval([1.0] * 19, ratios[:19], 0.95) == (pytest.approx(0.1), pytest.approx(1.9))
    assert conformal_interval([1.0] * 19, ratios[:19], 0.9) == (pytest.approx(0.2), pytest.approx(1.8))


def test_too_few_networks_give_the_extreme_ratios():
    """With three networks no rank covers 90 %: all three lie inside."""
    assert conformal_interval([1.0, 1.0, 1.0], [1.2, 0.9, 1.0]) == (pytest.approx(0.9), pytest.approx(1.2))


def test_the_upper_end_covers_the_promised_share_of_new_networks():
    """Averaged over many draws, coverage is what conformal prediction promises."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        ratios = np.exp(rng.normal(0, 0.05, size=21))
        covered.append(ratios[20] <= conformal_interval([1.0] * 20, ratios[:20])[1])
    assert np.mean(covered) == pytest.approx(19 / 21, abs=0.04)


def test_an_exact_correction_is_found():
    """Without noise the coefficients that made the latencies come back, each term or none."""
    for wanted in ({}, {"alpha": 3.0}, {"gamma": 0.2}, {"alpha": 2.0, "beta": 1.4, "gamma": 0.1}):
        found = fit_calibration(*sample(30, **wanted))
        assert found.alpha_ms == pytest.approx(wanted.get("alpha", 0.0), abs=1e-6)
        assert found.beta == pytest.approx(wanted.get("beta", 1.0), abs=1e-6)
        assert found.gamma_ms == pytest.approx(wanted.get("gamma", 0.0), abs=1e-6)


@pytest.mark.parametrize(("count", "terms"), [(1, 1), (7, 1), (11, 2)])
def test_few_networks_get_few_terms(count, terms):
    """Each term takes four networks, whatever would fit them better."""
    found = fit_calibration(*sample(count, alpha=3.0, gamma=0.3))
    assert 1 + (found.alpha_ms != 0) + (found.gamma_ms != 0) == terms
    assert found.beta > 1


def test_terms_that_do_not_help_are_small():
    """Where only a factor made the latencies, the correction is close to that factor for all of them."""
    sums, blocks, measured = sample(20, beta=0.8, noise=0.03)
    corrected = fit_calibration(sums, blocks, measured).apply(sums, blocks)
    assert np.abs(corrected / (0.8 * np.array(sums)) - 1).max() < 0.04


def test_beta_stays_positive_and_nothing_is_predicted_negative():
    """Latencies that fall while the sums rise do not turn the table upside down."""
    sums = np.linspace(1, 20, 20)
    found = fit_calibration(sums.tolist(), [10] * 20, (30 - sums).tolist())
    assert found.beta > 0
    assert (found.apply(sums, [10] * 20) > 0).all()


def test_relative_errors_count():
    """A small network that is off by a share weighs as much as a large one: not the largest decides the factor."""
    found = fit_calibration([1.0, 1.0, 100.0], [10, 10, 10], [2.0, 2.0, 120.0])
    assert found.beta > 1.4


def test_held_out_predictions_have_not_seen_the_network():
    """Changing one network's latency does not change what is predicted for it."""
    sums, blocks, measured = sample(20, alpha=1.0, noise=0.05)
    before = held_out(sums, blocks, measured)
    changed = [*measured[:3], 3 * measured[3], *measured[4:]]
    after = held_out(sums, blocks, changed)
    assert after[3] == before[3]
    assert (np.delete(after, 3) != np.delete(before, 3)).all()


def test_folds_are_a_partition():
    """Every network is in one fold, and no fold is empty."""
    for count, folds in ((7, 3), (3, 10)):
        masks = np.stack(list(fold_masks(count, folds)))
        assert (masks.sum(axis=0) == 1).all()
        assert masks.any(axis=1).all()


def test_a_calibration_states_what_new_networks_will_see():
    """Error and coverage that a calibration of 20 networks states hold, on average, for others."""
    covered, stated, seen = [], [], []
    for seed in range(60):
        sums, blocks, measured = sample(60, alpha=2.0, beta=1.3, gamma=0.1, noise=0.05, seed=seed)
        correction, checked = calibrate(sums[:20], blocks[:20], measured[:20])
        fitted = Coefficients(alpha_ms=correction.alpha_ms, beta=correction.beta, gamma_ms=correction.gamma_ms)
        predicted = fitted.apply(sums[20:], blocks[20:])
        covered.append(np.mean(np.array(measured[20:]) <= predicted * correction.upper_ratio))
        stated.append(checked.mape_percent)
        seen.append(compare(predicted, measured[20:]).mape_percent)
    assert correction.networks == checked.networks == 20
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)
    assert np.mean(stated) == pytest.approx(np.mean(seen), rel=0.1)


def test_one_network_is_not_enough_to_state_an_error():
    """There must be one to fit on and one to check on."""
    with pytest.raises(InputError, match="too few"):
        calibrate([1.0], [10], [1.0])
