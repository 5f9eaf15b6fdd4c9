"""Operator times of ONNX Runtime, joined with the graph that it runs."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from natdeploy.core.operators import Node, find_owners
from natdeploy.errors import InputError
from natdeploy.runtimes.onnx_profile import read_profile

SAMPLES = Path(os.environ.get("NATDEPLOY_SHARED_DATA", "../shared/data")) / "samples"


@dataclasses.dataclass
class GraphNode:
    """A node as onnx would give it."""

    name: str
    op_type: str
    input: list[str]
    output: list[str]


def event(name: str, dur: float) -> dict[str, object]:
    """Return a profiler's event of one operator."""
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": dur}


GRAPH = [
    GraphNode("ReorderInput", "ReorderInput", ["x"], ["a"]),
    GraphNode("/stem/conv/Conv_nchwc", "Conv", ["a", "w"], ["b"]),
    GraphNode("ReorderOutput", "ReorderOutput", ["b"], ["c"]),
    GraphNode("/classifier/Gemm", "Gemm", ["c"], ["d"]),
    GraphNode("ReorderOutput_token_1", "ReorderOutput", ["d"], ["y"]),
]


def test_runs_become_rows_and_operators_columns():
    """Each operator's events are its times, run by run."""
    events = [event(node.name, 10 * run + place) for run in range(3) for place, node in enumerate(GRAPH)]
    profile = read_profile(GRAPH, [{"cat": "Session", "name": "model_run", "dur": 9}, *events])
    assert profile.times_us.tolist() == [[0, 1, 2, 3, 4], [10, 11, 12, 13, 14], [20, 21, 22, 23, 24]]
    assert [node.consumers for node in profile.nodes] == [(1,), (2,), (3,), (4,), ()]


def test_a_nameless_operator_belongs_to_the_layer_that_uses_its_result():
    """Reorders go to their consumer, a last one to the last layer."""
    nodes = read_profile(GRAPH, [event(node.name, 1) for node in GRAPH]).nodes
    found = find_owners(nodes, lambda name: name.split("/")[1] if "/" in name else None, last="classifier")
    assert found == ["stem", "stem", "classifier", "classifier", "classifier"]


def test_a_chain_of_nameless_operators_is_followed_to_its_end():
    """Two reorders behind each other belong to the same layer."""
    nodes = [Node(name=name, op="x", consumers=used) for name, used in (("r", (1,)), ("r2", (2,)), ("/a/Conv", ()))]
    assert find_owners(nodes, lambda name: "a" if "/" in name else None, last="z") == ["a", "a", "a"]


def test_a_profile_of_another_graph_is_refused():
    """Times of operators that the graph lacks mean that names changed: no guess is made."""
    with pytest.raises(InputError, match="unknown operators"):
        read_profile(GRAPH[:2], [event(node.name, 1) for node in GRAPH])


def test_operators_without_a_name_are_known_by_their_order():
    """Older runtimes name neither half of a HardSwish in the graph; the profiler numbers them, in the same order."""
    graph = [
        GraphNode("/a/Conv", "Conv", ["x"], ["c"]),
        GraphNode("", "HardSigmoid", ["c"], ["s"]),
        GraphNode("", "Mul", ["c", "s"], ["m"]),
        GraphNode("", "HardSigmoid", ["m"], ["t"]),
        GraphNode("", "Mul", ["m", "t"], ["y"]),
    ]
    names = ["/a/Conv", "HardSigmoid_200", "Mul_201", "HardSigmoid_202", "Mul_203"]
    profile = read_profile(graph, [event(name, number) for number, name in enumerate(names)])
    assert [node.name for node in profile.nodes] == names
    assert profile.nodes[2].consumers == (3, 4)
    assert profile.times_us.tolist() == [[0, 1, 2, 3, 4]]
    with pytest.raises(InputError, match="unknown operators"):
        read_profile(graph[:3], [event(name, 1) for name in names])


def test_a_profile_without_operators_or_with_gaps_is_refused():
    """No times, or not one for each operator and run, are not a profile."""
    with pytest.raises(InputError, match="does not fit"):
        read_profile(GRAPH, [])
    with pytest.raises(InputError, match="does not fit"):
        read_profile(GRAPH, [event(GRAPH[0].name, 1), event(GRAPH[0].name, 1), event(GRAPH[1].name, 1)])


def test_the_profilers_real_output_is_read():
    """Events of a real profile are found by category and suffix."""
    path = SAMPLES / "ort_profile_1.31.1_trimmed.json"
    if not path.exists():
        pytest.skip(f"{path} is absent: set NATDEPLOY_SHARED_DATA")
    events = json.loads(path.read_text())
    names = dict.fromkeys(item["name"].removesuffix("_kernel_time") for item in events if item["cat"] == "Node")
    profile = read_profile([GraphNode(name, "Conv", [], []) for name in names], events)
    assert profile.times_us.shape[1] == len(names)
    assert profile.times_us.min() >= 0
