"""Drift: what the machine's state does to latencies between one pass of measurements and the next.

A few reference networks are timed in every pass, interleaved with what the pass is about. Their geometric mean is the
pass's level; figures of different passes are compared at the level of the quietest of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer

Rows = dict[Layer, LatencyStats]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """Rows that were measured together.

    Args:
        rows: The rows.
        level_ms: Level of the reference networks meanwhile; None where other references than now were used.
    """

    rows: Rows
    level_ms: float | None


def level_ms(references: Sequence[LatencyStats]) -> float:
    """Return the geometric mean of the reference networks' latencies."""
    return math.exp(sum(math.log(stats.median_ms) for stats in references) / len(references))


def join(passes: Sequence[Pass], quietest_ms: float | None) -> Rows:
    """Return the rows of all passes, brought to the level `quietest_ms`; of equal layers the first row stays."""
    rows: Rows = {}
    for measured in passes:
        factor = 1.0 if measured.level_ms is None or quietest_ms is None else quietest_ms / measured.level_ms
        for layer, stats in measured.rows.items():
            rows.setdefault(layer, rescaled(stats, factor))
    return rows


def rescaled(stats: LatencyStats, factor: float) -> LatencyStats:
    """Return `stats` of something that takes `factor` times as long, to the nanosecond."""
    figures = dataclasses.asdict(stats.scaled(factor))
    return LatencyStats(**{name: value if name == "runs" else round(value, 6) for name, value in figures.items()})
