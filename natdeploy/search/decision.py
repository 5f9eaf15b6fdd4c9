"""From an archive to the front, and from the front to the choice for a target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.pareto import non_dominated
from natdeploy.errors import TargetUnreachableError

Values = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """Architectures that a choice is made of, `n` of each.

    Args:
        top1: Their accuracy.
        latency_ms: Their predicted latency, by device.
        upper_ms: What is compared with a target: the upper bound where a device's table has one, by device.
    """

    top1: Values
    latency_ms: Mapping[str, Values]
    upper_ms: Mapping[str, Values]


def front(top1: Values, costs: Sequence[Values]) -> NDArray[np.intp]:
    """Return the indices that no other dominates in top-1 and every cost, the cheapest by the last cost first."""
    objectives = np.column_stack([-top1, *costs])
    kept = np.flatnonzero(non_dominated(objectives))
    return kept[np.argsort(objectives[kept, -1], kind="stable")]


def rank(candidates: Candidates, targets: Mapping[str, float]) -> NDArray[np.intp]:
    """Return the indices of the candidates that meet every target, the most accurate first; ties go to the quicker.

    Args:
        candidates: What is chosen from.
        targets: Target latency in milliseconds, by device; all must hold. Without any, every candidate does.

    Raises:
        TargetUnreachableError: None meets them; the message says which comes nearest and by how much it misses.
    """
    meets = np.ones(len(candidates.top1), dtype=bool)
    for device, target_ms in targets.items():
        meets &= candidates.upper_ms[device] <= target_ms
    if not meets.any():
        raise _unreachable(candidates, targets)
    latency = sum(candidates.latency_ms.values(), np.zeros(len(candidates.top1)))
    order = np.lexsort((latency, -candidates.top1))
    return order[meets[order]]


def _unreachable(candidates: Candidates, targets: Mapping[str, float]) -> TargetUnreachableError:
    excess = np.max([candidates.upper_ms[device] / target for device, target in targets.items()], axis=0)
    nearest = int(np.argmin(excess))
    figures = ", ".join(
        f"{candidates.upper_ms[device][nearest]:,.4g} ms on {device} (target {target:g} ms)"
        for device, target in targets.items()
    )
    msg = f"no architecture meets the target; the nearest takes {figures}, {100 * (excess[nearest] - 1):.2g} % too much"
    return TargetUnreachableError(msg, hint="raise --target-latency, or search smaller networks with --resolutions")


def spread(values: Values, known: Values, count: int) -> NDArray[np.intp]:
    """Return the indices of `count` rows of the `n x m` array `values`, each as far as possible from those before.

    Args:
        values: Rows to choose from; each column is scaled to its range.
        known: `k x m` array of rows that the first is already to be far from.
        count: Rows to choose, at most.
    """
    both = np.concatenate([values, known])
    span = np.maximum(both.max(axis=0) - both.min(axis=0), np.finfo(float).tiny)
    rows, taken = values / span, known / span
    distance = np.min(np.linalg.norm(rows[:, None] - taken[None], axis=2), axis=1, initial=np.inf)
    chosen: list[int] = []
    for _ in range(min(count, len(values))):
        best = int(np.argmax(distance))
        chosen.append(best)
        distance = np.minimum(distance, np.linalg.norm(rows - rows[best], axis=1))
        distance[best] = -1.0
    return np.array(chosen, dtype=np.intp)
