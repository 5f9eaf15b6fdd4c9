"""Operators of a model as a runtime runs them: how long each takes, and which layer it belongs to."""

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
    """One operator of the model as the runtime runs it, after the runtime has rewritten the graph.

    Args:
        name: Name. A fused operator keeps the name of one of its parts. An operator that the runtime inserted, such as
            a reorder, has a name that the model does not know.
        op: Operator type.
        consumers: Indices of the nodes that read its outputs.
    """

    name: str
    op: str
    consumers: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """Profiled runs of a model.

    Args:
        nodes: The operators, in the order in which they run.
        times_us: `runs x nodes` array of durations in microseconds; one run where the runtime reports means only.
        with_overhead: Whether each duration includes the overhead of profiling.
    """

    nodes: tuple[Node, ...]
    times_us: NDArray[np.float64]
    with_overhead: bool = False

    def shares(self) -> NDArray[np.float64]:
        """Return each operator's share of the total time, from the fastest quarter of its runs.

        The overhead of profiling is subtracted where durations include it. It is about the time of the fastest
        operator, since every network has one that does no work (`Flatten`).
        """
        quietest = math.ceil(_QUIET_SHARE * len(self.times_us))
        times = np.sort(self.times_us, axis=0)[:quietest].mean(axis=0)
        if self.with_overhead:
            times = times - _PROFILER_SHARE * times.min()
        shares: NDArray[np.float64] = times / times.sum()
        return shares


def find_owners(nodes: Sequence[Node], owner_of: Callable[[str], str | None], *, last: str) -> list[str]:
    """Return the owner of each node.

    Args:
        nodes: The operators, in the order in which they run.
        owner_of: Returns the owner by a node's name, or None. A node without one belongs to the owner of the first
            node that reads its output.
        last: Owner of a node that no other node reads.
    """
    found: list[str] = [""] * len(nodes)
    for place in reversed(range(len(nodes))):
        used = [found[consumer] for consumer in nodes[place].consumers]
        found[place] = owner_of(nodes[place].name) or next(iter(used), last)
    return found
