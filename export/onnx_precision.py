"""ONNX models of lower precision: fp16 and int8, by the converters of ONNX Runtime.

Input and output stay float32, so that an app can use files of every precision in the same way.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import MissingRuntimeError
from natdeploy.ports import Images
from natdeploy.runtimes.quiet import restore_process_state, silence
from natdeploy.temporary import temporary_folder

if TYPE_CHECKING:
    from onnx import ModelProto

LEAST_INT8_OPSET = 13
_TENSORRT_OPERATORS = ["Conv", "Gemm", "MatMul"]
# Biases stay float. Weights stay float too, followed by both operators: TensorRT takes no int32 or int8 constants.
_TENSORRT_OPTIONS = {
    "ActivationSymmetric": True,
    "AddQDQPairToWeight": True,
    "OpTypesToExcludeOutputQuantization": _TENSORRT_OPERATORS,
    "QuantizeBias": False,
}


def to_fp16(model: ModelProto) -> ModelProto:
    """Return `model` with fp16 weights and activations between its float32 input and output.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
    """
    with _quiet_package("transformers.float16") as package:
        converted = package.convert_float_to_float16(model, keep_io_types=True)
    with _quiet_package("quantization.onnx_model") as package:
        editor = package.ONNXModel(converted)
        editor.topological_sort()  # the converter appends its nodes at the end
    result: ModelProto = editor.model
    return result


def to_int8(model: ModelProto, images: Images, *, batch: int, symmetric: bool) -> ModelProto:
    """Return `model` with int8 weights, quantized per channel, and 8-bit activations, as QuantizeLinear pairs (QDQ).

    Args:
        model: Float32 model.
        images: `n x 3 x r x r` images from which activation ranges are computed.
        batch: Images per call of the model.
        symmetric: Whether activations are signed with zero point 0, and only convolutions and linear layers are
            quantized, as TensorRT requires. Otherwise activations are unsigned and weights use 7 bits, since x86
            processors without VNNI would overflow with 8.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
    """
    import onnx

    with _quiet_package("quantization") as package, temporary_folder() as folder:
        source, quantized_path = folder / "float.onnx", folder / "int8.onnx"
        onnx.save_model(model, source)
        package.quantize_static(
            source,
            quantized_path,
            _Reader(model.graph.input[0].name, images, batch),
            op_types_to_quantize=_TENSORRT_OPERATORS if symmetric else None,
            per_channel=True,
            reduce_range=not symmetric,
            activation_type=package.QuantType.QInt8 if symmetric else package.QuantType.QUInt8,
            weight_type=package.QuantType.QInt8,
            extra_options=_TENSORRT_OPTIONS if symmetric else {},
        )
        quantized = onnx.load_model(quantized_path)
    _keep_used_domains(quantized)
    return quantized


class _Reader:
    """Returns one batch of images after another. A last batch that is not full is filled from its own start."""

    def __init__(self, name: str, images: Images, batch: int) -> None:
        starts = range(0, len(images), batch)
        self._batches: Iterator[dict[str, NDArray[np.float32]]] = (
            {name: np.resize(images[start : start + batch], (batch, *images.shape[1:]))} for start in starts
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next batch by the name of the input; None after the last."""
        return next(self._batches, None)


@contextlib.contextmanager
def _quiet_package(name: str) -> Iterator[ModuleType]:
    """Yield a module of ONNX Runtime, silence it, and undo what it changes in the process."""
    path = list(sys.path)
    with restore_process_state(), silence(stderr=True):
        try:
            yield _import_part(name)
        finally:
            sys.path[:] = path


def _import_part(name: str) -> ModuleType:
    try:
        folder = importlib.import_module("onnxruntime.transformers").__path__[0]
        sys.path.append(folder)  # the modules there, and those of quantization, import one another by bare names
        return importlib.import_module(f"onnxruntime.{name}")
    except ImportError as error:
        msg = "ONNX Runtime is not installed"
        raise MissingRuntimeError(msg, hint="pip install onnxruntime") from error


def _keep_used_domains(model: ModelProto) -> None:
    """Remove operator sets without operators, which some parsers refuse."""
    used = {node.domain for node in model.graph.node}
    kept = [item for item in model.opset_import if item.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
