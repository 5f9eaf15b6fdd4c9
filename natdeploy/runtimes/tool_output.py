"""Strict readers for the output of measuring programs: JSON and run statistics. Damaged figures are refused."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.core.latency import LatencyStats
from natdeploy.documents import parse_json
from natdeploy.errors import InputError

NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_PRINTED = 1e-5
# A program may write six figures for each of its runs.
_MOST_VALUES = 5_000_000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunStats:
    """Statistics of the runs in one call of a program, in milliseconds.

    Args:
        runs: Number of runs.
        mean_ms: Mean.
        std_ms: Standard deviation, 0 for a single run.
        min_ms: Time of the fastest run.
        max_ms: Time of the slowest run.
        p5_ms: 5th percentile, None if the program does not report it.
        median_ms: Median, None if the program does not report it.
        p95_ms: 95th percentile, None if the program does not report it.

    Raises:
        InputError: There are no runs, a time is not positive, or the times are not in order.
    """

    runs: int
    mean_ms: float
    std_ms: float
    min_ms: float
    max_ms: float
    p5_ms: float | None = None
    median_ms: float | None = None
    p95_ms: float | None = None

    def __post_init__(self) -> None:
        if self.runs < 1 or not (math.isfinite(self.std_ms) and self.std_ms >= 0):
            msg = (
                f"{self.runs} runs with standard deviation {self.std_ms:g}: there must be a run and a finite deviation"
            )
            raise InputError(msg)
        percentiles = [value for value in (self.p5_ms, self.median_ms, self.p95_ms) if value is not None]
        for ordered in ([self.min_ms, *percentiles, self.max_ms], [self.min_ms, self.mean_ms, self.max_ms]):
            if not are_in_order(ordered):
                shown = ", ".join(f"{value:g}" for value in ordered)
                msg = (
                    f"the times are {shown} ms: they must be positive and increase from the fastest to the slowest run"
                )
                raise InputError(msg)

    @property
    def typical_ms(self) -> float:
        """The median, or the mean if the program does not report the median."""
        return self.mean_ms if self.median_ms is None else self.median_ms


def combine_runs(calls: Sequence[RunStats]) -> LatencyStats:
    """Combine several calls of a program into one latency.

    Some builds report only means, and a single call may be disturbed. The median over five or more calls is therefore
    more reliable than any one of them. p10 and p90 are percentiles over the calls. std is the mean of their deviations.

    Raises:
        InputError: There are no calls.
    """
    if not calls:
        msg = "no runs: nothing was measured"
        raise InputError(msg)
    stats = LatencyStats.from_times([call.typical_ms for call in calls], runs=sum(call.runs for call in calls))
    return dataclasses.replace(
        stats,
        mean_ms=float(np.mean([call.mean_ms for call in calls])),
        std_ms=float(np.mean([call.std_ms for call in calls])),
    )


def are_in_order(values: Sequence[float]) -> bool:
    """Tell whether `values` are positive and in ascending order, up to the rounding of printed figures."""
    finite = all(math.isfinite(value) and value > 0 for value in values)
    return finite and all(low <= high * (1 + _PRINTED) for low, high in itertools.pairwise(values))


def load_json(text: str, source: str) -> object:
    """Parse JSON.

    Raises:
        InputError: The text is not JSON, holds `NaN` or `Infinity`, or repeats a key of an object.
    """
    try:
        return parse_json(text, most_values=_MOST_VALUES)
    except ValueError as error:
        msg = f"{source}: not valid JSON, or incomplete: {error}"
        raise InputError(msg) from error


def get_json_number(record: Mapping[str, object], key: str, place: str) -> float:
    """Return a number from a JSON object.

    Args:
        record: The object.
        key: Key of the number.
        place: File and place, used in the message.

    Raises:
        InputError: The key is missing, or its value is not a number of at least 0.
    """
    value = record.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e15:
        return float(value)
    problem = "is missing" if key not in record else f"is {str(value)[:40]!r}, not a number of at least 0"
    msg = f"{place}: {key} {problem}"
    raise InputError(msg)
