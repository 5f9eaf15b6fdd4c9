"""The one walk from an architecture to its layers, and what a layer costs.

A layer is the unit of cost: stem, inverted-residual block, final expand, pooling, feature mix or
classifier. Two equal layers cost the same, wherever they are in the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from natdeploy.core.architecture import Architecture, check_member
from natdeploy.core.space import (
    BN_EPS,
    EFFICIENTNET,
    SYMMETRIC,
    SearchSpace,
    mid_channels,
    squeeze_channels,
)

STEM, BLOCK, FINAL_EXPAND, POOLING, FEATURE_MIX, CLASSIFIER = OPS = (
    "stem",
    "block",
    "final_expand",
    "pooling",
    "feature_mix",
    "classifier",
)
_FLOAT_BYTES = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Layer:
    """One layer; sizes are of square feature maps, in pixels.

    Args:
        op: One of `OPS`.
        in_size: Height and width of the input.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        mid_channels: Channels inside a block (equal to `in_channels` where it does not expand); 0 otherwise.
        kernel: Kernel size.
        stride: Stride.
        se: Whether the block has a squeeze-and-excitation unit.
        activation: One of `natdeploy.core.space.ACTIVATIONS`.
        skip: Whether the block adds its input to its output.
        padding: One of `natdeploy.core.space.PADDINGS`; the symmetric one wherever both are the same.
        squeeze_channels: Channels inside a squeeze-and-excitation unit of EfficientNet's kind; 0 for MobileNetV3's.
        bias: Whether a feature mix has a bias.
        bn_eps: Epsilon of BatchNorm. It does not change a cost, so that layers which differ in nothing else are equal.
    """

    op: str
    in_size: int
    in_channels: int
    out_channels: int
    mid_channels: int = 0
    kernel: int = 1
    stride: int = 1
    se: bool = False
    activation: str = "none"
    skip: bool = False
    padding: str = SYMMETRIC
    squeeze_channels: int = 0
    bias: bool = False
    bn_eps: float = dataclasses.field(default=BN_EPS, compare=False)

    @property
    def out_size(self) -> int:
        """Height and width of the output."""
        return 1 if self.op == POOLING else -(-self.in_size // self.stride)

    @property
    def expands(self) -> bool:
        """Whether a block begins with an expanding 1x1 convolution."""
        return self.op == BLOCK and self.mid_channels != self.in_channels

    @property
    def se_channels(self) -> int:
        """Channels inside the squeeze-and-excitation unit."""
        return self.squeeze_channels or squeeze_channels(self.mid_channels)

    @property
    def madds(self) -> int:
        """Multiply-adds of the convolutions and linear layers."""
        if self.op == BLOCK:
            return self._block_madds()
        if self.op == POOLING:
            return 0
        return self.out_size**2 * self.kernel**2 * self.in_channels * self.out_channels

    @property
    def params(self) -> int:
        """Trainable parameters: weights and biases, including those of BatchNorm but not its running statistics."""
        if self.op == BLOCK:
            return self._block_params()
        if self.op == POOLING:
            return 0
        weights = self.kernel**2 * self.in_channels * self.out_channels
        added = {FEATURE_MIX: self.bias * self.out_channels, CLASSIFIER: self.out_channels}
        return weights + added.get(self.op, 2 * self.out_channels)

    @property
    def peak_memory_bytes(self) -> int:
        """Largest activation memory of any operator in the layer, at batch 1 in float32: its input and output.

        A block with a skip connection holds its input in memory until its end.
        """
        inner, outer = self.in_size**2, self.out_size**2
        source, result = inner * self.in_channels, outer * self.out_channels
        if self.op != BLOCK:
            return _FLOAT_BYTES * (source + result)
        held = source if self.skip else 0
        wide, narrow = inner * self.mid_channels, outer * self.mid_channels
        steps = [held + wide + narrow, held + narrow + result]
        if self.expands:
            steps.append(source + wide)
        return _FLOAT_BYTES * max(steps)

    def _block_madds(self) -> int:
        inner, outer = self.in_size**2, self.out_size**2
        madds = outer * self.mid_channels * (self.kernel**2 + self.out_channels)
        if self.expands:
            madds += inner * self.in_channels * self.mid_channels
        if self.se:
            madds += 2 * self.mid_channels * self.se_channels
        return madds

    def _block_params(self) -> int:
        mid, out = self.mid_channels, self.out_channels
        params = mid * self.kernel**2 + 2 * mid + mid * out + 2 * out
        if self.expands:
            params += self.in_channels * mid + 2 * mid
        if self.se:
            params += 2 * mid * self.se_channels + self.se_channels + mid
        return params


def stem_layers(space: SearchSpace, width: float, resolution: int) -> tuple[Layer, Layer]:
    """Return stem and fixed block."""
    channels = space.channels(space.stem.channels, width)
    stem = Layer(
        op=STEM,
        in_size=resolution,
        in_channels=3,
        out_channels=channels,
        kernel=3,
        stride=2,
        activation=space.stem.activation,
        padding=_find_padding(space, resolution, 2),
        bn_eps=space.bn_eps,
    )
    block = space.fixed_block
    out_channels = space.channels(block.channels, width)
    fixed = Layer(
        op=BLOCK,
        in_size=stem.out_size,
        in_channels=channels,
        out_channels=out_channels,
        mid_channels=channels,
        kernel=block.kernel,
        se=block.se,
        activation=block.activation,
        skip=channels == out_channels,
        squeeze_channels=_find_squeeze_channels(space, channels, se=block.se),
        bn_eps=space.bn_eps,
    )
    return stem, fixed


def block_layer(
    space: SearchSpace, width: float, resolution: int, slot: int, *, kernel: int, expand_ratio: float
) -> Layer:
    """Return the block in layer slot `slot`. It depends only on its stage and on whether it is the first of it."""
    index, position = space.slot_places[slot]
    stage = space.stages[index]
    size = stage_sizes(space, resolution)[index]
    out_channels = space.channels(stage.channels, width)
    in_channels = space.in_channels(slot, width)
    in_size, stride = (size, stage.stride) if position == 0 else (-(-size // stage.stride), 1)
    return Layer(
        op=BLOCK,
        in_size=in_size,
        in_channels=in_channels,
        out_channels=out_channels,
        mid_channels=mid_channels(in_channels, expand_ratio),
        kernel=kernel,
        stride=stride,
        se=stage.se,
        activation=stage.activation,
        skip=stride == 1 and in_channels == out_channels,
        padding=_find_padding(space, in_size, stride),
        squeeze_channels=_find_squeeze_channels(space, in_channels, se=stage.se),
        bn_eps=space.bn_eps,
    )


def stage_sizes(space: SearchSpace, resolution: int) -> list[int]:
    """Return the input size of each stage, and that of the final expand as the last."""
    sizes = [-(-resolution // 2)]
    for stage in space.stages:
        sizes.append(-(-sizes[-1] // stage.stride))
    return sizes


def tail_layers(space: SearchSpace, width: float, resolution: int, classes: int) -> tuple[Layer, ...]:
    """Return final expand, pooling, feature mix if there is one, and classifier."""
    size = stage_sizes(space, resolution)[-1]
    before = space.channels(space.stages[-1].channels, width)
    expand, mix = space.final_expand, space.feature_mix
    channels = space.channels(expand.channels, width)
    layers = [
        Layer(
            op=FINAL_EXPAND,
            in_size=size,
            in_channels=before,
            out_channels=channels,
            activation=expand.activation,
            bn_eps=space.bn_eps,
        ),
        Layer(op=POOLING, in_size=size, in_channels=channels, out_channels=channels),
    ]
    if mix is not None:
        mixed = space.channels(mix.channels, width)
        layers.append(
            Layer(
                op=FEATURE_MIX,
                in_size=1,
                in_channels=channels,
                out_channels=mixed,
                activation=mix.activation,
                bias=mix.bias,
            )
        )
        channels = mixed
    return (*layers, Layer(op=CLASSIFIER, in_size=1, in_channels=channels, out_channels=classes))


def _find_padding(space: SearchSpace, size: int, stride: int) -> str:
    """Return the padding of an odd kernel. TensorFlow's is only another one where an even map is halved."""
    return space.padding if stride == 2 and size % 2 == 0 else SYMMETRIC


