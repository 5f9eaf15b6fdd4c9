"""What measured whole networks say of predicted latencies: their errors, a correction, and an interval around it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from natdeploy.core.latency import Calibration, Validation
from natdeploy.errors import InputError

Values = NDArray[np.float64]
COVERAGE = 0.9
_ALPHA, _BETA, _GAMMA = 0, 1, 2
_TERMS = ((_BETA,), (_ALPHA, _BETA), (_BETA, _GAMMA), (_ALPHA, _BETA, _GAMMA))
_NETWORKS_A_TERM = 4
_STRENGTHS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
_LEAVE_ONE_OUT = 50
_FOLDS = 10


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Coefficients:
    """The correction `alpha_ms + beta * sum + gamma_ms * blocks`; the one without arguments changes nothing."""

    alpha_ms: float = 0.0
    beta: float = 1.0
    gamma_ms: float = 0.0

    def apply(self, sums: ArrayLike, blocks: ArrayLike) -> Values:
        """Return the corrected latency, in ms, of networks with these sums (ms) and counts of searchable blocks."""
        corrected: Values = self.alpha_ms + self.beta * np.asarray(sums) + self.gamma_ms * np.asarray(blocks)
        return corrected


def fit_calibration(sums: Sequence[float], blocks: Sequence[int], measured: Sequence[float]) -> Coefficients:
    """Fit a correction of a table's sums to measured networks, by least squares on the relative error.

    Constant and blocks each get a term only where there are four networks a term, and where leaving one network out
    after the other says that the term helps; a ridge may hold both small. `beta` is always positive, and no
    correction takes away more than half of what `beta` times the sum leaves.

    Args:
        sums: The table's sum over the layers of each network, in ms.
        blocks: Searchable blocks of each network: all but the fixed one.
        measured: Measured latency of each network, in ms.

    Raises:
        InputError: There is no network, the lists are of different length, or a figure is not positive.
    """
    design, scale = _design(sums, blocks, measured)
    best, least = Coefficients(), math.inf
    for terms, strength in _candidates(len(design)):
        fitted, error = _fit(design, terms, strength)
        found = fitted / scale
        if error < least and _sensible(found, design, scale):
            best = Coefficients(alpha_ms=float(found[_ALPHA]), beta=float(found[_BETA]), gamma_ms=float(found[_GAMMA]))
            least = error
    return best


def held_out(
    sums: Sequence[float], blocks: Sequence[int], measured: Sequence[float], *, folds: int | None = None
) -> Values:
    """Return the latency of each network, in ms, as corrected by a fit that did not see it.

    Args:
        sums: As for `fit_calibration`, like the next two.
        blocks: Searchable blocks.
        measured: Measured latency.
        folds: Parts to leave out in turn; by default every network alone, and ten parts of more than 50 networks.

    Raises:
        InputError: There are fewer than two networks, or the figures are not valid.
    """
    count = len(sums)
    if count < 2:
        msg = f"{count} network is too few to fit on some and check on others"
        raise InputError(msg)
    parts = folds or (count if count <= _LEAVE_ONE_OUT else _FOLDS)
    total, number, truth = np.asarray(sums, float), np.asarray(blocks), np.asarray(measured, float)
    predicted = np.empty(count)
    for part in fold_masks(count, parts):
        kept = ~part
        fitted = fit_calibration(total[kept].tolist(), number[kept].tolist(), truth[kept].tolist())
        predicted[part] = fitted.apply(total[part], number[part])
    return predicted


def fold_masks(count: int, folds: int) -> Iterator[NDArray[np.bool_]]:
    """Yield, for each of `folds` parts, which of `count` things belong to it; every one belongs to one part."""
    part = np.arange(count) % min(folds, count)
    for number in range(min(folds, count)):
        yield part == number


def calibrate(
    sums: Sequence[float], blocks: Sequence[int], measured: Sequence[float], *, coverage: float = COVERAGE
) -> tuple[Calibration, Validation]:
    """Return the correction fitted to all networks, with interval and errors from fits that did not see each.

    The sample is too small to be split in a part for the fit and one for the interval, so each network in turn
    is left out of a fit, its selection of terms included, and the ratios of these held-out predictions make the
    interval. Source: the jackknife with the finite-sample rank, and cross-validation in its place for large samples
    (Barber, Candes, Ramdas and Tibshirani, Predictive inference with the jackknife+, Annals of Statistics 2021). What
    is stored is one ratio and not the jackknife+'s many fits, so its bound is approximate where a fit is not stable.

    Raises:
        InputError: There are fewer than two networks, or the figures are not valid.
    """
    predicted = held_out(sums, blocks, measured)
    fitted = fit_calibration(sums, blocks, measured)
    lower, upper = conformal_interval(predicted, measured, coverage)
    correction = Calibration(
        alpha_ms=round(fitted.alpha_ms, 9),
        beta=float(f"{fitted.beta:.9g}"),
        gamma_ms=round(fitted.gamma_ms, 9),
        lower_ratio=lower,
        upper_ratio=upper,
        coverage=coverage,
        networks=len(sums),
    )
    return correction, compare(predicted, measured)


def conformal_interval(predicted: ArrayLike, measured: ArrayLike, coverage: float = COVERAGE) -> tuple[float, float]:
    """Return the ends of the interval relative to a prediction; each holds the share `coverage` of new networks.

    `predicted` must come from a fit that did not see the networks. Source: split conformal prediction (Vovk,
    Gammerman and Shafer, Algorithmic Learning in a Random World, 2005) on the ratio of measured to predicted latency,
    with the finite-sample rank `ceil((n + 1) * coverage)`; with too few networks for that rank the extreme ratio is
    taken, which 1 in `n + 1` new networks lies beyond.

    Raises:
        InputError: The lists are empty or of different length, or a figure is not positive.
    """
    guess, truth = _positive(predicted=predicted, measured=measured)
    ratios = np.sort(truth / guess)
    # A hair less, so that a product such as 20 * 0.95 does not round up to the next rank.
    rank = min(math.ceil((len(ratios) + 1) * coverage - 1e-9), len(ratios))
    return round(float(ratios[len(ratios) - rank]), 6), round(float(ratios[rank - 1]), 6)


def compare(predicted: ArrayLike, measured: ArrayLike) -> Validation:
    """Compare predicted with measured latency, both in milliseconds.

    Raises:
        InputError: The lists are empty or of different length, or a figure is not positive.
    """
    guess, truth = _positive(predicted=predicted, measured=measured)
    errors = np.abs(guess / truth - 1) * 100
    return Validation(
        networks=len(truth),
        mape_percent=round(float(errors.mean()), 3),
        max_error_percent=round(float(errors.max()), 3),
        within_5_percent=round(float((errors <= 5).mean()), 3),
        spearman_rho=round(spearman(guess, truth), 4),
        kendall_tau=round(kendall(guess, truth), 4),
    )


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation of two lists; 0 where one does not vary, 1 for a single pair."""
    one, other = _ranks(np.asarray(first)), _ranks(np.asarray(second))
    if len(one) < 2:
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    spread = math.sqrt(float((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / spread if spread else 0.0


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Return Kendall's tau-b of two lists; 0 where one does not vary, 1 for a single pair."""
    one, other = np.asarray(first, float), np.asarray(second, float)
    if len(one) < 2:
        return 1.0
    agree = first_pairs = second_pairs = 0.0
    for place in range(1, len(one)):
        step, rise = np.sign(one[place] - one[:place]), np.sign(other[place] - other[:place])
        agree += float(step @ rise)
        first_pairs += float(step @ step)
        second_pairs += float(rise @ rise)
    return agree / math.sqrt(first_pairs * second_pairs) if first_pairs and second_pairs else 0.0


def _ranks(values: NDArray[Any]) -> Values:
    """Return the rank of each value from 0 up; equal ones share the middle of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Values = (np.cumsum(count) - (count + 1) / 2)[place]
    return ranks


def _positive(**lists: ArrayLike) -> list[Values]:
    """Return the lists as arrays of one length whose figures are all positive."""
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


def _design(sums: ArrayLike, blocks: ArrayLike, measured: ArrayLike) -> tuple[Values, Values]:
    """Return the terms of each network relative to its latency, and the sizes that bring the terms to one scale."""
    total, number, truth = _positive(sums=sums, blocks=blocks, measured=measured)
    columns = np.stack([np.ones(len(truth)), total, number], axis=1)
    relative = columns / truth[:, None]
    scale = relative.mean(axis=0)
    return relative / scale, scale


def _candidates(networks: int) -> Iterator[tuple[tuple[int, ...], float]]:
    for terms, strength in itertools.product(_TERMS, _STRENGTHS):
        plain = len(terms) == 1
        if plain and strength:
            continue
        if plain or networks >= _NETWORKS_A_TERM * len(terms):
            yield terms, strength


def _fit(design: Values, terms: tuple[int, ...], strength: float) -> tuple[Values, float]:
    """Return the three coefficients with those not in `terms` zero, and the mean squared leave-one-out error."""
    used = design[:, terms]
    penalty = np.diag([0.0 if term == _BETA else strength * len(design) for term in terms])
    inverse = np.linalg.pinv(used.T @ used + penalty)
    found = inverse @ used.sum(axis=0)
    leverage = np.einsum("ij,jk,ik->i", used, inverse, used)
    residual = (1.0 - used @ found) / np.maximum(1.0 - leverage, 1e-9)
    coefficients = np.zeros(3)
    coefficients[list(terms)] = found
    return coefficients, float((residual**2).mean())


def _sensible(found: Values, design: Values, scale: Values) -> bool:
    parts = design * scale * found
    return bool(found[_BETA] > 0 and (parts[:, _ALPHA] + parts[:, _GAMMA] >= -0.5 * parts[:, _BETA]).all())
