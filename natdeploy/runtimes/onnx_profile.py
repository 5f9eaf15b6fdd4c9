"""What ONNX Runtime says of a model's operators: how long each one runs, and which operators use its result."""

from __future__ import annotations

import dataclasses
import importlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError
from natdeploy.ports import Images
from natdeploy.runtimes.onnx_runtime import session_options

_EVENT_SUFFIX = "_kernel_time"


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
        times_us: `runs x nodes` array of durations in microseconds; the runtime cuts them to whole ones and
            each includes what profiling itself costs.
    """

    nodes: tuple[Node, ...]
    times_us: NDArray[np.float64]


def profile_model(
    path: Path, image: Images, *, threads: int, runs: int, warmup_runs: int, folder: Path
) -> ModelProfile:
    """Run an ONNX file with the runtime's profiler on.

    Args:
        path: The file.
        image: The `1 x 3 x r x r` image that every run takes.
        threads: Threads of the runtime.
        runs: Runs that count.
        warmup_runs: Runs before them that do not.
        folder: Where the profiler may write.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        InputError: The runtime wrote no operator times.
    """
    options = session_options(threads=threads)
    runtime, onnx = importlib.import_module("onnxruntime"), importlib.import_module("onnx")
    with tempfile.TemporaryDirectory(dir=folder) as own:
        optimized = Path(own) / "optimized.onnx"
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(own) / "profile")
        options.optimized_model_filepath = str(optimized)
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: image}
        for _ in range(warmup_runs + runs):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_bytes())
        profile = read_profile(onnx.load(optimized).graph.node, events)
    return dataclasses.replace(profile, times_us=profile.times_us[warmup_runs:])


def read_profile(graph_nodes: Sequence[Any], events: Sequence[dict[str, Any]]) -> ModelProfile:
    """Join a profiler's events with the nodes of the optimized graph.

    Args:
        graph_nodes: Objects with `name`, `op_type`, `input` and `output`.
        events: The profiler's events.

    Raises:
        InputError: There are no operator times, or not one for each operator and run.
    """
    times = _durations(events)
    unknown = set(times) - {node.name for node in graph_nodes}
    timed = [node for node in graph_nodes if node.name in times]
    counts = {len(durations) for durations in times.values()}
    if unknown or len(counts) != 1:
        msg = f"the runtime's profile does not fit its graph: unknown operators {sorted(unknown)[:3]}, runs {counts}"
        raise InputError(msg)
    nodes = tuple(
        Node(name=node.name, op=node.op_type, consumers=consumers)
        for node, consumers in zip(timed, _consumers(timed), strict=True)
    )
    columns = np.array([times[node.name] for node in nodes], dtype=np.float64)
    return ModelProfile(nodes=nodes, times_us=columns.T)


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


def _durations(events: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_EVENT_SUFFIX):
            times[event["name"].removesuffix(_EVENT_SUFFIX)].append(event["dur"])
    return times


def _consumers(nodes: Sequence[Any]) -> list[tuple[int, ...]]:
    readers: dict[str, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for name in node.input:
            readers[name].append(place)
    return [tuple(place for name in node.output for place in readers[name]) for node in nodes]
