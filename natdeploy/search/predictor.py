"""The interface of accuracy predictors, and their quality on architectures that they were not fitted to."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.genotype import Population

Values = NDArray[np.float64]


class Predictor(Protocol):
    """Learns top-1 from genotypes."""

    def fit(self, population: Population, top1: Values) -> None:
        """Fit the predictor to the `n x L` array `population` and its `n` values, and forget earlier fits."""
        ...

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        ...

    def uncertainty(self, population: Population) -> Values | None:
        """Return the standard deviation of each of the `n` predictions, or None if the model has none."""
        ...


def measure_quality(predicted: Values, measured: Values) -> dict[str, float | None]:
    """Compare predictions with measured values that the predictor was not fitted to.

    Returns:
        `rmse`, `spearman` and `kendall`. The correlations are None if either side does not vary.
    """
    rmse = float(np.sqrt(np.mean((predicted - measured) ** 2)))
    if len(measured) < 3 or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return {"rmse": rmse, "spearman": None, "kendall": None}
    from scipy import stats

    return {
        "rmse": rmse,
        "spearman": float(stats.spearmanr(predicted, measured).statistic),
        "kendall": float(stats.kendalltau(predicted, measured).statistic),
    }
