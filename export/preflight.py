"""Checking from the graph alone whether the runtime of a device can import an ONNX file."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.core.device import Device
from natdeploy.errors import CheckFailedError, InputError
from natdeploy.export.onnx import DEFAULT_OPSET, find_opset
from natdeploy.export.tensorrt_operators import RELEASES, ParserRelease
from natdeploy.ports import Exporter
from natdeploy.supernet.network import Network

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

TENSORRT = "tensorrt"
# The first opset that has each operator. Below it, exporters write simpler operators instead.
_SINCE = {"HardSwish": 14, "LayerNormalization": 17, "Mish": 18, "GroupNormalization": 18, "Gelu": 20}
_REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare")
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")
_SHOWN = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Importer:
    """The part of a runtime that imports ONNX files on a device, with its limits.

    Args:
        name: Runtime and device, for messages.
        max_opset: Highest opset; None for no limit.
        missing: Operators that it lacks, whatever its release imports.
        release: Release of TensorRT's parser; None for another runtime or an unknown version.
    """

    name: str
    max_opset: int | None = None
    missing: frozenset[str] = frozenset()
    release: ParserRelease | None = None

    def imports(self, operator: str) -> bool:
        """Tell whether it imports an operator of the standard set."""
        return operator not in self.missing and (self.release is None or operator in self.release.operators)

    @property
    def limited(self) -> bool:
        """Whether any limit is known."""
        return self.release is not None or self.max_opset is not None or bool(self.missing)

    @property
    def opset(self) -> int:
        """The opset to write: the default, or the highest below it that needs no missing operator."""
        avoiding = [since - 1 for operator, since in _SINCE.items() if not self.imports(operator)]
        return min([DEFAULT_OPSET, *avoiding, *([self.max_opset] if self.max_opset else [])])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A part of a graph that cannot be imported.

    Args:
        what: Where it is and what is wrong.
        way_out: What to do about it.
    """

    what: str
    way_out: str


class ImportableExporter:
    """An exporter whose ONNX files a device can import; implements `natdeploy.ports.Exporter`.

    Args:
        exporter: Writes the files.
        importer: Imports them on the device.
    """

    def __init__(self, exporter: Exporter, importer: Importer) -> None:
        self._exporter = exporter
        self._importer = importer

    @property
    def format(self) -> str:
        """Name that commands use."""
        return self._exporter.format

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return self._exporter.suffix

    def write(self, network: Network, output_path: Path) -> Mapping[str, Any]:
        """Write `network` to `output_path`, check the graph, and return what the manifest says about the file.

        Raises:
            CheckFailedError: The device cannot import the file.
            MissingRuntimeError: The package `onnx` is not installed.
            OutputError: The file cannot be written.
        """
        written = self._exporter.write(network, output_path)
        model = importlib.import_module("onnx").load(str(output_path), load_external_data=False)
        require_importable(model, self._importer)
        return {**written, "target": {"importer": self._importer.name}}


def find_importer(device: Device, *, runtime: str | None = None, version: str | None = None) -> Importer:
    """Return the importer of ONNX files on a device.

    Args:
        device: The device. Its own limits apply to every runtime.
        runtime: Runtime. None: the default of the device.
        version: Version of TensorRT on it. None: the version in its description.

    Raises:
        InputError: The version of TensorRT is older than all known ones.
    """
    runtime = runtime or device.runtime
    version = version or device.tensorrt
    if runtime != TENSORRT or version is None:
        return Importer(
            name=f"{runtime} of {device.name}",
            max_opset=device.max_opset,
            missing=frozenset(device.missing_operators),
        )
    release = parser_release(version)
    # The limits in the description belong to the version named there. They do not apply to a board that was upgraded.
    upgraded = device.tensorrt is not None and release.first > parser_release(device.tensorrt).first
    own = [device.max_opset] if device.max_opset is not None and not upgraded else []
    return Importer(
        name=f"TensorRT {version} of {device.name}",
        max_opset=min([release.max_opset, *own]),
        missing=frozenset(() if upgraded else device.missing_operators),
        release=release,
    )


