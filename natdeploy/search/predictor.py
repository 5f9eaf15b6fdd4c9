"""Accuracy predictors: from the archive's genotypes to top-1, cheap enough to ask 10,000 times an iteration."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from natdeploy.core.genotype import Population
from natdeploy.errors import InputError

Values = NDArray[np.float64]
_TRIES = 100


class Predictor(Protocol):
    """Learns top-1 from genotypes."""

    def fit(self, population: Population, top1: Values) -> None:
        """Learn from the `n x L` array `population` and its `n` values."""
        ...

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        ...


class RBFEnsemble:
    """Ensemble of cubic radial-basis-function interpolants with a linear tail, each on a random choice of genes.

    Rows that a member cannot tell apart are averaged. The ensemble's prediction is the mean over its members.
    Source: Lu et al., NAT (TPAMI 2021), section 3.2; the random choice of genes after E2EPP.

    Args:
        lower: Lowest value of each gene, an `L`-vector.
        upper: Highest value of each gene, an `L`-vector.
        members: Members.
        rng: Source of the choices.
    """

    def __init__(self, lower: Population, upper: Population, *, members: int, rng: np.random.Generator) -> None:
        self._lower = lower.astype(float)
        self._span = np.maximum(upper - lower, 1).astype(float)
        self._free = np.flatnonzero(upper > lower)
        self._members, self._rng = members, rng
        self._fitted: list[tuple[NDArray[np.intp], Values, Values]] = []

    def fit(self, population: Population, top1: Values) -> None:
        """Learn from the `n x L` array `population` and its `n` values.

        Raises:
            InputError: There are fewer than four distinct rows.
        """
        rows = self._scale(population)
        if len(np.unique(rows, axis=0)) < 4:
            msg = f"a predictor needs at least 4 distinct architectures, not {len(np.unique(rows, axis=0))}"
            raise InputError(msg)
        self._fitted = []
        for _ in range(self._members):
            genes, centres, inverse = self._choose_centres(rows)
            values = np.bincount(inverse, weights=top1) / np.bincount(inverse)
            self._fitted.append((genes, centres, _solve(centres, values)))

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        rows = self._scale(population)
        total = np.zeros(len(rows))
        for genes, centres, weights in self._fitted:
            part = rows[:, genes]
            total += _cubic(part, centres) @ weights[: len(centres)] + _tail(part) @ weights[len(centres) :]
        return total / len(self._fitted)

    def _choose_centres(self, rows: Values) -> tuple[NDArray[np.intp], Values, NDArray[np.intp]]:
        """Choose genes that tell enough rows apart; where none are found, those that tell most apart must serve."""
        tried = []
        for _ in range(_TRIES):
            genes = self._choose_genes(len(rows))
            centres, inverse = np.unique(rows[:, genes], axis=0, return_inverse=True)
            tried.append((genes, centres, inverse.ravel()))
            if len(centres) > len(genes) + 1:
                return tried[-1]
        return max(tried, key=lambda choice: len(choice[1]))

    def _choose_genes(self, rows: int) -> NDArray[np.intp]:
        most = max(1, min(len(self._free), rows - 3))
        count = int(self._rng.integers(1, most + 1))
        return np.sort(self._rng.choice(self._free, size=count, replace=False))

    def _scale(self, population: Population) -> Values:
        scaled: Values = (population - self._lower) / self._span
        return scaled


def quality(predicted: Values, measured: Values) -> dict[str, float | None]:
    """Compare predictions with values that the predictor has not seen.

    Returns:
        `rmse`, `spearman` and `kendall`; the correlations are None where one side does not vary.
    """
    rmse = float(np.sqrt(np.mean((predicted - measured) ** 2)))
    if len(measured) < 3 or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return {"rmse": rmse, "spearman": None, "kendall": None}
    return {
        "rmse": rmse,
        "spearman": float(stats.spearmanr(predicted, measured).statistic),
        "kendall": float(stats.kendalltau(predicted, measured).statistic),
    }


def _solve(centres: Values, values: Values) -> Values:
    size, tail = len(centres), _tail(centres)
    system = np.zeros((size + tail.shape[1],) * 2)
    system[:size, :size] = _cubic(centres, centres)
    system[:size, size:], system[size:, :size] = tail, tail.T
    # A gene that does not vary among the centres makes the tail singular; least squares takes the smallest weights.
    solution: Values
    solution, *_ = np.linalg.lstsq(system, np.concatenate([values, np.zeros(tail.shape[1])]), rcond=None)
    return solution


def _cubic(rows: Values, centres: Values) -> Values:
    squared = (rows**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * rows @ centres.T
    distance = np.sqrt(np.maximum(squared, 0.0))
    cubes: Values = distance * distance * distance
    return cubes


def _tail(rows: Values) -> Values:
    return np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
