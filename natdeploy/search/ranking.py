"""The front of an archive, and the order in which its architectures are selected under latency limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.latency_correction import fit_correction
from natdeploy.core.pareto import non_dominated
from natdeploy.errors import TargetUnreachableError

Values = NDArray[np.float64]
# Rows are neighbours if their distance is at most this part of the objectives' ranges.
_NEIGHBOUR_DISTANCE = 0.125
# Weight of the sum of all objectives beside the largest, in the achievement scalarization.
_AUGMENTATION = 1e-4
_UNITS = {
    "madds": "M multiply-adds",
    "params": "M parameters",
    "size": "MB of fp32 weights",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """`n` architectures to select from.

    Args:
        top1: Their accuracies.
        latency_ms: Their predicted latencies, by device.
        upper_ms: The latencies that are compared with a limit, by device: the upper bounds where the device's table has
            an interval.
        sizes: Their other limited costs, by name.
    """

    top1: Values
    latency_ms: Mapping[str, Values]
    upper_ms: Mapping[str, Values]
    sizes: Mapping[str, Values] = dataclasses.field(default_factory=dict)

    def correct_latency(self, device: str, blocks: Sequence[int], measured: Mapping[int, float]) -> Candidates:
        """Return the candidates with the latencies of a device corrected by networks that were measured on it.

        The upper bound stays as far above the prediction as it was, or as far as the slowest measured network is above
        its prediction. Measured candidates have their measured latency.

        Args:
            device: The device.
            blocks: Searchable blocks of each candidate.
            measured: Median latency in ms, by the index of the candidate; not empty.
        """
        places = list(measured)
        truth, before = np.array([measured[place] for place in places]), self.latency_ms[device]
        fitted = fit_correction(before[places].tolist(), [blocks[place] for place in places], truth.tolist())
        latency = fitted.apply(before, blocks)
        above = np.maximum(self.upper_ms[device] / before, (truth / latency[places]).max())
        upper = latency * above
        latency[places] = upper[places] = truth
        return dataclasses.replace(
            self,
            latency_ms={**self.latency_ms, device: latency},
            upper_ms={**self.upper_ms, device: upper},
        )


def format_size(name: str, value: float) -> str:
    """Return a limited cost as text with its unit."""
    unit = _UNITS[name]
    return f"{value / 1e6:,.4g} {unit}" if value >= 1e3 else f"{value:.4g} {unit.removeprefix('M').lstrip()}"


def find_front(top1: Values, costs: Sequence[Values]) -> NDArray[np.intp]:
    """Return the indices of the architectures that no other dominates in top-1 and all costs.

    They are in ascending order of the last cost.

    Args:
        top1: `n` accuracies, or the `n x t` accuracies of several tasks.
        costs: Costs, `n` of each.
    """
    objectives = np.column_stack([-top1, *costs])
    kept = np.flatnonzero(non_dominated(objectives))
    return kept[np.argsort(objectives[kept, -1], kind="stable")]


def rank_feasible(
    candidates: Candidates, limits_ms: Mapping[str, float], limits: Mapping[str, float] | None = None
) -> NDArray[np.intp]:
    """Return the indices of the candidates that keep all limits, the most accurate first. Ties go to the faster one.

    Args:
        candidates: Architectures to select from.
        limits_ms: Largest latency in milliseconds, by device. All must hold.
        limits: Largest value of other costs, by name. All must hold too.

    Raises:
        TargetUnreachableError: No candidate keeps them. The message gives the nearest one and by how much it misses.
    """
    limits = limits or {}
    shares = [candidates.upper_ms[device] / limit_ms for device, limit_ms in limits_ms.items()]
    shares += [candidates.sizes[name] / most for name, most in limits.items()]
    worst = np.max(shares, axis=0, initial=0.0) if shares else np.zeros(len(candidates.top1))
    meets = worst <= 1
    if not meets.any():
        raise _explain_unreachable(candidates, limits_ms, limits, worst)
    latency = sum(candidates.latency_ms.values(), np.zeros(len(candidates.top1)))
    order = np.lexsort((latency, -candidates.top1))
    return order[meets[order]]


def _explain_unreachable(
    candidates: Candidates, limits_ms: Mapping[str, float], limits: Mapping[str, float], worst: Values
) -> TargetUnreachableError:
    nearest = int(np.argmin(worst))
    figures = [
        f"{candidates.upper_ms[device][nearest]:,.4g} ms on {device} (target {limit_ms:g} ms)"
        for device, limit_ms in limits_ms.items()
    ]
    figures += [
        f"{format_size(name, candidates.sizes[name][nearest])} (at most {most / 1e6:g})"
        for name, most in limits.items()
    ]
    excess = worst[nearest] - 1
    missed = f"{100 * excess:.2g} % too much" if excess < 1 else f"{worst[nearest]:.3g} times what is allowed"
    msg = f"no architecture meets the target; the nearest takes {', '.join(figures)}, {missed}"
    raised = " or ".join(["--target-latency"] * bool(limits_ms) + [f"--max-{name}" for name in limits])
    return TargetUnreachableError(msg, hint=f"raise {raised}, or search smaller networks with --resolutions")


def farthest_points(values: Values, known: Values, count: int) -> NDArray[np.intp]:
    """Return the indices of `count` rows of the `n x m` array `values`, each as far as possible from those before it.

    This is farthest-point sampling.

    Args:
        values: Rows to select from. Each column is scaled to its range.
        known: `k x m` array of rows that are selected already.
        count: Largest number of rows to select.
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


def achievement_scalarization(values: Values, weights: Values) -> Values:
    """Return the achievement scalarization of each row: its largest weighted distance from the best of an objective.

    Source: Wierzbicki's achievement function (1980), over the ranges of the objectives.

    Args:
        values: `n x m` array of minimized objectives.
        weights: Weight of each objective.
    """
    weighted = _scale_to_range(values) * weights
    behind: Values = weighted.max(axis=1) + _AUGMENTATION * weighted.sum(axis=1)
    return behind


def trade_offs(values: Values) -> Values:
    """Return the trade-off of each row of a front: the smallest loss per unit of gain of a move to a neighbour.

    Neighbours are the rows within an eighth of the objectives' ranges, and at least the `2 m` nearest.
    Source: Rachmawati and Srinivasan (2009), by which the NAT authors select from their fronts.

    Args:
        values: `n x m` array of minimized objectives; no row dominates another.
    """
    rows = _scale_to_range(values)
    found = np.full(len(rows), np.inf)
    for place, row in enumerate(rows):
        moves = np.delete(rows, place, axis=0) - row
        distance = np.linalg.norm(moves, axis=1)
        least = np.sort(distance)[: 2 * rows.shape[1]].max(initial=0.0)
        moves = moves[(distance <= max(_NEIGHBOUR_DISTANCE, least)) & (distance > 0)]
        lost, gained = (np.maximum(sign * moves, 0).sum(axis=1) for sign in (1, -1))
        # Between rows that differ only by rounding, a move may gain nothing.
        ratios = np.divide(lost, gained, out=np.full(len(moves), np.inf), where=gained > np.finfo(float).tiny)
        found[place] = ratios.min(initial=np.inf)
    return found


def _scale_to_range(values: Values) -> Values:
    span = np.ptp(values, axis=0)
    scaled: Values = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    return scaled
