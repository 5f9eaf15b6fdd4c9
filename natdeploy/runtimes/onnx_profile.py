"""Operator times of a model from ONNX Runtime's profiler, and which operators use the result of each."""

from __future__ import annotations

import dataclasses
import importlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.core.operators import ModelProfile, Node
from natdeploy.errors import InputError
from natdeploy.ports import Images
from natdeploy.runtimes.onnx_runtime import make_session_options

_EVENT_SUFFIX = "_kernel_time"


def profile_model(
    path: Path, image: Images, *, threads: int, runs: int, warmup_runs: int, folder: Path
) -> ModelProfile:
    """Run an ONNX file under the runtime's profiler.

    Args:
        path: The ONNX file.
        image: The `1 x 3 x r x r` input of every run.
        threads: Number of threads of the runtime.
        runs: Number of runs that count.
        warmup_runs: Number of earlier runs that do not count.
        folder: Folder for the profiler's temporary files.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        InputError: The profiler's output has no operator times, or does not fit the graph.
    """
    options = make_session_options(threads=threads)
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

    Durations are whole microseconds, because the runtime truncates them.

    Args:
        graph_nodes: Nodes with `name`, `op_type`, `input` and `output`.
        events: The profiler's events.

    Raises:
        InputError: There are no operator times, or some are missing or belong to unknown operators.
    """
    times = _collect_durations(events)
    unknown = set(times) - {node.name for node in graph_nodes}
    timed = [node for node in graph_nodes if node.name in times]
    counts = {len(durations) for durations in times.values()}
    if unknown or len(counts) != 1:
        found = f"unknown operators {sorted(unknown)[:3]}, run counts {sorted(counts)}"
        msg = f"the runtime's profile does not fit its graph: {found}"
        raise InputError(msg)
    nodes = tuple(
        Node(name=node.name, op=node.op_type, consumers=consumers)
        for node, consumers in zip(timed, _find_consumers(timed), strict=True)
    )
    columns = np.array([times[node.name] for node in nodes], dtype=np.float64)
    return ModelProfile(nodes=nodes, times_us=columns.T, with_overhead=True)


def _collect_durations(events: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_EVENT_SUFFIX):
            times[event["name"].removesuffix(_EVENT_SUFFIX)].append(event["dur"])
    return times


def _find_consumers(nodes: Sequence[Any]) -> list[tuple[int, ...]]:
    readers: dict[str, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for name in node.input:
            readers[name].append(place)
    return [tuple(place for name in node.output for place in readers[name]) for node in nodes]
