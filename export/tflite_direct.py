"""TFLite files that are only timed, written without a converter.

litert-torch takes seconds for each file, which is too slow for the many files of a profile. This module writes the
operators that litert-torch would write, in the same order and with the same options, so that the files take as long to
run.
"""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from natdeploy.export.tflite_file import INPUT_NAME, NO_TENSOR, OUTPUT_NAME, TfliteFile, Values
from natdeploy.files import writing
from natdeploy.supernet.network import ConvUnit, InvertedResidual, Network, SqueezeExcite

_LARGE = 20.0
_FUSED: Mapping[type[nn.Module], str] = {nn.ReLU: "RELU", nn.ReLU6: "RELU6"}


class TfliteDirectExporter:
    """Writes a network, or some of its layers after a stem, as a TFLite file of fixed batch 1."""

    @property
    def format(self) -> str:
        """Name of the format."""
        return "tflite"

    @property
    def suffix(self) -> str:
        """Suffix of the file."""
        return ".tflite"

    def write(self, network: Network, output_path: Path) -> Mapping[str, Any]:
        """Write `network` to `output_path` and return what a manifest says about the file.

        Raises:
            MissingRuntimeError: The package `ai-edge-litert` is not installed.
            OutputError: The file cannot be written.
        """
        size = network.input_size
        file = TfliteFile((1, size, size, 3))
        modules = [module for _, module in network.modules_by_layer()]
        for module, following in itertools.zip_longest(modules, modules[1:]):
            if isinstance(module, nn.AdaptiveAvgPool2d):
                _append_pooling(file, module, keep_dimensions=not isinstance(following, nn.Linear))
            else:
                _append(file, module)
        with writing(output_path):
            output_path.write_bytes(file.to_bytes())
        return {
            "input": {"name": INPUT_NAME, "shape": [1, size, size, 3], "layout": "NHWC", "dtype": "float32"},
            "output": {"name": OUTPUT_NAME, "shape": list(file.shape), "dtype": "float32"},
            "opset": None,
            "versions": {"ai-edge-litert": importlib.metadata.version("ai-edge-litert")},
        }


def _append(file: TfliteFile, module: nn.Module) -> None:
    writers: dict[type[nn.Module], Callable[[TfliteFile, Any], None]] = {
        ConvUnit: _append_unit,
        InvertedResidual: _append_block,
        SqueezeExcite: _append_squeeze_excite,
        nn.Linear: _append_linear,
        nn.Hardswish: _append_hard_swish,
        nn.SiLU: _append_silu,
        nn.Mish: _append_mish,
    }
    writers[type(module)](file, module)


def _append_block(file: TfliteFile, block: InvertedResidual) -> None:
    source = file.result
    for module in (block.expand, block.depthwise, block.se, block.project):
        if module is not None:
            _append(file, module)
    if block.skip:
        file.append("ADD", [source, file.result], file.shape, "AddOptions")


def _append_unit(file: TfliteFile, unit: ConvUnit) -> None:
    fused = "NONE" if unit.act is None else _FUSED.get(type(unit.act), "NONE")
    pads = int(unit.conv.padding[0]), int(unit.conv.padding[0])
    if unit.pad is not None:
        pads = unit.pad.padding[0], unit.pad.padding[1]
    _append_convolution(file, unit.conv, *_fold_unit(unit), fused=fused, pads=pads)
    if unit.act is not None and fused == "NONE":
        _append(file, unit.act)


def _append_hard_swish(file: TfliteFile, _: nn.Hardswish) -> None:
    file.append("HARD_SWISH", [file.result], file.shape)


def _append_mish(file: TfliteFile, _: nn.Mish) -> None:
    """Append `x tanh(softplus(x))`, where the softplus of a large `x` is `x` itself."""
    source, shape = file.result, file.shape
    powers = file.append("EXP", [source], shape, "ExpOptions")
    added = file.append("ADD", [powers, file.constant(np.array(1.0, np.float32))], shape, "AddOptions")
    softplus = file.append("LOG", [added], shape)
    large = file.append("GREATER", [source, file.constant(np.array(_LARGE, np.float32))], shape)
    chosen = file.append("SELECT", [large, source, softplus], shape, "SelectOptions")
    file.append("MUL", [source, file.append("TANH", [chosen], shape)], shape, "MulOptions")


