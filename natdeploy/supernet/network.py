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
from natdeploy.core.space import BN_EPS, SAME, SYMMETRIC
from natdeploy.errors import InputError

BN_MOMENTUM = 0.1
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "h_swish": nn.Hardswish,
    "silu": nn.SiLU,
    "mish": nn.Mish,
}


class ConvUnit(nn.Module):
    """Convolution, then optionally BatchNorm and an activation.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel: Kernel size.
        stride: Stride.
        groups: Groups of channels.
        activation: Name of the activation.
        padding: `symmetric`; or `same`, TensorFlow's for maps of even size, which has one pixel less before than after.
        bn_eps: Epsilon of BatchNorm. None for no BatchNorm.
        bias: Whether the convolution has a bias.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        activation: str = "none",
        padding: str = SYMMETRIC,
        bn_eps: float | None = BN_EPS,
        bias: bool = False,
    ) -> None:
        super().__init__()
        before, after = count_padding(kernel, padding)
        self.pad = nn.ZeroPad2d((before, after, before, after)) if before != after else None
        around = before if before == after else 0
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride=stride, padding=around, groups=groups, bias=bias
        )
        self.bn = None if bn_eps is None else nn.BatchNorm2d(out_channels, eps=bn_eps, momentum=BN_MOMENTUM)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x in x h x w` to `n x out x h' x w'`."""
        if self.pad is not None:
            x = self.pad(x)
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        if self.act is not None:
            x = self.act(x)
        return x


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation.

    Args:
        channels: Channels that it scales.
        squeezed: Channels inside.
        activation: Activation inside.
        gate: The gate: a hard sigmoid or a sigmoid.
    """

    def __init__(self, channels: int, squeezed: int, activation: nn.Module, gate: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.act = activation
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Scale the channels of an `n x c x h x w` tensor."""
        gate: Tensor = self.gate(self.expand(self.act(self.reduce(self.pool(x)))))
        return x * gate


class InvertedResidual(nn.Module):
    """Inverted-residual block."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        mid, activation, eps = layer.mid_channels, layer.activation, layer.bn_eps
        self.expand = ConvUnit(layer.in_channels, mid, activation=activation, bn_eps=eps) if layer.expands else None
        self.depthwise = ConvUnit(
            mid,
            mid,
            kernel=layer.kernel,
            stride=layer.stride,
            groups=mid,
            activation=activation,
            padding=layer.padding,
            bn_eps=eps,
        )
        self.se = make_squeeze_excite(layer) if layer.se else None
        self.project = ConvUnit(mid, layer.out_channels, bn_eps=eps)
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
            self.feature_mix = make_unit(by_op[FEATURE_MIX])
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


def make_unit(layer: Layer) -> ConvUnit:
    """Build the module of a layer with a single convolution. A feature mix has no BatchNorm."""
    return ConvUnit(
        layer.in_channels,
        layer.out_channels,
        kernel=layer.kernel,
        stride=layer.stride,
        activation=layer.activation,
        padding=layer.padding,
        bn_eps=None if layer.op == FEATURE_MIX else layer.bn_eps,
        bias=layer.bias,
    )


def make_squeeze_excite(layer: Layer) -> SqueezeExcite:
    """Build the squeeze-and-excitation unit of a block: EfficientNet's if the layer states its channels."""
    activation, gate = (nn.SiLU(), nn.Sigmoid()) if layer.squeeze_channels else (nn.ReLU(), nn.Hardsigmoid())
    return SqueezeExcite(layer.mid_channels, layer.se_channels, activation, gate)


def count_padding(kernel: int, padding: str) -> tuple[int, int]:
    """Return the pixels before and after a map, for a kernel of odd size."""
    around = kernel // 2
    return (around - 1, around) if padding == SAME else (around, around)
