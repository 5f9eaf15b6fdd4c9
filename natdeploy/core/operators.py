"""Operators of a model as a runtime runs them: how long each one takes, and whose work it does."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_QUIET_SHARE = 0.25
_PROFILER_SHARE = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One operator of the model as the runtime runs it, after its own rewriting.

    Args:
        name: Name; a fused operator keeps that of one of its parts, inserted ones (reorders) have none of the model's.
        op: Operator type.
        consumers: Places in the list of nodes of those that read its outputs.
    """

    name: str
    op: str
    consumers: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """Profiled runs of a model.

    Args:
        nodes: The operators that run, in order.
        times_us: `runs x nodes` array of durations in microseconds; a runtime that only tells means has one run.
        with_overhead: Whether each duration includes what profiling an operator costs.
    """

    nodes: tuple[Node, ...]
    times_us: NDArray[np.float64]
    with_overhead: bool = False

    def shares(self) -> NDArray[np.float64]:
        """Return each operator's share of the time of all, from the quietest quarter of the runs.

        Where durations include the profiler's own cost, it is taken off: it is about what the cheapest operator takes,
        since there is always one that moves nothing (`Flatten`).
        """
        quietest = math.ceil(_QUIET_SHARE * len(self.times_us))
        times = np.sort(self.times_us, axis=0)[:quietest].mean(axis=0)
        if self.with_overhead:
            times = times - _PROFILER_SHARE * times.min()
        shares: NDArray[np.float64] = times / times.sum()
        return shares


def owners(nodes: Sequence[Node], owner_of: Callable[[str], str | None], *, last: str) -> list[str]:
    """Return the owner of each node.

    A node whose name tells none belongs to the owner of the first node that uses its result, and where nobody
    does, to `last`.
    """
    found: list[str] = [""] * len(nodes)
    for place in reversed(range(len(nodes))):
        used = [found[consumer] for consumer in nodes[place].consumers]
        found[place] = owner_of(nodes[place].name) or next(iter(used), last)
    return found
