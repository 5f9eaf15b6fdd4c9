"""The elastic network: the weights of every architecture of one width, and the forward pass of any of them.

Source: Cai et al., Once-for-All (ICLR 2020): a smaller kernel is the centre of the next larger one, put
through a learned matrix; a smaller expand ratio takes the first channels; a smaller depth the first blocks.
The architecture is an argument of `forward`, never a state of the module.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from natdeploy.core.architecture import Architecture, largest
from natdeploy.core.layers import BLOCK, CLASSIFIER, FEATURE_MIX, FINAL_EXPAND, STEM, Layer, walk
from natdeploy.core.space import SAME, SYMMETRIC, SearchSpace, mid_channels
from natdeploy.supernet.depthwise import convolve_depthwise
from natdeploy.supernet.network import (
    ConvUnit,
    InvertedResidual,
    Network,
    build_network,
    count_padding,
    make_unit,
)

State = dict[str, Tensor]


class ElasticBlock(InvertedResidual):
    """Inverted-residual block with the weights of every kernel and expand ratio.

    Args:
        layer: The block at its largest kernel and expand ratio.
        kernels: Kernel sizes it can take, ascending.
        padding: Padding of the space. Whether it differs from the symmetric one depends on the map.
    """

    def __init__(self, layer: Layer, kernels: tuple[int, ...], padding: str) -> None:
        super().__init__(dataclasses.replace(layer, padding=SYMMETRIC))
        self.layer = layer
        self.kernels = kernels
        self.padding = padding
        for larger, smaller in self._shrinkings(kernels[0]):
            matrix = nn.Parameter(torch.eye(smaller**2))
            self.register_parameter(_transform_name(larger, smaller), matrix)

    def elastic_forward(self, x: Tensor, kernel: int, expand_ratio: float) -> Tensor:
        """Map `n x in x h x w` to `n x out x h' x w'` with the weights of one kernel size and expand ratio."""
        mid = mid_channels(self.layer.in_channels, expand_ratio)
        y = x if self.expand is None else _convolve(self.expand, x, self.expand.conv.weight[:mid])
        weight = _crop_unreachable(self.kernel_weight(kernel, mid), max(y.shape[-2:]))
        y = _convolve(self.depthwise, y, weight, self.padding)
        if self.se is not None:
            squeezed = self._squeezed(mid)
            reduce, expand = self.se.reduce, self.se.expand
            assert reduce.bias is not None
            assert expand.bias is not None
            gate = self.se.act(nnf.conv2d(self.se.pool(y), reduce.weight[:squeezed, :mid], reduce.bias[:squeezed]))
            y = y * self.se.gate(nnf.conv2d(gate, expand.weight[:mid, :squeezed], expand.bias[:mid]))
        y = _convolve(self.project, y, self.project.conv.weight[:, :mid])
        return x + y if self.skip else y

    def kernel_weight(self, kernel: int, mid: int) -> Tensor:
        """Return the `mid x 1 x kernel x kernel` depthwise weights."""
        weight = self.depthwise.conv.weight[:mid]
        for larger, smaller in self._shrinkings(kernel):
            margin = (larger - smaller) // 2
            centre = weight[:, :, margin : margin + smaller, margin : margin + smaller].reshape(mid, -1)
            weight = nnf.linear(centre, self.get_parameter(_transform_name(larger, smaller)))
            weight = weight.view(mid, 1, smaller, smaller)
        return weight

    def subnet_state(self, kernel: int, expand_ratio: float) -> State:
        """Return the weights of a plain block. They share memory with the supernet's if possible."""
        mid = mid_channels(self.layer.in_channels, expand_ratio)
        state = {
            "depthwise.conv.weight": self.kernel_weight(kernel, mid),
            "project.conv.weight": self.project.conv.weight[:, :mid],
            **_norm_state(self.depthwise, "depthwise", mid),
            **_norm_state(self.project, "project", self.layer.out_channels),
        }
        if self.expand is not None:
            state |= {"expand.conv.weight": self.expand.conv.weight[:mid], **_norm_state(self.expand, "expand", mid)}
        if self.se is not None:
            squeezed = self._squeezed(mid)
            reduce, expand = self.se.reduce, self.se.expand
            assert reduce.bias is not None
            assert expand.bias is not None
            state["se.reduce.weight"] = reduce.weight[:squeezed, :mid]
            state["se.reduce.bias"] = reduce.bias[:squeezed]
            state["se.expand.weight"] = expand.weight[:mid, :squeezed]
            state["se.expand.bias"] = expand.bias[:mid]
        return state

    def _squeezed(self, mid: int) -> int:
        return dataclasses.replace(self.layer, mid_channels=mid).se_channels

    def _shrinkings(self, kernel: int) -> list[tuple[int, int]]:
        sizes = [size for size in reversed(self.kernels) if size >= kernel]
        return list(itertools.pairwise(sizes))


