"""Predictors that scikit-learn fits: gradient-boosted trees, ridge, Gaussian process, nearest neighbours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from natdeploy.core.genotype import Population
from natdeploy.core.space import SearchSpace
from natdeploy.search.predictor import Values

_NEIGHBOURS = 5
_LEARNT_ROWS = 300


def features(space: SearchSpace, population: Population) -> Values:
    """Return the choices of the `n x L` array `population` as numbers, `n x F`.

    Resolution and width; of each slot whether it is active, its kernel size and its expand ratio (0 where skipped);
    of each stage its depth. All of them are relative to the largest of the space.
    """
    genes = population[:, 2:]
    active = genes > 0
    kernels, ratios = (np.array(values, dtype=float) for values in (space.kernels, space.expand_ratios))
    kernel = np.where(active, kernels[(genes - 1) % len(kernels)], 0.0) / kernels[-1]
    ratio = np.where(active, ratios[(genes - 1) // len(kernels)], 0.0) / ratios[-1]
    depth = active.reshape(len(genes), len(space.stages), space.max_depth).mean(axis=2)
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
        """Learn from the `n x L` array `population` and its `n` values."""
        self._model.fit(features(self._space, population), top1)

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        predicted: Values = self._model.predict(features(self._space, population))
        return predicted

    def uncertainty(self, population: Population) -> Values | None:  # noqa: ARG002
        """Return None: the model knows of no uncertainty."""
        return None


class GaussianProcess(Regressor):
    """Gaussian process with a squared-exponential kernel of one length and noise, both by maximum likelihood.

    Length and noise are learnt from at most 300 of the rows, since that takes the cube of their number again and again.
    """

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(space, None)

    def fit(self, population: Population, top1: Values) -> None:
        """Learn from the `n x L` array `population` and its `n` values."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        kernel = ConstantKernel(1.0, (1e-2, 1e4)) * RBF(3.0, (0.3, 100.0)) + WhiteKernel(0.1, (1e-6, 10.0))
        rows = features(self._space, population)
        part = np.random.default_rng(0).permutation(len(rows))[:_LEARNT_ROWS]
        with warnings.catch_warnings():
            # A length or noise at the end of its range is a result like any other.
            warnings.simplefilter("ignore", ConvergenceWarning)
            learnt = GaussianProcessRegressor(kernel, normalize_y=True).fit(rows[part], top1[part])
        self._model = GaussianProcessRegressor(learnt.kernel_, optimizer=None, normalize_y=True).fit(rows, top1)

    def uncertainty(self, population: Population) -> Values:
        """Return the standard deviation of each of the `n` predictions, noise included."""
        _, deviation = self._model.predict(features(self._space, population), return_std=True)
        values: Values = deviation
        return values


def ridge(space: SearchSpace) -> Regressor:
    """Return ridge regression whose penalty is chosen by leaving one out."""
    from sklearn.linear_model import RidgeCV

    return Regressor(space, RidgeCV(alphas=np.logspace(-4, 2, 13)))


def boosted_trees(space: SearchSpace, seed: int) -> Regressor:
    """Return gradient-boosted regression trees."""
    from sklearn.ensemble import GradientBoostingRegressor

    model = GradientBoostingRegressor(
        n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.7, max_features=0.3, random_state=seed
    )
    return Regressor(space, model)


class NearestNeighbours(Regressor):
    """Mean of the nearest architectures, by the inverse of their distance."""

    def __init__(self, space: SearchSpace) -> None:
        from sklearn.neighbors import KNeighborsRegressor

        super().__init__(space, KNeighborsRegressor(weights="distance"))

    def fit(self, population: Population, top1: Values) -> None:
        """Learn from the `n x L` array `population` and its `n` values."""
        self._model.set_params(n_neighbors=min(_NEIGHBOURS, len(population)))
        super().fit(population, top1)
