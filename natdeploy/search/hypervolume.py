"""Hypervolume: how much of the space of objectives an archive dominates, exactly or by sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pymoo.indicators.hv import HV

Values = NDArray[np.float64]
EXACT_OBJECTIVES = 4
# The reference point lies this much of the range beyond the worst values, so that extreme rows count too.
_MARGIN = 0.01
_SAMPLES, _CHUNK = 100_000, 2_000


def reference_point(values: Values) -> Values:
    """Return the reference point of the `n x m` array `values` that are minimized: the worst of each, and 1 % more.

    Taken from the first archive of a search and kept, it makes the hypervolumes of all its archives comparable.
    """
    worst, best = values.max(axis=0), values.min(axis=0)
    point: Values = worst + _MARGIN * (worst - best)
    return point


def hypervolume(values: Values, reference: Values, ideal: Values) -> float:
    """Return the volume that the rows of `values` dominate, relative to the box between `ideal` and `reference`.

    Up to four objectives it is exact; with more it is the share of 100,000 seeded random points, right to about 0.002.

    Args:
        values: `n x m` array of what is minimized.
        reference: Reference point; rows that do not lie below it add nothing.
        ideal: The best of each objective; what lies beyond it counts too, so that the share may exceed 1 when exact.
    """
    span = np.where(reference > ideal, reference - ideal, 1.0)
    scaled = (values - ideal) / span
    inside = scaled[(scaled < 1).all(axis=1)]
    if not len(inside):
        return 0.0
    if values.shape[1] <= EXACT_OBJECTIVES:
        return float(HV(ref_point=np.ones(values.shape[1]))(inside))
    return _sampled(inside)


def _sampled(scaled: Values) -> float:
    """Sample the box from the best of all rows to the reference point, and count what a row dominates."""
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
