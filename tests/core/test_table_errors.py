"""Errors of predicted latencies and their rank correlations."""

from __future__ import annotations

import pytest

from natdeploy.core.table_errors import compute_errors, compute_kendall, compute_spearman
from natdeploy.errors import InputError


def test_errors_are_relative_to_what_was_measured():
    """MAPE, the largest error, the share within 5 % and the rank correlations of hand-made figures."""
    result = compute_errors([1.1, 2.0, 2.88, 4.0], [1.0, 2.0, 3.0, 5.0])
    assert result.networks == 4
    assert result.mape_percent == pytest.approx((10 + 0 + 4 + 20) / 4)
    assert result.max_error_percent == pytest.approx(20)
    assert result.within_5_percent == pytest.approx(0.5)
    assert (result.spearman_rho, result.kendall_tau) == (1, 1)
    backwards = compute_errors([3.0, 2.0, 1.0], [1.0, 2.0, 3.0])
    assert (backwards.spearman_rho, backwards.kendall_tau) == (-1, -1)


def test_rank_correlations_share_the_ranks_of_ties():
    """With a tie on one side they are what the textbook formulas give by hand: tau-b, and equal ranks averaged."""
    first, second = [1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]
    assert compute_kendall(first, second) == pytest.approx(5 / (5 * 6) ** 0.5)
    assert compute_spearman(first, second) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_rank_correlations_of_little():
    """A single pair is in order; a constant list has no order."""
    assert (compute_kendall([1.0], [2.0]), compute_spearman([1.0], [2.0])) == (1, 1)
    assert (compute_kendall([1.0, 1.0], [1.0, 2.0]), compute_spearman([1.0, 1.0], [1.0, 2.0])) == (0, 0)


@pytest.mark.parametrize(("predicted", "measured"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([-1.0], [1.0])])
def test_what_cannot_be_compared_is_refused(predicted, measured):
    """Lists that are empty, of different length or hold what is no latency are refused."""
    with pytest.raises(InputError):
        compute_errors(predicted, measured)
