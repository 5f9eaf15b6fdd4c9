"""Ranges of numbers: declared at the field of a dataclass or at a parameter, checked by `natdeploy.core.checked`."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Finite numbers between two bounds.

    Args:
        low: Lower bound.
        high: Upper bound.
        open_low: Whether the lower bound itself is out of range.
        open_high: Whether the upper bound itself is out of range.
    """

    low: float = 0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        low = f"above {self.low:.10g}" if self.open_low else f"at least {self.low:.10g}"
        high = f"below {self.high:.10g}" if self.open_high else f"at most {self.high:.10g}"
        return low if math.isinf(self.high) else f"{low} and {high}"


NonNegative = Annotated[int, Range()]
Positive = Annotated[int, Range(low=1)]
Resolution = Annotated[int, Range(low=32, high=4096)]
Threads = Annotated[int, Range(low=1, high=256)]
Seed = Annotated[int, Range(high=2**32 - 1)]
AboveZero = Annotated[float, Range(open_low=True)]
Weight = Annotated[float, Range()]
Share = Annotated[float, Range(high=1)]
Decay = Annotated[float, Range(high=1, open_high=True)]
