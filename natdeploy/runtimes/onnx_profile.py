"""Operator times of a model from ONNX Runtime's profiler, and which operators use the result of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from natdeploy.core.operators import ModelProfile, Node
from natdeploy.errors import InputError

_EVENT_SUFFIX = "_kernel_time"


def read_profile(graph_nodes: Sequence[Any], events: Sequence[dict[str, Any]]) -> ModelProfile:
    """Join a profiler's events with the nodes of the optimized graph.

    Durations are whole microseconds, because the runtime truncates them.

    Args:
        graph_nodes: Nodes with `name`, `op_type`, `input` and `output`.
        events: The profiler's events.

    Raises:
        InputError: There are no operator times, or some are missing or belong to unknown operators.
    """
    times = _collect_durations(events)
    names = _name_nodes(graph_nodes, times)
    unknown = set(times) - set(names)
    timed = [(name, node) for name, node in zip(names, graph_nodes, strict=True) if name in times]
    counts = {len(durations) for durations in times.values()}
    if unknown or len(counts) != 1:
        found = f"unknown operators {sorted(unknown)[:3]}, run counts {sorted(counts)}"
        msg = f"the runtime's profile does not fit its graph: {found}"
        raise InputError(msg)
    nodes = tuple(
        Node(name=name, op=node.op_type, consumers=consumers)
        for (name, node), consumers in zip(timed, _find_consumers([node for _, node in timed]), strict=True)
    )
    columns = np.array([times[node.name] for node in nodes], dtype=np.float64)
    return ModelProfile(nodes=nodes, times_us=columns.T, with_overhead=True)


def _collect_durations(events: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_EVENT_SUFFIX):
            times[event["name"].removesuffix(_EVENT_SUFFIX)].append(event["dur"])
    return times


def _name_nodes(graph_nodes: Sequence[Any], times: Mapping[str, Any]) -> list[str]:
    """Return the name that the profiler gives to each node.

    Before version 1.30, the runtime leaves the operators without a name into which it breaks up others, such as
    HardSwish. Its profiler calls them by operator and number. Both lists have them in the order in which they run.
    """
    known = {node.name for node in graph_nodes}
    numbered: dict[str, list[str]] = defaultdict(list)
    for name in times:
        if name not in known:
            numbered[name.rpartition("_")[0]].append(name)
    waiting = {op: iter(names) for op, names in numbered.items()}
    return [node.name or next(waiting.get(node.op_type, iter(())), "") for node in graph_nodes]


def _find_consumers(nodes: Sequence[Any]) -> list[tuple[int, ...]]:
    readers: dict[str, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for name in node.input:
            readers[name].append(place)
    return [tuple(place for name in node.output for place in readers[name]) for node in nodes]
