"""Reading what measuring programs write: strict JSON and statistics of runs, so that no damaged figure passes."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from natdeploy.core.latency import LatencyStats
from natdeploy.errors import InputError

NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_PRINTED = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RunStats:
    """Statistics of the runs of one call of a program, in milliseconds.

    Args:
        runs: How many runs.
        mean_ms: Mean.
        std_ms: Standard deviation; 0 of a single run.
        min_ms: Fastest.
        max_ms: Slowest.
        p5_ms: 5th percentile, None where the program does not tell.
        median_ms: Median, None where the program does not tell.
        p95_ms: 95th percentile, None where the program does not tell.

    Raises:
        InputError: There are no runs, a time is not positive, or they are not in order.
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
            msg = f"{self.runs} runs with standard deviation {self.std_ms:g}"
            raise InputError(msg)
        percentiles = [value for value in (self.p5_ms, self.median_ms, self.p95_ms) if value is not None]
        for ordered in ([self.min_ms, *percentiles, self.max_ms], [self.min_ms, self.mean_ms, self.max_ms]):
            if not are_in_order(ordered):
                shown = ", ".join(f"{value:g}" for value in ordered)
                msg = f"times of {shown} ms: they are positive and increase from the fastest to the slowest run"
                raise InputError(msg)

    @property
    def typical_ms(self) -> float:
        """The median, or where the program does not tell it, the mean."""
        return self.mean_ms if self.median_ms is None else self.median_ms


def combine_runs(calls: Sequence[RunStats]) -> LatencyStats:
    """Join several calls of a program into one latency.

    Some builds tell nothing but means, and one call may fall into a bad moment: the median over five calls or more is
    a better figure than any of them. p10 and p90 are of the calls too, std is the mean of theirs.

    Raises:
        InputError: There are no calls.
    """
    if not calls:
        msg = "no runs: nothing was measured"
        raise InputError(msg)
    p10, median, p90 = np.percentile([call.typical_ms for call in calls], [10, 50, 90])
    return LatencyStats(
        median_ms=float(median),
        p10_ms=float(p10),
        p90_ms=float(p90),
        mean_ms=float(np.mean([call.mean_ms for call in calls])),
        std_ms=float(np.mean([call.std_ms for call in calls])),
        runs=sum(call.runs for call in calls),
    )


def are_in_order(values: Sequence[float]) -> bool:
    """Tell whether `values` are positive and do not decrease, by more than what printing rounds off."""
    finite = all(math.isfinite(value) and value > 0 for value in values)
    return finite and all(low <= high * (1 + _PRINTED) for low, high in itertools.pairwise(values))


def load_json(text: str, source: str) -> object:
    """Parse JSON.

    Raises:
        InputError: It is not JSON, or holds what JSON has no numbers for.
    """

    def refuse(constant: str) -> NoReturn:
        msg = f"{constant} is not a number of JSON"
        raise ValueError(msg)

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        msg = f"{source}: not valid JSON, or cut short: {error}"
        raise InputError(msg) from error


def get_json_number(record: Mapping[str, object], key: str, place: str) -> float:
    """Return a number of a JSON object.

    Args:
        record: The object.
        key: Its key.
        place: File and place, for the message.

    Raises:
        InputError: The key is missing, or its value is not a number of at least 0.
    """
    value = record.get(key)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e15:
        return float(value)
    problem = "is missing" if key not in record else f"is {str(value)[:40]!r}, not a number of at least 0"
    msg = f"{place}: {key} {problem}"
    raise InputError(msg)
