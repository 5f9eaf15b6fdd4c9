"""Dominance between vectors of objectives, all of them minimized."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def non_dominated(objectives: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which rows of the `n x m` array no other row dominates.

    A row dominates another if it is nowhere larger and somewhere smaller. Equal rows are all kept.
    """
    below = (objectives[:, None] <= objectives[None]).all(axis=2)
    strictly = (objectives[:, None] < objectives[None]).any(axis=2)
    dominated = np.logical_and(below, strictly).any(axis=0)
    return np.logical_not(dominated)
