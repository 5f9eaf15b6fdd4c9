"""TFLite files of lower precision, by ai-edge-quantizer: fp16 weights, or int8 throughout."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from natdeploy.errors import MissingRuntimeError
from natdeploy.machine import usable_cores
from natdeploy.ports import Images
from natdeploy.runtimes.quiet import restore_process_state, silence

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


def to_int8(source: Path, images: Images, *, int8_input: bool) -> bytes:
    """Return a float32 file with int8 weights, quantized per channel, and int8 activations; its output stays float32.

    Args:
        source: File with one input, `args_0`, with channels last.
        images: `n x 3 x r x r` images from which activation ranges are computed.
        int8_input: Whether the file takes int8 values.

    Raises:
        MissingRuntimeError: The package `ai-edge-quantizer` is not installed.
    """
    with _quantizer() as package:
        names, recipe = package.qtyping.TFLOperationName, package.recipe_manager.RecipeManager()
        recipe.add_static_config(_EVERY_OPERATOR, names.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
        for name in (names.OUTPUT,) if int8_input else (names.INPUT, names.OUTPUT):
            algorithm = package.algorithm_manager.AlgorithmName.NO_QUANTIZE
            recipe.add_quantization_config(_EVERY_OPERATOR, name, algorithm_key=algorithm)
        quantizer = package.quantizer.Quantizer(source, recipe.get_quantization_recipe())
        arranged = images.transpose(0, 2, 3, 1)
        ranges = quantizer.calibrate(
            {_SIGNATURE: [{"args_0": arranged[place : place + 1]} for place in range(len(arranged))]},
            num_threads=usable_cores(),
        )
        return bytes(quantizer.quantize(calibration_result=ranges).quantized_model)


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
