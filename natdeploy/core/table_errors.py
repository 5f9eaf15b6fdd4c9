"""Errors of predicted latencies: how far a table's predictions are from whole networks that were really run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from natdeploy.core.latency import Validation
from natdeploy.errors import InputError

Values = NDArray[np.float64]


def compute_errors(predicted: ArrayLike, measured: ArrayLike) -> Validation:
    """Compare `n` predicted with `n` measured latencies, both in milliseconds.

    Raises:
        InputError: The lists are empty or of different length, or a latency is not positive.
    """
    guess, truth = require_positive(predicted=predicted, measured=measured)
    errors = np.abs(guess / truth - 1) * 100
    return Validation(
        networks=len(truth),
        mape_percent=round(float(errors.mean()), 3),
        max_error_percent=round(float(errors.max()), 3),
        within_5_percent=round(float((errors <= 5).mean()), 3),
        spearman_rho=round(compute_spearman(guess, truth), 4),
        kendall_tau=round(compute_kendall(guess, truth), 4),
    )


def compute_spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two lists; 0 if one of them is constant, 1 for a single pair."""
    # Importing scipy.stats takes a second, which commands without a validation do not spend.
    from scipy.stats import spearmanr

    known = _known_correlation(first, second)
    return float(spearmanr(first, second).statistic) if known is None else known


def compute_kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Return Kendall's tau-b of two lists; 0 if one of them is constant, 1 for a single pair."""
    from scipy.stats import kendalltau

    known = _known_correlation(first, second)
    return float(kendalltau(first, second).statistic) if known is None else known


def require_positive(**lists: ArrayLike) -> list[Values]:
    """Return the lists as arrays, once it is checked that they have one length and hold positive numbers alone.

    Raises:
        InputError: They do not; the message names the list, and the place in it.
    """
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in lists.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        msg = f"latencies to compare must be as many on both sides, and some: {lengths}"
        raise InputError(msg)
    for name, values in arrays.items():
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            msg = f"{name}[{wrong[0]}] is {values[wrong[0]]:g}: a latency is a positive number of milliseconds"
            raise InputError(msg)
    return list(arrays.values())


def _known_correlation(first: ArrayLike, second: ArrayLike) -> float | None:
    """Return the correlation of lists for which scipy has none; None if scipy has one."""
    if np.size(first) < 2:
        return 1.0
    return 0.0 if np.ptp(first) == 0 or np.ptp(second) == 0 else None