class ElasticNetwork(nn.Module):
    """The weights of all architectures of `space` at one width.

    Args:
        space: Search space.
        width: Width multiplier, one of the space's.
        classes: Outputs of the classifier.
    """

    def __init__(self, space: SearchSpace, width: float, classes: int) -> None:
        super().__init__()
        self.space, self.width, self.classes = space, width, classes
        layers = _largest_layers(space, width, classes)
        by_op = {layer.op: layer for layer in layers}
        blocks = [layer for layer in layers if layer.op == BLOCK]
        self.stem = make_unit(dataclasses.replace(by_op[STEM], padding=SYMMETRIC))
        self.blocks = nn.ModuleList([InvertedResidual(blocks[0])])
        self.blocks.extend(
            ElasticBlock(layer, space.stages[index].kernels, space.padding)
            for layer, (index, _) in zip(blocks[1:], space.slot_places, strict=True)
        )
        self.final_expand = make_unit(by_op[FINAL_EXPAND])
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.feature_mix = make_unit(by_op[FEATURE_MIX]) if FEATURE_MIX in by_op else None
        self.classifier = nn.Linear(by_op[CLASSIFIER].in_channels, classes)

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Map `n x 3 x r x r` images of any size r to the `n x classes` logits of `architecture`."""
        return self.forward_stages(x, architecture)[-1]

    def forward_stages(self, x: Tensor, architecture: Architecture) -> list[Tensor]:
        """Return the feature maps that each stage of `architecture` ends in, and the logits as the last.

        The feature maps of a stage have the same shape for all architectures of a resolution.
        """
        x = self.blocks[0](_convolve(self.stem, x, self.stem.conv.weight, self.space.padding))
        found = []
        for stage in self._active(architecture):
            for block, kernel, expand_ratio in stage:
                x = block.elastic_forward(x, kernel, expand_ratio)
            found.append(x)
        x = self.pooling(self.final_expand(x))
        if self.feature_mix is not None:
            x = self.feature_mix(x)
        return [*found, self.classifier(torch.flatten(x, 1))]

    def extract(self, architecture: Architecture) -> Network:
        """Return a plain network with a copy of the weights of `architecture`.

        Raises:
            InputError: The architecture is not in the space.
        """
        network = build_network(walk(self.space, architecture, self.classes))
        with torch.no_grad():
            state = {name: tensor.clone() for name, tensor in self._subnet_state(architecture)}
        network.load_state_dict(state, assign=True)
        for parameter in network.parameters():
            parameter.requires_grad_()
        return network

    def _active(self, architecture: Architecture) -> Iterator[list[tuple[ElasticBlock, int, float]]]:
        """Yield the blocks of each stage that `architecture` has, with their kernel sizes and expand ratios."""
        for slots, stage in zip(self.space.stage_slots, architecture.stages(), strict=True):
            blocks = [
                block for block in self.blocks[1 + slots.start :][: len(stage)] if isinstance(block, ElasticBlock)
            ]
            yield [(block, *choice) for block, choice in zip(blocks, stage, strict=True)]

    def _subnet_state(self, architecture: Architecture) -> Iterator[tuple[str, Tensor]]:
        for name in ("stem", "final_expand", "feature_mix", "classifier"):
            module = getattr(self, name)
            if module is not None:
                yield from ((f"{name}.{key}", value) for key, value in module.state_dict().items())
        yield from ((f"blocks.0.{key}", value) for key, value in self.blocks[0].state_dict().items())
        for number, (block, kernel, expand_ratio) in enumerate(
            itertools.chain.from_iterable(self._active(architecture)), start=1
        ):
            state = block.subnet_state(kernel, expand_ratio)
            yield from ((f"blocks.{number}.{key}", value) for key, value in state.items())


def _largest_layers(space: SearchSpace, width: float, classes: int) -> tuple[Layer, ...]:
    top = largest(space)
    architecture = Architecture(
        resolution=top.resolution,
        width=width,
        depths=top.depths,
        kernels=top.kernels,
        expand_ratios=top.expand_ratios,
    )
    return walk(space, architecture, classes)


def _convolve(unit: ConvUnit, x: Tensor, weight: Tensor, padding: str = SYMMETRIC) -> Tensor:
    stride, kernel, channels = unit.conv.stride[0], weight.shape[-1], len(weight)
    around = kernel // 2
    if padding == SAME and stride == 2 and x.shape[-1] % 2 == 0:
        before, after = count_padding(kernel, SAME)
        x, around = nnf.pad(x, (before, after, before, after)), 0
    if unit.conv.groups > 1:
        x = convolve_depthwise(x, weight, stride, around)
    else:
        x = nnf.conv2d(x, weight, stride=stride, padding=around)
    norm = unit.bn
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    x = nnf.batch_norm(
        x,
        norm.running_mean[:channels],
        norm.running_var[:channels],
        norm.weight[:channels],
        norm.bias[:channels],
        training=unit.training,
        momentum=norm.momentum or 0.0,
        eps=norm.eps,
    )
    return x if unit.act is None else unit.act(x)


def _crop_unreachable(weight: Tensor, size: int) -> Tensor:
    # Taps further than size - 1 from the centre only meet padding. Without them the result is the same, and the
    # gradient is several times faster on the small maps of low resolutions.
    margin = max(0, weight.shape[-1] // 2 - (size - 1))
    return weight[:, :, margin : weight.shape[-2] - margin, margin : weight.shape[-1] - margin] if margin else weight


def _norm_state(unit: ConvUnit, name: str, channels: int) -> State:
    assert unit.bn is not None
    state = unit.bn.state_dict()
    return {f"{name}.bn.{key}": value if value.ndim == 0 else value[:channels] for key, value in state.items()}


def _transform_name(larger: int, smaller: int) -> str:
    return f"transform_{larger}to{smaller}"
