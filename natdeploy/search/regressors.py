"""Predictors from scikit-learn: gradient-boosted trees, ridge, Gaussian process, nearest neighbours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from natdeploy.core.genotype import Population
from natdeploy.core.space import SearchSpace
from natdeploy.search.predictor import Values

_NEIGHBOURS = 5
_GP_ROWS = 300


def compute_features(space: SearchSpace, population: Population) -> Values:
    """Return numerical features of the `n x L` array `population`, `n x F`.

    They are resolution and width; for each slot whether it is active, its kernel size and its expand ratio (0 if
    skipped); for each stage its depth. All are relative to the largest value of the space, or of the slot.
    """
    genes = population[:, 2:]
    active = genes > 0
    choices = np.zeros((space.slots, 1 + space.max_gene, 2))
    for slot, pairs in enumerate(space.choices):
        choices[slot, 1 : 1 + len(pairs)] = pairs
    choices /= choices.max(axis=1, keepdims=True)
    kernel, ratio = np.moveaxis(choices[np.arange(space.slots), genes], 2, 0)
    depth = np.stack([active[:, slots].mean(axis=1) for slots in space.stage_slots], axis=1)
    resolution = np.array(space.resolutions)[population[:, :1]] / space.resolutions[-1]
    width = np.array(space.widths)[population[:, 1:2]] / space.widths[-1]
    return np.concatenate([resolution, width, active, kernel, ratio, depth], axis=1)


class Regressor:
    """A scikit-learn regressor over the features of architectures; implements `natdeploy.search.predictor.Predictor`.

    Args:
        space: Search space.
        model: The regressor.
    """

    def __init__(self, space: SearchSpace, model: Any) -> None:  # noqa: ANN401
        self._space, self._model = space, model

    def fit(self, population: Population, top1: Values) -> None:
        """Fit the model to the `n x L` array `population` and its `n` values."""
        self._model.fit(compute_features(self._space, population), top1)

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        predicted: Values = self._model.predict(compute_features(self._space, population))
        return predicted

    def uncertainty(self, population: Population) -> Values | None:  # noqa: ARG002
        """Return None: the model has no uncertainty."""
        return None


class GaussianProcess(Regressor):
    """Gaussian process with a squared-exponential kernel of one length scale, and noise.

    Length scale and noise are fitted by maximum likelihood to at most 300 rows, since the time of each step grows with
    the cube of their number.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, None)

    def fit(self, population: Population, top1: Values) -> None:
        """Fit the model to the `n x L` array `population` and its `n` values."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        kernel = ConstantKernel(1.0, (1e-2, 1e4)) * RBF(3.0, (0.3, 100.0)) + WhiteKernel(0.1, (1e-6, 10.0))
        rows = compute_features(self._space, population)
        part = np.random.default_rng(0).permutation(len(rows))[:_GP_ROWS]
        with warnings.catch_warnings():
            # A length scale or noise at the end of its range is as good a result as any other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            optimized = GaussianProcessRegressor(kernel, normalize_y=True).fit(rows[part], top1[part])
        self._model = GaussianProcessRegressor(optimized.kernel_, optimizer=None, normalize_y=True).fit(rows, top1)

    def uncertainty(self, population: Population) -> Values:
        """Return the standard deviation of each of the `n` predictions, including noise."""
        _, deviation = self._model.predict(compute_features(self._space, population), return_std=True)
        values: Values = deviation
        return values


def make_ridge(space: SearchSpace) -> Regressor:
    """Return ridge regression with its penalty selected by leave-one-out cross-validation."""
    from sklearn.linear_model import RidgeCV

    return Regressor(space, RidgeCV(alphas=np.logspace(-4, 2, 13)))


def make_boosted_trees(space: SearchSpace, seed: int) -> Regressor:
    """Return gradient-boosted regression trees."""
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(
        n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.7, max_features=0.3, random_state=seed
    )
    return Regressor(space, model)


class NearestNeighbours(Regressor):
    """Mean of the nearest architectures, weighted by the inverse of their distance."""

    def __init__(self, space: SearchSpace) -> None:
        from sklearn.neighbors import KNeighborsRegressor

        super().__init__(space, KNeighborsRegressor(weights="distance"))

    def fit(self, population: Population, top1: Values) -> None:
        """Fit the model to the `n x L` array `population` and its `n` values."""
        self._model.set_params(n_neighbors=min(_NEIGHBOURS, len(population)))
        super().fit(population, top1)
