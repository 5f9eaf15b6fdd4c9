"""What timing models on a device returns: their latencies, and how much else ran on the device meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from natdeploy.core.latency import LatencyStats

_BUSY_SHARE = 0.05
_LOST_SHARE = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Disturbance:
    """What else used the processor while models were timed, as the system counted it.

    Args:
        others: Share of the time of the cores that were used which other programs took, between 0 and 1.
        steal: Share of it that the hypervisor took.
        lost: Share of the counted rounds in which the median run may have waited for a core; None if not known.
    """

    others: float
    steal: float
    lost: float | None

    @property
    def excess(self) -> float | None:
        """By how much the latencies are too high at most because the runs waited, relative to undisturbed ones.

        What other programs do to caches and clocks is not in it; that shows in the level.
        """
        return None if self.lost is None else self.lost / max(1 - self.lost, 0.01)

    @property
    def is_notable(self) -> bool:
        """Whether it may have changed the latencies."""
        return self.others + self.steal > _BUSY_SHARE or (self.lost or 0.0) > _LOST_SHARE

    def __str__(self) -> str:
        taken = f"other programs took {100 * self.others:.0f} % of the time of the cores that were used"
        if self.steal > 0.005:
            taken += f", the hypervisor {100 * self.steal:.0f} %"
        if self.excess is None:
            return f"{taken}; by how much waiting for them made the latencies too high is not known"
        return f"{taken}; waiting for them made the latencies too high by at most {100 * self.excess:.1f} %"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """Models that were timed together.

    Args:
        stats: Latency of each model, in order.
        disturbance: What else ran meanwhile; None where the device does not tell.
    """

    stats: tuple[LatencyStats, ...]
    disturbance: Disturbance | None = None


def find_worst(disturbances: Iterable[Disturbance | None]) -> Disturbance | None:
    """Return the one that took the largest share; None if one of them is not known."""
    found = list(disturbances)
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        return None
    return max(known, key=lambda one: (one.lost or 0.0, one.others + one.steal), default=None)
