"""TFLite files of lower precision, by ai-edge-quantizer: fp16 weights, or int8 throughout."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import MissingRuntimeError
from natdeploy.export.tflite_ranges import Range, collect_ranges
from natdeploy.machine import usable_cores
from natdeploy.ports import Images
from natdeploy.runtimes.litert import LitertRuntime
from natdeploy.runtimes.quiet import restore_process_state, silence

# Percentiles of the values between which activations are quantized. 100: from the least to the largest.
PERCENTILES = (100.0, 99.99, 99.9)
_COMPARED_IMAGES = 128
_SIGNATURE, _EVERY_OPERATOR = "serving_default", ".*"


def to_fp16(source: Path) -> bytes:
    """Return a float32 file with fp16 weights: half the size. Runtimes without fp16 arithmetic compute in float32.

    Raises:
        MissingRuntimeError: The package `ai-edge-quantizer` is not installed.
    """
    with _quantizer() as package:
        recipe = package.recipe_manager.RecipeManager()
        for operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            recipe.add_weight_only_config(
                _EVERY_OPERATOR,
                package.qtyping.TFLOperationName[operator],
                num_bits=16,
                granularity=package.qtyping.QuantGranularity.TENSORWISE,
                algorithm_key=package.algorithm_manager.AlgorithmName.FLOAT_CASTING,
            )
        quantizer = package.quantizer.Quantizer(source, recipe.get_quantization_recipe())
        return bytes(quantizer.quantize().quantized_model)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Int8File:
    """An int8 file.

    Args:
        content: Bytes of the file.
        percentile: Percentile of the values at which activations are clipped; 100 if none is.
    """

    content: bytes
    percentile: float


def to_int8(source: Path, images: Images, *, int8_input: bool) -> Int8File:
    """Return a float32 file with int8 weights, quantized per channel, and int8 activations; its output stays float32.

    Activations are clipped at the percentile with which the outputs of the file are nearest to those of the float32
    file, by their mean squared error.

    Args:
        source: File with one input, `args_0`, with channels last. Candidates are written beside it.
        images: `n x 3 x r x r` images from which activation ranges are computed.
        int8_input: Whether the file takes int8 values.

    Raises:
        MissingRuntimeError: The package `ai-edge-quantizer` is not installed.
    """
    compared, runtime, candidate = images[:_COMPARED_IMAGES], LitertRuntime(), source.with_name("candidate.tflite")
    reference = runtime.open(source, threads=1).run(compared)
    found = []
    for percentile, content in _quantize(source, images, int8_input=int8_input).items():
        candidate.write_bytes(content)
        outputs = runtime.open(candidate, threads=1).run(compared)
        found.append((float(((outputs - reference) ** 2).mean()), Int8File(content=content, percentile=percentile)))
    candidate.unlink()
    return min(found, key=lambda pair: pair[0])[1]


def _quantize(source: Path, images: Images, *, int8_input: bool) -> dict[float, bytes]:
    """Return an int8 file for each percentile."""
    arranged = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    with _quantizer() as package:
        recipe = _make_int8_recipe(package, int8_input=int8_input)
        # The quantizer's own ranges are moving averages, which clip much. They only tell which tensors have ranges.
        first = {_SIGNATURE: [{"args_0": arranged[:1]}]}
        shapes = package.quantizer.Quantizer(source, recipe).calibrate(first, num_threads=usable_cores())
        quantized = {}
        for percentile, ranges in collect_ranges(source, arranged, shapes, PERCENTILES).items():
            result = {name: {**shapes[name], **_fill(shapes[name], ends)} for name, ends in ranges.items()}
            written = package.quantizer.Quantizer(source, recipe).quantize(calibration_result=result)
            quantized[percentile] = bytes(written.quantized_model)
        return quantized


def _fill(shape: Mapping[str, NDArray[np.float32]], ends: Range) -> dict[str, NDArray[np.float32]]:
    return {key: np.full_like(shape[key], end) for key, end in zip(("min", "max"), ends, strict=True)}


def _make_int8_recipe(package: ModuleType, *, int8_input: bool) -> Any:  # noqa: ANN401
    names, recipe = package.qtyping.TFLOperationName, package.recipe_manager.RecipeManager()
    recipe.add_static_config(_EVERY_OPERATOR, names.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for name in (names.OUTPUT,) if int8_input else (names.INPUT, names.OUTPUT):
        algorithm = package.algorithm_manager.AlgorithmName.NO_QUANTIZE
        recipe.add_quantization_config(_EVERY_OPERATOR, name, algorithm_key=algorithm)
    return recipe.get_quantization_recipe()


@contextlib.contextmanager
def _quantizer() -> Iterator[ModuleType]:
    """Yield ai-edge-quantizer, silence it, and undo what it changes in the process."""
    with restore_process_state(), silence(stderr=True):
        try:
            package = importlib.import_module("ai_edge_quantizer")
            for part in ("algorithm_manager", "qtyping", "quantizer", "recipe_manager"):
                importlib.import_module(f"ai_edge_quantizer.{part}")
        except ImportError as error:
            msg = "the package ai-edge-quantizer is not installed"
            raise MissingRuntimeError(msg, hint='pip install "natdeploy[tflite]"') from error
        yield package
