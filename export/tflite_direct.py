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

from natdeploy.export.depthwise_kernels import DepthwiseSum
from natdeploy.export.hard_activations import ProductHardswish
from natdeploy.export.tflite_file import INPUT_NAME, NO_TENSOR, OUTPUT_NAME, TfliteFile, Values
from natdeploy.export.xnnpack_operators import fit_to_xnnpack
from natdeploy.files import writing
from natdeploy.supernet.network import ConvUnit, InvertedResidual, Network, SqueezeExcite

_LARGE = 20.0
_Pads = tuple[tuple[int, int], tuple[int, int]]
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
        fitted = fit_to_xnnpack(network, int8=False)
        modules = [module for _, module in fitted.modules_by_layer()]
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
        ProductHardswish: _append_product_hard_swish,
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
    if isinstance(unit.conv, DepthwiseSum):
        _append_sum(file, unit.conv, fused)
    else:
        _append_convolution(file, unit.conv, pad=unit.pad, fused=fused)
    if unit.act is not None and fused == "NONE":
        _append(file, unit.act)


def _append_sum(file: TfliteFile, convolutions: DepthwiseSum, fused: str) -> None:
    source = file.result
    first, *others = convolutions.parts
    total = _append_convolution(file, first.conv, pad=first.pad)
    for part in others:
        file.result = source
        added = _append_convolution(file, part.conv, pad=part.pad)
        activation = getattr(file.schema.ActivationFunctionType, fused if part is others[-1] else "NONE")
        total = file.append("ADD", [total, added], file.shape, "AddOptions", fusedActivationFunction=activation)


def _append_hard_swish(file: TfliteFile, _: nn.Hardswish) -> None:
    file.append("HARD_SWISH", [file.result], file.shape)


def _append_product_hard_swish(file: TfliteFile, _: ProductHardswish) -> None:
    source, shape = file.result, file.shape
    fused = file.schema.ActivationFunctionType.RELU6
    offset = file.constant(np.array(3.0, np.float32))
    gate = file.append("ADD", [source, offset], shape, "AddOptions", fusedActivationFunction=fused)
    file.append("MUL", [source, gate], shape, "MulOptions")


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
    _append_pooling(file, unit.pool)
    if isinstance(unit.gate, nn.Sigmoid):
        _append_convolution(file, unit.reduce)
        _append(file, unit.act)
        _append_convolution(file, unit.expand)
        gate = file.append("LOGISTIC", [file.result], file.shape)
    else:
        _append_convolution(file, unit.reduce, fused="RELU")
        gate = _append_hard_gate(file, unit)
    file.append("MUL", [source, gate], shape, "MulOptions")


def _append_hard_gate(file: TfliteFile, unit: SqueezeExcite) -> int:
    """Append the last convolution and its gate: ReLU6, or the hard sigmoid, `ReLU6(x + 3) / 6`."""
    if isinstance(unit.gate, nn.ReLU6):
        return _append_convolution(file, unit.expand, fused="RELU6")
    _append_convolution(file, unit.expand, offset=3.0, fused="RELU6")
    return file.append("MUL", [file.result, file.constant(np.array(1 / 6, np.float32))], file.shape, "MulOptions")


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


def _append_convolution(
    file: TfliteFile, conv: nn.Conv2d, *, pad: nn.ZeroPad2d | None = None, offset: float = 0.0, fused: str = "NONE"
) -> int:
    """Append a convolution with `offset` added to its bias."""
    bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
    (height, width), stride = conv.kernel_size, conv.stride[0]
    pads = _find_pads(conv, pad)
    batch, size, _, _ = file.shape
    out_size = (size + sum(pads[0]) - conv.dilation[0] * (height - 1) - 1) // stride + 1
    same = height * width > 1 and pads == tuple(_find_same_pads(conv, size, axis) for axis in (0, 1))
    if not same and any(map(any, pads)):
        _append_padding(file, pads)
    depthwise = conv.groups > 1
    weights = _array(conv.weight).transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
    inputs = [file.result, file.constant(weights), file.constant(_array(bias + offset))]
    options = {
        "padding": getattr(file.schema.Padding, "SAME" if same else "VALID"),
        "strideW": stride,
        "strideH": stride,
        "dilationHFactor": conv.dilation[0],
        "fusedActivationFunction": getattr(file.schema.ActivationFunctionType, fused),
    }
    shape = (batch, out_size, out_size, conv.out_channels)
    if depthwise:
        options.update(depthMultiplier=1, version=2 if conv.dilation[0] > 1 else 1)
        return file.append("DEPTHWISE_CONV_2D", inputs, shape, "DepthwiseConv2DOptions", **options)
    return file.append("CONV_2D", inputs, shape, "Conv2DOptions", **options)


def _find_pads(conv: nn.Conv2d, pad: nn.ZeroPad2d | None) -> _Pads:
    """Return the pixels before and after the map, first of its height and then of its width."""
    if pad is not None:
        left, right, top, bottom = pad.padding
        return (top, bottom), (left, right)
    rows, columns = int(conv.padding[0]), int(conv.padding[1])
    return (rows, rows), (columns, columns)


def _find_same_pads(conv: nn.Conv2d, size: int, axis: int) -> tuple[int, int]:
    """Return the format's own padding along an axis. It has less before than after the map if the sum is odd."""
    stride, reach = conv.stride[0], conv.dilation[axis] * (conv.kernel_size[axis] - 1) + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _append_padding(file: TfliteFile, pads: _Pads) -> None:
    """Pad the map."""
    batch, height, width, channels = file.shape
    widths = file.constant(np.array([[0, 0], *pads, [0, 0]], np.int32))
    shape = (batch, height + sum(pads[0]), width + sum(pads[1]), channels)
    file.append("PAD", [file.result, widths], shape, "PadOptions")


def _array(parameter: Tensor) -> Values:
    values: Values = parameter.detach().numpy()
    return values
