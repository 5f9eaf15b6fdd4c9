"""Measurement sessions, and how rows of different sessions are made comparable in spite of drift.

The state of a machine changes latencies from one session to the next. So every session also times a few reference
networks, interleaved with everything else. The geometric mean of their latencies is the session's reference latency.
Rows of different sessions are scaled to the reference latency of the quietest session.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer

Rows = dict[Layer, LatencyStats]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasurementSession:
    """Rows that were measured together.

    Args:
        rows: The rows.
        reference_latency_ms: Latency of the reference networks in this session; None if it used other ones.
    """

    rows: Rows
    reference_latency_ms: float | None


def compute_reference_latency(references: Sequence[LatencyStats]) -> float:
    """Return the geometric mean of the reference networks' latencies, in milliseconds."""
    return math.exp(sum(math.log(stats.median_ms) for stats in references) / len(references))


def merge_sessions(sessions: Sequence[MeasurementSession], quietest_ms: float | None) -> Rows:
    """Return the rows of all sessions, scaled to the reference latency `quietest_ms`.

    If several sessions have a row of the same layer, the first of these rows is kept.
    """
    rows: Rows = {}
    for session in sessions:
        reference_ms = session.reference_latency_ms
        factor = 1.0 if reference_ms is None or quietest_ms is None else quietest_ms / reference_ms
        for layer, stats in session.rows.items():
            rows.setdefault(layer, stats.scale(factor).round())
    return rows
