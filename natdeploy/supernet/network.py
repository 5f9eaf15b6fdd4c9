"""The plain network of one architecture, built from its layers.

Module names follow `natdeploy.core.layers.layer_names`: `stem`, `blocks.N`, `final_expand`, `pooling`,
`feature_mix`, `classifier`, so that exported operators can be traced back to their layer.

Source of the layer structure: Cai et al., Once-for-All (ICLR 2020); Howard et al., MobileNetV3 (ICCV 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from natdeploy.core.layers import BLOCK, CLASSIFIER, FEATURE_MIX, FINAL_EXPAND, POOLING, STEM, Layer, layer_names
from natdeploy.core.space import squeeze_channels
from natdeploy.errors import InputError

BN_EPS = 1e-5
BN_MOMENTUM = 0.1
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "h_swish": nn.Hardswish, "mish": nn.Mish}


class ConvUnit(nn.Module):
    """Convolution without bias, then optionally BatchNorm and an activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        activation: str = "none",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=BN_EPS, momentum=BN_MOMENTUM) if norm else None
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x in x h x w` to `n x out x h' x w'`."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        if self.act is not None:
            x = self.act(x)
        return x


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation over `channels`, with a hard sigmoid."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = squeeze_channels(channels)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.relu = nn.ReLU()
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of an `n x c x h x w` tensor."""
        gate: Tensor = self.gate(self.expand(self.relu(self.reduce(self.pool(x)))))
        return x * gate


class InvertedResidual(nn.Module):
    """Inverted-residual block."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        mid = layer.mid_channels
        self.expand = ConvUnit(layer.in_channels, mid, activation=layer.activation) if layer.expands else None
        self.depthwise = ConvUnit(
            mid, mid, kernel=layer.kernel, stride=layer.stride, groups=mid, activation=layer.activation
        )
        self.se = SqueezeExcite(mid) if layer.se else None
        self.project = ConvUnit(mid, layer.out_channels)
        self.skip = layer.skip

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x in x h x w` to `n x out x h' x w'`."""
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        if self.se is not None:
            y = self.se(y)
        y = self.project(y)
        return x + y if self.skip else y


class Network(nn.Module):
    """The network that consists of `layers`.

    Args:
        layers: Layers from input to output, as `natdeploy.core.layers.walk` gives them; or a shorter run of layers
            after a stem, whose output is what the last of them gives.
        dropout: Dropout rate before the classifier.
    """

    def __init__(self, layers: Sequence[Layer], *, dropout: float = 0.0) -> None:
        super().__init__()
        by_op = {layer.op: layer for layer in layers}
        self.layers = tuple(layers)
        self.stem = make_unit(by_op[STEM])
        self.blocks = nn.Sequential(*(InvertedResidual(layer) for layer in layers if layer.op == BLOCK))
        if FINAL_EXPAND in by_op:
            self.final_expand = make_unit(by_op[FINAL_EXPAND])
        if POOLING in by_op:
            self.pooling = nn.AdaptiveAvgPool2d(by_op[POOLING].out_size)
        if FEATURE_MIX in by_op:
            self.feature_mix = make_unit(by_op[FEATURE_MIX], norm=False)
        self.dropout = nn.Dropout(dropout)
        if CLASSIFIER in by_op:
            self.classifier = nn.Linear(by_op[CLASSIFIER].in_channels, by_op[CLASSIFIER].out_channels)

    @property
    def input_size(self) -> int:
        """Height and width of the input images."""
        return self.layers[0].in_size

    @property
    def classes(self) -> int:
        """Outputs of the classifier, or of the last layer if there is no classifier."""
        return self.layers[-1].out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x 3 x r x r` images to `n x classes` logits."""
        for layer, module in self.modules_by_layer():
            x = module(self.dropout(torch.flatten(x, 1)) if layer.op == CLASSIFIER else x)
        return x

    def modules_by_layer(self) -> Iterator[tuple[Layer, nn.Module]]:
        """Yield each layer with its module."""
        for layer, name in zip(self.layers, layer_names(self.layers), strict=True):
            yield layer, self.get_submodule(name)


def build_network(layers: Sequence[Layer], *, dropout: float = 0.0) -> Network:
    """Build a network without initializing its weights, which are undefined until a state is loaded."""
    with torch.device("meta"):
        network = Network(layers, dropout=dropout)
    # Module.to_empty does the same, but imports sympy, which takes half a second.
    shapes = network.state_dict()
    empty = {name: torch.empty(values.shape, dtype=values.dtype) for name, values in shapes.items()}
    network.load_state_dict(empty, assign=True)
    return network.eval()


def make_activation(name: str) -> nn.Module | None:
    """Return the activation called `name`, or None for `none`.

    Raises:
        InputError: There is no such activation.
    """
    if name == "none":
        return None
    if name not in _ACTIVATIONS:
        msg = f"unknown activation {name!r} (known: {', '.join(_ACTIVATIONS)})"
        raise InputError(msg)
    return _ACTIVATIONS[name]()


def make_unit(layer: Layer, *, norm: bool = True) -> ConvUnit:
    """Build the module of a layer with a single convolution."""
    return ConvUnit(
        layer.in_channels,
        layer.out_channels,
        kernel=layer.kernel,
        stride=layer.stride,
        norm=norm,
        activation=layer.activation,
    )
