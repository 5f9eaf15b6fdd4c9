"""Depthwise convolutions in the sizes for which XNNPACK has kernels.

XNNPACK has depthwise kernels of up to 25 weights. It runs larger ones as convolutions of many groups, which take many
times as long as their parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from natdeploy.supernet.network import ConvUnit, InvertedResidual, Network

_MOST_WEIGHTS, _LEAST_KERNEL = 25, 3


class DepthwisePart(nn.Module):
    """A convolution with some rows of a kernel, after a padding of its own if that is not symmetric."""

    def __init__(self, conv: nn.Conv2d, pad: nn.ZeroPad2d | None) -> None:
        super().__init__()
        self.conv = conv
        self.pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x c x h x w` to `n x c x h' x w'`."""
        result: Tensor = self.conv(x if self.pad is None else self.pad(x))
        return result


class DepthwiseSum(nn.Module):
    """A depthwise convolution as a sum of parts."""

    def __init__(self, parts: Sequence[DepthwisePart]) -> None:
        super().__init__()
        self.first = parts[0]
        self.others = nn.ModuleList(parts[1:])

    @property
    def parts(self) -> tuple[DepthwisePart, ...]:
        """The parts, in the order in which they are added."""
        return self.first, *(part for part in self.others if isinstance(part, DepthwisePart))

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x c x h x w` to `n x c x h' x w'`."""
        total: Tensor = self.first(x)
        for part in self.others:
            total = total + part(x)
        return total


def split_depthwise_kernels(network: Network) -> Network:
    """Give depthwise convolutions sizes that XNNPACK runs fast, in place; return the network, which computes the same.

    Weights that only meet padding, since the map is small, are left out. Kernels of more than 25 weights are split.

    Args:
        network: Network whose BatchNorm is folded.
    """
    for layer, module in network.modules_by_layer():
        if isinstance(module, InvertedResidual) and isinstance(module.depthwise.conv, nn.Conv2d):
            _crop(module.depthwise, layer.in_size)
            _split(module.depthwise)
    return network


def _crop(unit: ConvUnit, size: int) -> None:
    """Leave out the weights that a map of `size` pixels does not reach."""
    conv, kernel = unit.conv, unit.conv.kernel_size[0]
    cut = (kernel - max(2 * size - 1, _LEAST_KERNEL)) // 2
    if cut <= 0:
        return
    kept = slice(cut, kernel - cut)
    conv.weight = nn.Parameter(conv.weight.detach()[:, :, kept, kept].contiguous())
    conv.kernel_size = (kernel - 2 * cut,) * 2
    if unit.pad is None:
        conv.padding = (int(conv.padding[0]) - cut,) * 2
    else:
        before, after = unit.pad.padding[:2]
        unit.pad = nn.ZeroPad2d((before - cut, after - cut) * 2)


def _split(unit: ConvUnit) -> None:
    """Split a kernel that is too large into groups of rows that lie symmetrically around the centre.

    Such a group is a dilated convolution of the same map with less padding. It needs no shifted copy of the map.
    """
    kernel, most_rows = unit.conv.kernel_size[0], _MOST_WEIGHTS // unit.conv.kernel_size[0]
    needed = 2 if unit.pad is None else 3  # a single middle row would have to be cut out of an asymmetric padding
    if kernel <= most_rows or most_rows < needed:
        return
    centre = kernel // 2
    middle = 1 if most_rows >= 3 else 0
    groups = [list(range(centre - middle, centre + middle + 1))]
    groups += [[centre - distance, centre + distance] for distance in range(middle + 1, centre + 1)]
    parts = [_take_rows(unit, rows, with_bias=not part) for part, rows in enumerate(groups)]
    unit.add_module("conv", DepthwiseSum(parts))
    unit.pad = None


def _take_rows(unit: ConvUnit, rows: list[int], *, with_bias: bool) -> DepthwisePart:
    conv, first = unit.conv, rows[0]
    step = rows[1] - first if len(rows) > 1 else 1
    part = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (len(rows), conv.kernel_size[1]),
        stride=conv.stride[0],
        dilation=(step, 1),
        groups=conv.groups,
    )
    weights = conv.weight.detach()[:, :, rows].contiguous()
    assert conv.bias is not None
    part.weight = nn.Parameter(weights)
    part.bias = nn.Parameter(conv.bias.detach() if with_bias else torch.zeros_like(conv.bias))
    if unit.pad is None:
        part.padding = int(conv.padding[0]) - first, int(conv.padding[1])
        return DepthwisePart(part, None)
    before, after = unit.pad.padding[:2]
    return DepthwisePart(part, nn.ZeroPad2d((before, after, before - first, after - first)))
