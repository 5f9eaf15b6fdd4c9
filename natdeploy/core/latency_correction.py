"""Correcting the sums of a latency table by measured whole networks, and the interval around a corrected sum."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from natdeploy.core.latency import LatencyCorrection, Validation
from natdeploy.core.table_errors import compute_errors, require_positive
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
class CorrectionTerms:
    """The terms of a correction `alpha_ms + beta * sum + gamma_ms * blocks`; the defaults change nothing."""

    alpha_ms: float = 0.0
    beta: float = 1.0
    gamma_ms: float = 0.0

    def apply(self, sums: ArrayLike, blocks: ArrayLike) -> Values:
        """Return the corrected latency, in ms, of networks with these sums (ms) and counts of searchable blocks."""
        corrected: Values = self.alpha_ms + self.beta * np.asarray(sums) + self.gamma_ms * np.asarray(blocks)
        return corrected


def fit_correction(
    sums: Sequence[float],
    blocks: Sequence[int],
    measured: Sequence[float],
    *,
    others: tuple[ArrayLike, ArrayLike] | None = None,
) -> CorrectionTerms:
    """Fit a correction of a table's sums to measured networks, by least squares on the relative error.

    The constant and the blocks each get a term only if there are four networks for each term and leave-one-out
    validation says that the term helps. A ridge may keep both small. `beta` is always positive, and the other two
    terms never take away more than half of `beta` times the sum, neither of these networks nor of `others`.

    Args:
        sums: The table's sum over the layers of each network, in ms.
        blocks: Searchable blocks of each network: all but the fixed one.
        measured: Measured latency of each network, in ms.
        others: Sums and blocks of networks that are not fitted, but that the correction is for.

    Raises:
        InputError: The lists are empty or of different length, or a number is not positive.
    """
    design, scale = _design(sums, blocks, measured)
    total, number = (sums, blocks) if others is None else map(np.append, (sums, blocks), others)
    best, least = CorrectionTerms(), math.inf
    for terms, strength in _candidates(len(design)):
        fitted, error = _fit(design, terms, strength)
        found = fitted / scale
        if error < least and _sensible(found, np.asarray(total), np.asarray(number)):
            best = CorrectionTerms(
                alpha_ms=float(found[_ALPHA]), beta=float(found[_BETA]), gamma_ms=float(found[_GAMMA])
            )
            least = error
    return best


def predict_held_out(
    sums: Sequence[float], blocks: Sequence[int], measured: Sequence[float], *, folds: int | None = None
) -> Values:
    """Return the latency of each network, in ms, corrected by a fit that did not see this network.

    Args:
        sums: As for `fit_correction`, like `blocks` and `measured`.
        blocks: Searchable blocks.
        measured: Measured latency.
        folds: Number of folds. The default is leave-one-out, and ten folds for more than 50 networks.

    Raises:
        InputError: There are fewer than two networks, or a number is not positive.
    """
    count = len(sums)
    if count < 2:
        msg = f"{count} network is too few: a correction is fitted to some networks and checked on others"
        raise InputError(msg)
    parts = folds or (count if count <= _LEAVE_ONE_OUT else _FOLDS)
    total, number, truth = np.asarray(sums, float), np.asarray(blocks), np.asarray(measured, float)
    predicted = np.empty(count)
    for part in make_fold_masks(count, parts):
        kept = ~part
        left_out = total[part], number[part]
        fitted = fit_correction(total[kept].tolist(), number[kept].tolist(), truth[kept].tolist(), others=left_out)
        predicted[part] = fitted.apply(total[part], number[part])
    return predicted


def make_fold_masks(count: int, folds: int) -> Iterator[NDArray[np.bool_]]:
    """Yield the mask of each of `folds` folds over `count` items; every item belongs to exactly one fold."""
    part = np.arange(count) % min(folds, count)
    for number in range(min(folds, count)):
        yield part == number


def fit_correction_with_interval(
    sums: Sequence[float], blocks: Sequence[int], measured: Sequence[float], *, coverage: float = COVERAGE
) -> tuple[LatencyCorrection, Validation]:
    """Return the correction fitted to all networks, with its interval, and the errors of held-out predictions.

    There are too few networks to set some aside for the interval. So each network in turn is left out of a fit, which
    chooses its terms anew, and the interval is made of the ratios of measured to held-out latency. Source: the
    jackknife with the finite-sample rank, and cross-validation in its place for large samples (Barber, Candes, Ramdas
    and Tibshirani, Predictive inference with the jackknife+, Annals of Statistics 2021). A table keeps one ratio for
    each end, not the many fits of the jackknife+. Its bound is therefore approximate if the fit is not stable.

    Raises:
        InputError: There are fewer than two networks, or a number is not positive.
    """
    predicted = predict_held_out(sums, blocks, measured)
    fitted = fit_correction(sums, blocks, measured)
    lower, upper = compute_conformal_interval(predicted, measured, coverage)
    correction = LatencyCorrection(
        alpha_ms=round(fitted.alpha_ms, 9),
        beta=float(f"{fitted.beta:.9g}"),
        gamma_ms=round(fitted.gamma_ms, 9),
        lower_ratio=lower,
        upper_ratio=upper,
        coverage=coverage,
        networks=len(sums),
    )
    return correction, compute_errors(predicted, measured)


def compute_conformal_interval(
    predicted: ArrayLike, measured: ArrayLike, coverage: float = COVERAGE
) -> tuple[float, float]:
    """Return the two ends of the interval, relative to a prediction; each end holds for the share `coverage`.

    `predicted` must come from fits that did not see the networks. Source: split conformal prediction (Vovk, Gammerman
    and Shafer, Algorithmic Learning in a Random World, 2005) on the ratio of measured to predicted latency, with the
    finite-sample rank `ceil((n + 1) * coverage)`. With too few networks for that rank, the end is the most extreme
    ratio; one in `n + 1` new networks is expected beyond it.

    Raises:
        InputError: The lists are empty or of different length, or a number is not positive.
    """
    guess, truth = require_positive(predicted=predicted, measured=measured)
    ratios = np.sort(truth / guess)
    # Slightly less, so that a product such as 20 * 0.95 does not round up to the next rank.
    rank = min(math.ceil((len(ratios) + 1) * coverage - 1e-9), len(ratios))
    return round(float(ratios[len(ratios) - rank]), 6), round(float(ratios[rank - 1]), 6)


def _design(sums: ArrayLike, blocks: ArrayLike, measured: ArrayLike) -> tuple[Values, Values]:
    """Return the terms of each network relative to its latency, divided by their means, and these means."""
    total, number, truth = require_positive(sums=sums, blocks=blocks, measured=measured)
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


def _sensible(found: Values, sums: Values, blocks: Values) -> bool:
    added = found[_ALPHA] + found[_GAMMA] * blocks
    return bool(found[_BETA] > 0 and (added >= -0.5 * found[_BETA] * sums).all())