def _append_silu(file: TfliteFile, _: nn.SiLU) -> None:
    source, shape = file.result, file.shape
    file.append("MUL", [source, file.append("LOGISTIC", [source], shape)], shape, "MulOptions")


def _append_squeeze_excite(file: TfliteFile, unit: SqueezeExcite) -> None:
    source, shape = file.result, file.shape
    reduce, expand = unit.reduce, unit.expand
    assert reduce.bias is not None
    assert expand.bias is not None
    _append_pooling(file, unit.pool)
    if isinstance(unit.gate, nn.Sigmoid):
        _append_convolution(file, reduce, reduce.weight, reduce.bias, fused="NONE")
        _append(file, unit.act)
        _append_convolution(file, expand, expand.weight, expand.bias, fused="NONE")
        gate = file.append("LOGISTIC", [file.result], file.shape)
    else:
        # The hard sigmoid adds 3 to the bias, applies ReLU6, and divides by 6.
        _append_convolution(file, reduce, reduce.weight, reduce.bias, fused="RELU")
        _append_convolution(file, expand, expand.weight, expand.bias + 3.0, fused="RELU6")
        gate = file.append("MUL", [file.result, file.constant(np.array(1 / 6, np.float32))], file.shape, "MulOptions")
    file.append("MUL", [source, gate], shape, "MulOptions")


def _append_pooling(file: TfliteFile, _: nn.AdaptiveAvgPool2d, *, keep_dimensions: bool = True) -> None:
    """Append the mean over the feature map, unless the map is a single pixel."""
    batch, height, width, channels = file.shape
    if height * width > 1:
        axes = file.constant(np.array([2, 1], np.int32))
        shape = (batch, 1, 1, channels) if keep_dimensions else (batch, channels)
        file.append("MEAN", [file.result, axes], shape, "ReducerOptions", keepDims=keep_dimensions)


def _append_linear(file: TfliteFile, linear: nn.Linear) -> None:
    """Append the classifier, without its bias if that is zero."""
    bias = _array(linear.bias)
    inputs = [file.result, file.constant(_array(linear.weight)), file.constant(bias) if bias.any() else NO_TENSOR]
    # A vector keeps its dimensions; a map of one pixel becomes a vector.
    options: dict[str, Any] = {"version": 5, "keepNumDims": True} if len(file.shape) == 2 else {}
    file.append("FULLY_CONNECTED", inputs, (1, linear.out_features), "FullyConnectedOptions", **options)


def _fold_unit(unit: ConvUnit) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution of a unit, with its BatchNorm folded in if it has one."""
    conv, norm = unit.conv, unit.bn
    if norm is None:
        return conv.weight, torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return fuse_conv_bn_weights(
        conv.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def _append_convolution(
    file: TfliteFile, conv: nn.Conv2d, weight: Tensor, bias: Tensor, *, fused: str, pads: tuple[int, int] = (0, 0)
) -> None:
    """Append a convolution. The format's own padding has less before than after if the sum is odd."""
    stride, kernel = conv.stride[0], conv.kernel_size[0]
    batch, size, _, _ = file.shape
    out_size = (size + sum(pads) - kernel) // stride + 1
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    same = kernel > 1 and pads == (total // 2, total - total // 2)
    if not same and any(pads):
        _append_padding(file, *pads)
    depthwise = conv.groups > 1
    weights = _array(weight).transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    inputs = [file.result, file.constant(weights), file.constant(_array(bias))]
    options = {
        "padding": getattr(file.schema.Padding, "SAME" if same else "VALID"),
        "strideW": stride,
        "strideH": stride,
        "fusedActivationFunction": getattr(file.schema.ActivationFunctionType, fused),
    }
    shape = (batch, out_size, out_size, conv.out_channels)
    if depthwise:
        file.append("DEPTHWISE_CONV_2D", inputs, shape, "DepthwiseConv2DOptions", depthMultiplier=1, **options)
    else:
        file.append("CONV_2D", inputs, shape, "Conv2DOptions", **options)


def _append_padding(file: TfliteFile, before: int, after: int) -> None:
    """Pad the map on all sides."""
    batch, height, width, channels = file.shape
    added = before + after
    widths = file.constant(np.array([[0, 0], [before, after], [before, after], [0, 0]], np.int32))
    file.append("PAD", [file.result, widths], (batch, height + added, width + added, channels), "PadOptions")


def _array(parameter: Tensor) -> Values:
    values: Values = parameter.detach().numpy()
    return values
