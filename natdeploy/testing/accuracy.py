"""A synthetic accuracy of architectures, for tests of searches and predictors."""

from __future__ import annotations

import numpy as np

from natdeploy.core.genotype import Population
from natdeploy.search.predictor import Values


def made_up_accuracy(population: Population) -> Values:
    """Return synthetic top-1 values between 0 and 1.

    Larger genes give higher values, later layers matter less, and a nonlinear ripple defeats linear predictors.
    """
    genes = population[:, 2:].astype(float)
    weights = np.linspace(1.0, 0.3, genes.shape[1])
    size: Values = np.sqrt(genes) @ weights / (3 * weights.sum())
    scale: Values = 0.1 * population[:, 0] / 16 + 0.05 * population[:, 1]
    ripple: Values = 0.02 * np.sin(genes[:, 0] + 2 * genes[:, 4])
    return 0.3 + 0.5 * size + scale + ripple
