"""The elastic network: the weights of every architecture of one width, and the forward pass of any of them.

Source: Cai et al., Once-for-All (ICLR 2020): a smaller kernel is the centre of the next larger one, put
through a learned matrix; a smaller expand ratio takes the first channels; a smaller depth the first blocks.
The architecture is an argument of `forward`, never a state of the module.

The BatchNorm statistics of an elastic layer differ with the kernel size and the expand ratio. Training normalizes by
the batch, and a subnet is recalibrated on images. A supernet that is distilled from a pretrained network has fixed
statistics for each choice instead, and needs neither.
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
# Part of the names of the tensors that only supernets with statistics of each choice have.
STATISTICS = ".statistics."


class Statistics(nn.Module):
    """BatchNorm statistics of a layer, for one choice.

    Args:
        channels: Its output channels.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))


class ElasticBlock(InvertedResidual):
    """Inverted-residual block with the weights of every kernel and expand ratio.

    Args:
        layer: The block at its largest kernel and expand ratio.
        kernels: Kernel sizes it can take, ascending.
        expand_ratios: Expand ratios it can take, ascending.
        padding: Padding of the space. Whether it differs from the symmetric one depends on the map.
    """

    def __init__(self, layer: Layer, kernels: tuple[int, ...], expand_ratios: tuple[float, ...], padding: str) -> None:
        super().__init__(dataclasses.replace(layer, padding=SYMMETRIC))
        self.layer = layer
        self.kernels = kernels
        self.expand_ratios = expand_ratios
        self.padding = padding
        self.statistics = nn.ModuleDict()
        for larger, smaller in self._shrinkings(kernels[0]):
            matrix = nn.Parameter(torch.eye(smaller**2))
            self.register_parameter(_transform_name(larger, smaller), matrix)

    def keep_statistics(self) -> None:
        """Give each choice BatchNorm statistics of its own, which evaluation and `subnet_state` then use.

        Those of the depthwise layer depend on the kernel size, those of the projection on the expand ratio too.
        """
        for kernel in self.kernels:
            self.statistics[name_depthwise(kernel)] = Statistics(self.layer.mid_channels)
            for expand_ratio in self.expand_ratios:
                self.statistics[name_project(kernel, expand_ratio)] = Statistics(self.layer.out_channels)
        self.statistics.to(self.project.conv.weight.device)

    def find_statistics(self, name: str) -> Statistics | None:
        """Return the statistics of a choice; None without `keep_statistics`."""
        found = self.statistics[name] if self.statistics else None
        assert found is None or isinstance(found, Statistics)
        return found

    def elastic_forward(self, x: Tensor, kernel: int, expand_ratio: float) -> Tensor:
        """Map `n x in x h x w` to `n x out x h' x w'` with the weights of one kernel size and expand ratio."""
        mid = mid_channels(self.layer.in_channels, expand_ratio)
        y = x if self.expand is None else convolve(self.expand, x, self.expand.conv.weight[:mid])
        statistics = self.find_statistics(name_depthwise(kernel))
        y = convolve(self.depthwise, y, self.fit_kernel(kernel, mid, y), self.padding, statistics)
        statistics = self.find_statistics(name_project(kernel, expand_ratio))
        y = convolve(self.project, self.excite(y), self.project.conv.weight[:, :mid], statistics=statistics)
        return x + y if self.skip else y

    def excite(self, y: Tensor) -> Tensor:
        """Put the first channels of the block through its squeeze-and-excitation unit, if it has one."""
        if self.se is None:
            return y
        mid = y.shape[1]
        squeezed = self._squeezed(mid)
        reduce, expand = self.se.reduce, self.se.expand
        assert reduce.bias is not None
        assert expand.bias is not None
        gate = self.se.act(nnf.conv2d(self.se.pool(y), reduce.weight[:squeezed, :mid], reduce.bias[:squeezed]))
        found: Tensor = y * self.se.gate(nnf.conv2d(gate, expand.weight[:mid, :squeezed], expand.bias[:mid]))
        return found

    def fit_kernel(self, kernel: int, mid: int, y: Tensor) -> Tensor:
        """Return the depthwise weights for the first `mid` channels of a map, as large as the map can meet."""
        return _crop_unreachable(self.kernel_weight(kernel, mid), max(y.shape[-2:]))

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
            **_norm_state(self.depthwise, "depthwise", mid, self.find_statistics(name_depthwise(kernel))),
            **_norm_state(
                self.project,
                "project",
                self.layer.out_channels,
                self.find_statistics(name_project(kernel, expand_ratio)),
            ),
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
            ElasticBlock(layer, space.stages[stage].kernels, space.stages[stage].expand_ratios[place], space.padding)
            for layer, (stage, place) in zip(blocks[1:], space.slot_places, strict=True)
        )
        self.final_expand = make_unit(by_op[FINAL_EXPAND])
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.feature_mix = make_unit(by_op[FEATURE_MIX]) if FEATURE_MIX in by_op else None
        self.classifier = nn.Linear(by_op[CLASSIFIER].in_channels, classes)

    @property
    def elastic_blocks(self) -> list[ElasticBlock]:
        """The blocks with choices."""
        return [block for block in self.blocks if isinstance(block, ElasticBlock)]

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Map `n x 3 x r x r` images of any size r to the `n x classes` logits of `architecture`."""
        return self.forward_stages(x, architecture)[-1]

    def forward_stages(self, x: Tensor, architecture: Architecture) -> list[Tensor]:
        """Return the feature maps that each stage of `architecture` ends in, and the logits as the last.

        The feature maps of a stage have the same shape for all architectures of a resolution.
        """
        x = self.forward_stem(x)
        found = []
        for stage in self.active(architecture):
            for block, kernel, expand_ratio in stage:
                x = block.elastic_forward(x, kernel, expand_ratio)
            found.append(x)
        x = self.pooling(self.final_expand(x))
        if self.feature_mix is not None:
            x = self.feature_mix(x)
        return [*found, self.classifier(torch.flatten(x, 1))]

    def forward_stem(self, x: Tensor) -> Tensor:
        """Map `n x 3 x r x r` images to the input of the first elastic block."""
        found: Tensor = self.blocks[0](convolve(self.stem, x, self.stem.conv.weight, self.space.padding))
        return found

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

    def active(self, architecture: Architecture) -> Iterator[list[tuple[ElasticBlock, int, float]]]:
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
            itertools.chain.from_iterable(self.active(architecture)), start=1
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


def convolve(
    unit: ConvUnit, x: Tensor, weight: Tensor, padding: str = SYMMETRIC, statistics: Statistics | None = None
) -> Tensor:
    """Apply a unit with some of its weights: convolution, BatchNorm of as many channels, activation.

    Args:
        unit: The unit.
        x: Input.
        weight: Weights of its convolution.
        padding: Padding of the space.
        statistics: Statistics for BatchNorm in evaluation; those of the unit if None.
    """
    norm, channels = unit.bn, len(weight)
    assert norm is not None
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if unit.training:
        x = nnf.batch_norm(
            convolve_plainly(unit, x, weight, padding),
            norm.running_mean[:channels],
            norm.running_var[:channels],
            norm.weight[:channels],
            norm.bias[:channels],
            training=True,
            momentum=norm.momentum or 0.0,
            eps=norm.eps,
        )
    else:
        # As part of the convolution it takes no pass over the map, neither forward nor backward.
        mean, var = (norm.running_mean, norm.running_var) if statistics is None else (statistics.mean, statistics.var)
        scale = norm.weight[:channels] * (var[:channels] + norm.eps).rsqrt()
        bias = norm.bias[:channels] - mean[:channels] * scale
        x = convolve_plainly(unit, x, weight * scale[:, None, None, None], padding, bias)
    return x if unit.act is None else unit.act(x)


def convolve_plainly(
    unit: ConvUnit, x: Tensor, weight: Tensor, padding: str = SYMMETRIC, bias: Tensor | None = None
) -> Tensor:
    """Apply the convolution of a unit alone, with some of its weights."""
    stride, kernel = unit.conv.stride[0], weight.shape[-1]
    around = kernel // 2
    if padding == SAME and stride == 2 and x.shape[-1] % 2 == 0:
        before, after = count_padding(kernel, SAME)
        x, around = nnf.pad(x, (before, after, before, after)), 0
    if unit.conv.groups > 1:
        return convolve_depthwise(x, weight, stride, around, bias)
    return nnf.conv2d(x, weight, bias, stride=stride, padding=around)


def _crop_unreachable(weight: Tensor, size: int) -> Tensor:
    # Taps further than size - 1 from the centre only meet padding. Without them the result is the same, and the
    # gradient is several times faster on the small maps of low resolutions.
    margin = max(0, weight.shape[-1] // 2 - (size - 1))
    return weight[:, :, margin : weight.shape[-2] - margin, margin : weight.shape[-1] - margin] if margin else weight


def _norm_state(unit: ConvUnit, name: str, channels: int, statistics: Statistics | None = None) -> State:
    assert unit.bn is not None
    state = unit.bn.state_dict()
    if statistics is not None:
        state |= {"running_mean": statistics.mean, "running_var": statistics.var}
    return {f"{name}.bn.{key}": value if value.ndim == 0 else value[:channels] for key, value in state.items()}


def _transform_name(larger: int, smaller: int) -> str:
    return f"transform_{larger}to{smaller}"


def name_depthwise(kernel: int) -> str:
    """Return the name of the statistics of a depthwise layer."""
    return f"depthwise_{kernel}"


def name_project(kernel: int, expand_ratio: float) -> str:
    """Return the name of the statistics of a projection."""
    return f"project_{kernel}_{expand_ratio:g}".replace(".", "_")
