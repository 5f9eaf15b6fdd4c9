"""How much of a TFLite file XNNPACK runs. Operators that it does not run split the network into parts."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.runtimes.litert import open_interpreter

_DELEGATE = "DELEGATE"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Delegation:
    """How LiteRT runs a file on a CPU.

    Args:
        partitions: Number of parts that XNNPACK runs, each as a whole.
        operators: Number of operators in the file.
        outside: Number of operators that XNNPACK does not run, by kind.
    """

    partitions: int
    operators: int
    outside: Mapping[str, int]

    def __str__(self) -> str:
        parts = "1 part" if self.partitions == 1 else f"{self.partitions} parts"
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.outside.items())
        left = f", {kinds} outside" if kinds else ""
        return f"{self.operators} operators: XNNPACK runs {parts}{left}"


def read_delegation(path: Path) -> Delegation:
    """Return how LiteRT runs a TFLite file.

    Raises:
        MissingRuntimeError: No interpreter is installed.
        InputError: LiteRT cannot open the file.
    """
    interpreter = open_interpreter(path, threads=1)
    # The interpreter has no public method that lists its operators.
    nodes = interpreter._get_ops_details()
    own = [node for node in nodes if node["op_name"] != _DELEGATE]
    delegates = [node for node in nodes if node["op_name"] == _DELEGATE]
    results = {item["index"] for item in interpreter.get_output_details()}
    outside = collections.Counter(node["op_name"] for node in _find_outside(own, delegates, results))
    return Delegation(partitions=len(delegates), operators=len(own), outside=dict(outside.most_common()))


def _find_outside(
    own: Sequence[Mapping[str, Any]], delegates: Sequence[Mapping[str, Any]], results: set[int]
) -> list[Mapping[str, Any]]:
    """Return the operators that no delegate runs: their outputs are needed, and no delegate computes them."""
    given = {tensor for node in delegates for tensor in node["outputs"]}
    wanted = results | {tensor for node in delegates for tensor in node["inputs"]}
    found = []
    for node in reversed(own):
        outputs = set(node["outputs"])
        if outputs & wanted and not outputs & given:
            found.append(node)
            wanted.update(node["inputs"])
    return found[::-1]