def parser_release(version: str) -> ParserRelease:
    """Return the parser release of a version of TensorRT.

    Raises:
        InputError: The version is older than all known ones.
    """
    major, minor = (int(part) for part in f"{version}.0".split(".")[:2])
    found = [release for release in RELEASES if release.first <= (major, minor)]
    if not found:
        oldest = ".".join(map(str, RELEASES[0].first))
        msg = f"TensorRT {version} is not supported: it is older than {oldest}"
        raise InputError(msg)
    return found[-1]


def require_importable(model: ModelProto, importer: Importer) -> None:
    """Check that a graph can be imported.

    Raises:
        CheckFailedError: It cannot. The message names node, operator and version; the hint says what to do.
    """
    problems = list(find_problems(model, importer))
    if not problems:
        return
    shown = "; ".join(problem.what for problem in problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    msg = f"{importer.name} cannot import this ONNX file: {shown}{more}"
    raise CheckFailedError(msg, hint=problems[0].way_out)


def find_problems(model: ModelProto, importer: Importer) -> Iterator[Problem]:
    """Yield what prevents the import of a graph: first its opset, then its nodes, then its weights."""
    opset = find_opset(model)
    if importer.max_opset is not None and (opset is None or opset > importer.max_opset):
        yield Problem(
            what=f"it has opset {opset}; the highest that can be imported is {importer.max_opset}",
            way_out=f"omit --opset, or use --opset {importer.opset}",
        )
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        yield from _find_node_problems(node, importer, constants)
    if importer.release is not None:
        yield from _find_weight_problems(model.graph.initializer)


def _find_node_problems(node: NodeProto, importer: Importer, constants: Mapping[str, TensorProto]) -> Iterator[Problem]:
    operator = node.op_type
    place = f"node {node.name or node.output[0]} ({operator})"
    if node.domain not in {"", "ai.onnx"} and importer.release is not None:
        yield Problem(what=f"{place} is of domain {node.domain}", way_out="use only operators of the standard set")
    elif not importer.imports(operator):
        yield Problem(what=f"{place} has no importer", way_out=_suggest_replacement(operator))
    elif importer.release is not None:
        yield from _find_tensorrt_problems(node, place, importer.release, constants)


def _find_tensorrt_problems(
    node: NodeProto, place: str, release: ParserRelease, constants: Mapping[str, TensorProto]
) -> Iterator[Problem]:
    if node.op_type in _REDUCTIONS and len(node.input) > 1 and node.input[1]:
        if not release.reduce_axes_input:
            yield Problem(what=f"{place} takes its axes as an input", way_out="export with --opset 17 or lower")
        elif node.input[1] not in constants:
            yield Problem(what=f"{place} computes its axes", way_out="make the axes a constant")
    if node.op_type in _QUANTIZING and len(node.input) > 2 and node.input[2]:
        zero_point = constants.get(node.input[2])
        if zero_point is None or _any_nonzero(zero_point):
            yield Problem(
                what=f"{place} has a zero point other than 0",
                way_out="quantize symmetrically, with int8 activations and zero points of 0",
            )


def _find_weight_problems(weights: Iterable[TensorProto]) -> Iterator[Problem]:
    for weight in weights:
        if weight.data_location == weight.EXTERNAL:
            yield Problem(
                what=f"weight {weight.name} is stored in another file", way_out="write one file, without external data"
            )


def _suggest_replacement(operator: str) -> str:
    since = _SINCE.get(operator)
    if since is None:
        return "use a device with a newer runtime, or a network without this operator"
    return f"export with --opset {since - 1} or lower, which uses simpler operators"


def _any_nonzero(tensor: TensorProto) -> bool:
    return bool(importlib.import_module("onnx").numpy_helper.to_array(tensor).any())
