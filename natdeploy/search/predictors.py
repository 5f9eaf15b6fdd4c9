"""Predictors by name, and the selection of one by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.genotype import Population, bounds
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError, require_known
from natdeploy.search.predictor import Predictor, Values, measure_quality
from natdeploy.search.rbf_ensemble import RBFEnsemble
from natdeploy.search.regressors import GaussianProcess, NearestNeighbours, make_boosted_trees, make_ridge
from natdeploy.search.settings import AUTO, PREDICTORS, SINGLE_PREDICTORS

ENSEMBLE_SIZE = 500
_FOLDS, _FEW_ROWS = 5, 100
# A smaller ensemble ranks nearly as well, and each fold fits one.
_TRIED_ENSEMBLE_SIZE = 100
# The predictor that is best with so many rows is about as good with more.
_TRIED_ROWS = 300


def make_predictor(
    name: str, space: SearchSpace, *, rng: np.random.Generator, ensemble_size: int = ENSEMBLE_SIZE
) -> Predictor:
    """Return a predictor that is not fitted yet.

    Args:
        name: One of `natdeploy.search.settings.PREDICTORS`.
        space: Search space.
        rng: Source of its randomness.
        ensemble_size: Members of the RBF ensemble.

    Raises:
        InputError: The name is unknown.
    """
    require_known("predictor", name, PREDICTORS)
    if name == AUTO:
        return BestPredictor(space, rng=rng, ensemble_size=ensemble_size)
    if name == "trees":
        return make_boosted_trees(space, int(rng.integers(2**31)))
    if name == "rbf":
        return RBFEnsemble(*bounds(space), ensemble_size=ensemble_size, rng=rng)
    return {"ridge": make_ridge, "gp": GaussianProcess, "knn": NearestNeighbours}[name](space)


def cross_validate(
    make: Callable[[], Predictor], population: Population, top1: Values, *, rng: np.random.Generator
) -> dict[str, float | None]:
    """Return the cross-validated quality of a predictor: each fold is predicted by a fit to the others.

    Args:
        make: Returns a new predictor for each fold.
        population: `n x L` array of architectures.
        top1: Their `n` accuracies.
        rng: Source of the folds.

    Raises:
        InputError: There are too few rows for cross-validation.
    """
    if len(population) < 2 * _FOLDS:
        msg = f"cross-validation needs at least {2 * _FOLDS} architectures, not {len(population)}"
        raise InputError(msg)
    predicted = np.empty(len(population))
    for fold in _folds(len(population), rng):
        others = np.setdiff1d(np.arange(len(population)), fold)
        predictor = make()
        predictor.fit(population[others], top1[others])
        predicted[fold] = predictor.predict(population[fold])
    return measure_quality(predicted, top1)


class BestPredictor:
    """The predictor with the highest cross-validated Kendall tau on the rows that it is fitted to.

    Of more than 300 rows, a random 300 are used to select it.

    Args:
        space: Search space.
        rng: Source of randomness.
        ensemble_size: Members of the RBF ensemble.
    """

    def __init__(self, space: SearchSpace, *, rng: np.random.Generator, ensemble_size: int = ENSEMBLE_SIZE) -> None:
        self._space, self._rng, self._ensemble_size = space, rng, ensemble_size
        self.name, self.quality = "", dict[str, float | None]()
        self._selected: Predictor

    def fit(self, population: Population, top1: Values) -> None:
        """Select a predictor, and fit it to the `n x L` array `population` and its `n` values.

        Raises:
            InputError: There are fewer than four distinct rows.
        """
        self.name, self.quality = (
            self._best(population, top1) if len(population) >= 2 * _FOLDS else (SINGLE_PREDICTORS[0], {})
        )
        self._selected = make_predictor(self.name, self._space, rng=self._rng, ensemble_size=self._ensemble_size)
        self._selected.fit(population, top1)

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        return self._selected.predict(population)

    def uncertainty(self, population: Population) -> Values | None:
        """Return the standard deviation of each of the `n` predictions, or None if the selected model has none."""
        return self._selected.uncertainty(population)

    def _best(self, population: Population, top1: Values) -> tuple[str, dict[str, float | None]]:
        part = self._rng.permutation(len(population))[:_TRIED_ROWS]
        folds_seed = int(self._rng.integers(2**31))
        size = min(self._ensemble_size, _TRIED_ENSEMBLE_SIZE)
        found: dict[str, dict[str, float | None]] = {}
        for name in SINGLE_PREDICTORS:
            rng = np.random.default_rng(folds_seed)
            make = partial(make_predictor, name, self._space, rng=rng, ensemble_size=size)
            found[name] = cross_validate(make, population[part], top1[part], rng=rng)
        best = max(found, key=lambda name: _tau(found[name]))
        return best, found[best]


def _folds(count: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    # With few rows, more folds leave more rows to fit to, and make the selection depend less on chance.
    return np.array_split(rng.permutation(count), _FOLDS if count > _FEW_ROWS else 2 * _FOLDS)


def _tau(figures: Mapping[str, float | None]) -> float:
    tau = figures["kendall"]
    return -1.0 if tau is None else tau