def _find_squeeze_channels(space: SearchSpace, in_channels: int, *, se: bool) -> int:
    return in_channels // 4 if se and space.se_unit == EFFICIENTNET else 0


def walk(
    space: SearchSpace, architecture: Architecture, classes: int, *, activation: str | None = None
) -> tuple[Layer, ...]:
    """Return the layers of `architecture` with a classifier of `classes` outputs, from input to output.

    Args:
        space: Space of the architecture. The resolution need not be in the space's list.
        architecture: The network.
        classes: Outputs of the classifier.
        activation: Replaces every activation of the network where given (the NAT authors' Mish networks).

    Raises:
        InputError: The architecture is not one of the space.
    """
    check_member(space, architecture)
    layers = tuple(_walk(space, architecture, classes))
    if activation is None:
        return layers
    return tuple(
        layer if layer.activation == "none" else dataclasses.replace(layer, activation=activation) for layer in layers
    )


def _walk(space: SearchSpace, architecture: Architecture, classes: int) -> Iterator[Layer]:
    width, resolution = architecture.width, architecture.resolution
    yield from stem_layers(space, width, resolution)
    for slots, stage in zip(space.stage_slots, architecture.stages(), strict=True):
        for slot, (kernel, expand_ratio) in enumerate(stage, start=slots.start):
            yield block_layer(space, width, resolution, slot, kernel=kernel, expand_ratio=expand_ratio)
    yield from tail_layers(space, width, resolution, classes)


def layer_names(layers: tuple[Layer, ...]) -> list[str]:
    """Return a name for each layer, which is also the name of its module in the extracted network.

    Blocks are numbered from 0, the fixed block. The other layers are named after their op.
    """
    names, blocks = [], 0
    for layer in layers:
        if layer.op == BLOCK:
            names.append(f"blocks.{blocks}")
            blocks += 1
        else:
            names.append(layer.op)
    return names
