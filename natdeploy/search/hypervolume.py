"""Hypervolume: the volume of the objective space that an archive dominates, exact or by sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import HV

Values = NDArray[np.float64]
EXACT_OBJECTIVES = 4
# The reference point is this part of the range beyond the worst values, so that extreme rows count too.
_MARGIN = 0.01
_SAMPLES, _CHUNK = 100_000, 2_000


def reference_point(values: Values) -> Values:
    """Return the reference point of the `n x m` array `values`: the worst of each objective, and 1 % more.

    The hypervolumes of all archives of a search are comparable if all use the reference point of the first archive.
    """
    worst, best = values.max(axis=0), values.min(axis=0)
    point: Values = worst + _MARGIN * (worst - best)
    return point


def hypervolume(values: Values, reference: Values, ideal: Values) -> float:
    """Return the volume that the rows of `values` dominate, relative to the box between `ideal` and `reference`.

    It is exact for up to four objectives. For more it is estimated from 100,000 seeded random points, to about 0.002.

    Args:
        values: `n x m` array of minimized objectives.
        reference: Reference point. Rows that are not below it add nothing.
        ideal: Best value of each objective. Rows beyond it count fully, so that the result may exceed 1.
    """
    span = np.where(reference > ideal, reference - ideal, 1.0)
    scaled = (values - ideal) / span
    inside = scaled[(scaled < 1).all(axis=1)]
    if not len(inside):
        return 0.0
    if values.shape[1] <= EXACT_OBJECTIVES:
        return float(HV(ref_point=np.ones(values.shape[1]))(inside))
    return _estimate(inside)


def _estimate(scaled: Values) -> float:
    """Sample the box from the best of all rows to the reference point, and count the points that a row dominates."""
    rng = np.random.default_rng(0)
    best = np.minimum(scaled.min(axis=0), 0.0)
    found = 0
    for _ in range(_SAMPLES // _CHUNK):
        points = best + (1 - best) * rng.random((_CHUNK, scaled.shape[1]))
        dominated = np.zeros(_CHUNK, dtype=bool)
        for row in scaled:
            dominated |= (row <= points).all(axis=1)
        found += int(dominated.sum())
    return float(found / _SAMPLES * np.prod(1 - best))
