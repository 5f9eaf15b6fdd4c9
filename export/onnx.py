"""ONNX files, written through PyTorch's TorchScript exporter.

That exporter names operators after the module they come from and reaches every opset that the runtimes of older
devices need; the newer one cannot go below opset 18.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from natdeploy.errors import CheckFailedError, InputError, MissingRuntimeError
from natdeploy.export.frozen import frozen
from natdeploy.files import writing
from natdeploy.runtimes.quiet import quiet
from natdeploy.supernet.network import Network
from natdeploy.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

DEFAULT_OPSET = 17
INPUT_NAME, OUTPUT_NAME = "image", "logits"
_OPSETS = range(9, 21)


class OnnxExporter:
    """Writes a network as one ONNX file of fixed batch 1: `1 x 3 x r x r` images to `1 x classes` logits.

    Args:
        opset: Operator set that the file must use.

    Raises:
        InputError: The exporter has no such opset.
    """

    def __init__(self, opset: int = DEFAULT_OPSET) -> None:
        if opset not in _OPSETS:
            msg = f"opset {opset} cannot be written (known: {_OPSETS[0]} to {_OPSETS[-1]})"
            raise InputError(msg)
        self._opset = opset

    @property
    def format(self) -> str:
        """Name that commands use."""
        return "onnx"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".onnx"

    def write(self, network: Network, target: Path) -> Mapping[str, Any]:
        """Write `network` to `target` and return what the manifest says of the file.

        The network itself stays as it is; the file holds it in evaluation mode.

        Raises:
            MissingRuntimeError: The package `onnx` is not installed.
            OutputError: The file cannot be written.
            CheckFailedError: The model is not valid ONNX, or not of the opset asked for.
        """
        onnx = _package()
        model = onnx.load_model_from_string(_convert(network, self._opset))
        _share_initializers(model)
        _sign(onnx, model)
        _check(onnx, model, self._opset)
        with writing(target):
            target.write_bytes(model.SerializeToString())
        return _described(onnx, model, network)


def opset_of(model: ModelProto) -> int | None:
    """Return the version of the standard operator set that an ONNX model uses."""
    return next((int(item.version) for item in model.opset_import if item.domain in {"", "ai.onnx"}), None)


def _convert(network: Network, opset: int) -> bytes:
    size = network.input_size
    written = io.BytesIO()
    with quiet():
        torch.onnx.export(
            frozen(network),
            (torch.zeros(1, 3, size, size),),
            written,  # type: ignore[arg-type]  # this exporter takes a stream, its annotation does not say so
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
    return written.getvalue()


def _share_initializers(model: ModelProto) -> None:
    """Drop the Identity nodes with which the exporter stores equal weights once."""
    stored = {item.name for item in model.graph.initializer}
    kept, renamed = [], {}
    for node in model.graph.node:
        if node.op_type == "Identity" and node.input[0] in stored:
            renamed[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    for node in kept:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _sign(onnx: ModuleType, model: ModelProto) -> None:
    model.producer_name = "natdeploy"
    model.producer_version = __version__
    model.model_version = 1
    properties = {
        "natdeploy.version": __version__,
        "natdeploy.input_layout": "NCHW",
        "natdeploy.precision": "fp32",
    }
    onnx.helper.set_model_props(model, properties)


def _check(onnx: ModuleType, model: ModelProto, opset: int) -> None:
    written = opset_of(model)
    if written != opset:
        msg = f"the exporter wrote opset {written}, opset {opset} was asked for"
        raise CheckFailedError(msg)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        msg = f"the exporter wrote a model that is not valid ONNX: {error}"
        raise CheckFailedError(msg) from error


def _described(onnx: ModuleType, model: ModelProto, network: Network) -> dict[str, Any]:
    size = network.input_size
    return {
        "input": {"name": INPUT_NAME, "shape": [1, 3, size, size], "layout": "NCHW", "dtype": "float32"},
        "output": {"name": OUTPUT_NAME, "shape": [1, network.classes], "dtype": "float32"},
        "opset": opset_of(model),
        "ir_version": int(model.ir_version),
        "versions": {"torch": str(torch.__version__), "onnx": str(onnx.__version__)},
    }


def _package() -> ModuleType:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        msg = "the package onnx is not installed"
        raise MissingRuntimeError(msg, hint="pip install onnx") from error
