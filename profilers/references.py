"""Reference networks: what every measurement of a deployment is timed in turns with, so that its level is known.

The *level* is the speed of the machine now, relative to its speed when the table was made. It is the latency that the
table has for its reference networks, divided by the one that they take now. A latency times the level is what the
network would have taken then: the *levelled* latency.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from natdeploy.core.latency import LatencyStats, LatencyTable
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.profilers.covering_networks import make_covering_networks
from natdeploy.profilers.sessions import compute_reference_latency

Networks = list[tuple[Layer, ...]]
_REFERENCES = 3
_KEY = "reference"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReferencePlace:
    """Where a table's reference networks come from: a width and resolution of a search space.

    Args:
        space: The search space.
        width: Width multiplier.
        resolution: Input size.
    """

    space: SearchSpace
    width: float
    resolution: int

    def make_networks(self) -> Networks:
        """Return the networks."""
        return make_covering_networks(self.space, self.width, self.resolution)[:_REFERENCES]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The reference networks of a table.

    Args:
        place: Where they come from.
        latency_ms: Geometric mean of their latencies at the table's level.
    """

    place: ReferencePlace
    latency_ms: float

    def compute_level(self, timed: Sequence[LatencyStats]) -> float:
        """Return the level of the machine by the networks as they were timed now."""
        return self.latency_ms / compute_reference_latency(timed)

    def to_conditions(self) -> dict[str, Any]:
        """Return the entry of a table's conditions."""
        place = self.place
        values = {
            "supernet": place.space.source or place.space.name,
            "width": place.width,
            "resolution": place.resolution,
        }
        return {_KEY: {**values, "latency_ms": round(self.latency_ms, 6)}}


def choose_reference_place(space: SearchSpace) -> ReferencePlace:
    """Return the place of the reference networks of a profile of `space`: its first width and middle resolution."""
    middle = space.resolutions[len(space.resolutions) // 2]
    return ReferencePlace(space=space, width=space.widths[0], resolution=middle)


def read_reference(table: LatencyTable, known_spaces: Iterable[SearchSpace]) -> Reference | None:
    """Return the reference of a table; None if the table has none, as one that was imported or fitted.

    Args:
        table: The table.
        known_spaces: Spaces from which its networks can come.

    Raises:
        InputError: Its entry in the conditions is damaged.
    """
    entry = table.conditions.get(_KEY)
    if entry is None:
        return None
    try:
        return _read_entry(entry, known_spaces)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"the latency table of {table.deployment}: its conditions have a damaged {_KEY!r}: {entry!r}"
        raise InputError(msg, hint=f"measure it again: natdeploy profile --device {table.deployment.device}") from error


def _read_entry(entry: Mapping[str, Any], known_spaces: Iterable[SearchSpace]) -> Reference | None:
    name = str(entry["supernet"])
    space = next((known for known in known_spaces if name in (known.name, known.source)), None)
    latency_ms, resolution = float(entry["latency_ms"]), int(entry["resolution"])
    if not 0 < latency_ms < float("inf"):
        raise ValueError(latency_ms)
    if space is None:
        return None
    place = ReferencePlace(
        space=space.with_resolutions((resolution,)), width=float(entry["width"]), resolution=resolution
    )
    return Reference(place=place, latency_ms=latency_ms)
