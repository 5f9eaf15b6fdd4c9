"""Ranges of numbers: declared at the field of a dataclass, checked by one function."""

from __future__ import annotations

import dataclasses
import math
import numbers
import typing
from typing import Annotated, Any

from natdeploy.errors import InputError


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
        low = f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        high = f"below {self.high:g}" if self.open_high else f"at most {self.high:g}"
        return low if math.isinf(self.high) else f"{low} and {high}"


NonNegative = Annotated[int, Range()]
Positive = Annotated[int, Range(low=1)]
Weight = Annotated[float, Range()]
Share = Annotated[float, Range(high=1)]
Decay = Annotated[float, Range(high=1, open_high=True)]


def check_ranges(value: Any) -> None:  # noqa: ANN401
    """Check every field of a dataclass whose type is annotated with a `Range`.

    Raises:
        InputError: A field holds no number, no whole number where its type is `int`, or one that is out of range.
    """
    for name, (kind, allowed) in _declared_ranges(type(value)).items():
        given = getattr(value, name)
        whole = kind is int
        if isinstance(given, bool) or not isinstance(given, numbers.Integral if whole else numbers.Real):
            msg = f"{name.replace('_', '-')} is {given!r}: it must be a {'whole ' * whole}number, {allowed}"
            raise InputError(msg)
        if float(given) not in allowed:
            msg = f"{name.replace('_', '-')} is {given}: it must be {allowed}"
            raise InputError(msg)


def _declared_ranges(kind: type) -> dict[str, tuple[type, Range]]:
    hints = typing.get_type_hints(kind, include_extras=True)
    annotated = {name: hint for name, hint in hints.items() if typing.get_origin(hint) is Annotated}
    return {
        name: (hint.__origin__, found)
        for name, hint in annotated.items()
        for found in hint.__metadata__
        if isinstance(found, Range)
    }
