"""ONNX files, written by PyTorch's TorchScript exporter.

That exporter names operators after their modules and writes the low opsets that older devices need. The newer one does
not go below opset 18.
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
from natdeploy.export.batchnorm_folding import fold_batchnorm
from natdeploy.export.hard_activations import split_hard_activations
from natdeploy.export.onnx_padding import join_padding
from natdeploy.export.onnx_precision import LEAST_INT8_OPSET, to_fp16, to_int8
from natdeploy.export.pre_post_processing import outputs_probabilities
from natdeploy.export.quantization_calibration import QuantizationCalibration, require_quantization_calibration
from natdeploy.files import writing
from natdeploy.machine import available_bytes
from natdeploy.runtimes.quiet import silence
from natdeploy.supernet.network import Network
from natdeploy.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

DEFAULT_OPSET = 17
INPUT_NAME, OUTPUT_NAME, PROBABILITIES_NAME = "image", "logits", "probabilities"
_BATCH_NAME = "batch"
_OPSETS = range(9, 21)


class OnnxExporter:
    """Writes a network as one ONNX file: `n x 3 x r x r` float32 images to `n x classes` float32 outputs.

    Args:
        opset: Operator set that the file uses.
        batch: Images per call, n; None for any number.
        precision: Precision in which the file computes: `fp32`, `fp16` or `int8`.
        calibration: Images from which int8 ranges are computed.
        symmetric: Whether int8 activations are signed and symmetric, and only convolutions and linear layers are
            quantized, as TensorRT requires. Otherwise they are unsigned, which is faster on x86 processors.

    Raises:
        InputError: The exporter does not know the opset, or int8 needs a later one.
    """

    def __init__(
        self,
        opset: int = DEFAULT_OPSET,
        *,
        batch: int | None = 1,
        precision: str = "fp32",
        calibration: QuantizationCalibration | None = None,
        symmetric: bool = False,
    ) -> None:
        if opset not in _OPSETS:
            msg = f"opset {opset} cannot be written (known: {_OPSETS[0]} to {_OPSETS[-1]})"
            raise InputError(msg)
        if precision == "int8" and opset < LEAST_INT8_OPSET:
            msg = f"int8 weights by channel need opset {LEAST_INT8_OPSET} or later, not {opset}"
            raise InputError(msg)
        self._opset = opset
        self._batch = batch
        self._precision = precision
        self._calibration = calibration
        self._symmetric = symmetric

    @property
    def format(self) -> str:
        """Name that commands use."""
        return "onnx"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".onnx"

    def write(self, network: Network, output_path: Path) -> Mapping[str, Any]:
        """Write `network` to `output_path` and return what the manifest says about the file.

        The network is not changed. The file holds it in evaluation mode.

        Raises:
            MissingRuntimeError: The package `onnx`, or for int8 and fp16 `onnxruntime`, is not installed.
            InputError: Calibration images are missing or have another shape, or a batch does not fit into memory.
            OutputError: The file cannot be written.
            CheckFailedError: The model is not valid ONNX, or has another opset.
        """
        onnx = _package()
        _require_memory(network, self._batch or 1)
        calibration = (
            require_quantization_calibration(self._calibration, network) if self._precision == "int8" else None
        )
        folded = fold_batchnorm(network)
        if self._precision == "int8" and not self._symmetric:
            split_hard_activations(folded)
        model = onnx.load_model_from_string(_convert(join_padding(folded), self._opset, self._batch))
        _share_initializers(model)
        with writing(output_path):
            model = self._convert_precision(model, calibration)
        _sign(onnx, model, self._precision)
        _check(onnx, model, self._opset)
        with writing(output_path):
            output_path.write_bytes(model.SerializeToString())
        described = _describe_file(onnx, model, network, self._batch)
        return {
            **described,
            "precision": self._precision,
            "calibration": None if calibration is None else calibration.to_json(),
        }

    def _convert_precision(self, model: ModelProto, calibration: QuantizationCalibration | None) -> ModelProto:
        if self._precision == "fp16":
            return to_fp16(model)
        if calibration is None:
            return model
        return to_int8(model, calibration.images, batch=self._batch or 1, symmetric=self._symmetric)


def find_opset(model: ModelProto) -> int | None:
    """Return the version of the standard operator set that an ONNX model uses."""
    return next((int(item.version) for item in model.opset_import if item.domain in {"", "ai.onnx"}), None)


def _require_memory(network: Network, batch: int) -> None:
    """Check that a batch fits into memory: the exporter runs one, and the system would kill the process."""
    needed, available = batch * max(layer.peak_memory_bytes for layer in network.layers), available_bytes()
    if batch > 1 and needed > available:
        msg = f"a batch of {batch} images needs {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are free here"
        raise InputError(msg, hint="use --batch dynamic: such a file takes any number of images")


def _convert(network: Network, opset: int, batch: int | None) -> bytes:
    size = network.input_size
    names = INPUT_NAME, PROBABILITIES_NAME if outputs_probabilities(network) else OUTPUT_NAME
    written = io.BytesIO()
    with silence():
        torch.onnx.export(
            network,
            (torch.zeros(batch or 1, 3, size, size),),
            written,  # type: ignore[arg-type]  # this exporter takes a stream, its annotation does not say so
            dynamo=False,
            opset_version=opset,
            input_names=[names[0]],
            output_names=[names[1]],
            dynamic_axes={name: {0: _BATCH_NAME} for name in names} if batch is None else None,
        )
    return written.getvalue()


def _share_initializers(model: ModelProto) -> None:
    """Remove the Identity nodes that the exporter adds to store equal weights only once."""
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


def _sign(onnx: ModuleType, model: ModelProto, precision: str) -> None:
    model.producer_name = "natdeploy"
    model.producer_version = __version__
    model.model_version = 1
    properties = {
        "natdeploy.version": __version__,
        "natdeploy.input_layout": "NCHW",
        "natdeploy.precision": precision,
    }
    onnx.helper.set_model_props(model, properties)


def _check(onnx: ModuleType, model: ModelProto, opset: int) -> None:
    written = find_opset(model)
    if written != opset:
        msg = f"the exporter wrote opset {written} instead of {opset}"
        raise CheckFailedError(msg)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        msg = f"the exporter wrote a model that is not valid ONNX: {error}"
        raise CheckFailedError(msg) from error


def _describe_file(onnx: ModuleType, model: ModelProto, network: Network, batch: int | None) -> dict[str, Any]:
    size, output, count = network.input_size, model.graph.output[0].name, batch or "dynamic"
    return {
        "input": {"name": INPUT_NAME, "shape": [count, 3, size, size], "layout": "NCHW", "dtype": "float32"},
        "output": {"name": output, "shape": [count, network.classes], "dtype": "float32"},
        "opset": find_opset(model),
        "ir_version": int(model.ir_version),
        "versions": {"torch": str(torch.__version__), "onnx": str(onnx.__version__)},
    }


def _package() -> ModuleType:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        msg = "the package onnx is not installed"
        raise MissingRuntimeError(msg, hint="pip install onnx") from error
