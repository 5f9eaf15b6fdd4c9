"""BatchNorm statistics for each kernel size and expand ratio, from those of a pretrained network.

A few hundred images of another kind or size give poor statistics: EfficientNet-Lite0 loses a tenth of its accuracy and
more by them. The statistics of the pretrained network come from the images that it was trained on. So the images here
only tell by how much a choice moves the mean, and by what ratio the variance, where the input is that of the pretrained
network. Distillation keeps it so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from natdeploy.core.architecture import Architecture
from natdeploy.core.space import mid_channels
from natdeploy.supernet.elastic import (
    ElasticBlock,
    ElasticNetwork,
    Statistics,
    convolve,
    convolve_plainly,
    name_depthwise,
    name_project,
)

# Mean and variance of each channel.
_Moments = tuple[Tensor, Tensor]


def fill_statistics(engine: ElasticNetwork, architecture: Architecture, batches: Iterable[Tensor]) -> None:
    """Give every choice of an elastic network, in evaluation mode, BatchNorm statistics of its own.

    Args:
        engine: Elastic network.
        architecture: Its largest architecture, whose statistics are those of the pretrained network.
        batches: Batches of `n x 3 x r x r` images.
    """
    found: dict[tuple[int, str], list[_Moments]] = defaultdict(list)
    kept = [(block, kernel, ratio) for stage in engine.active(architecture) for block, kernel, ratio in stage]
    with torch.inference_mode():
        for images in batches:
            x = engine.forward_stem(images)
            for number, (block, kernel, ratio) in enumerate(kept):
                for name, moments in _measure(block, x).items():
                    found[number, name].append(moments)
                x = block.elastic_forward(x, kernel, ratio)
    for number, (block, kernel, ratio) in enumerate(kept):
        block.keep_statistics()
        means = {
            name: (torch.stack([mean for mean, _ in parts]).mean(dim=0), torch.stack([var for _, var in parts]).mean(0))
            for (place, name), parts in found.items()
            if place == number
        }
        for name, moments in means.items():
            depthwise = name.startswith("depthwise")
            norm = (block.depthwise if depthwise else block.project).bn
            top = name_depthwise(kernel) if depthwise else name_project(kernel, ratio)
            assert norm is not None
            mean, var = _move(norm, moments, means[top])
            statistics = block.find_statistics(name)
            assert isinstance(statistics, Statistics)
            statistics.mean.copy_(mean)
            statistics.var.copy_(var)


def _measure(block: ElasticBlock, x: Tensor) -> dict[str, _Moments]:
    """Return the moments of the depthwise layer for each kernel size, and of the projection for each choice."""
    mid, norm = block.layer.mid_channels, block.depthwise.bn
    assert norm is not None
    y = x if block.expand is None else convolve(block.expand, x, block.expand.conv.weight)
    maps = {
        kernel: convolve_plainly(block.depthwise, y, block.fit_kernel(kernel, mid, y), block.padding)
        for kernel in block.kernels
    }
    found = {name_depthwise(kernel): _compute_moments(raw) for kernel, raw in maps.items()}
    top = found[name_depthwise(block.kernels[-1])]
    for kernel, raw in maps.items():
        mean, var = _move(norm, found[name_depthwise(kernel)], top)
        normal = nn.functional.batch_norm(raw, mean, var, norm.weight, norm.bias, eps=norm.eps)
        active = normal if block.depthwise.act is None else block.depthwise.act(normal)
        for ratio in block.expand_ratios:
            count = mid_channels(block.layer.in_channels, ratio)
            out = convolve_plainly(block.project, block.excite(active[:, :count]), block.project.conv.weight[:, :count])
            found[name_project(kernel, ratio)] = _compute_moments(out)
    return found


def _compute_moments(x: Tensor) -> _Moments:
    var, mean = torch.var_mean(x, dim=(0, 2, 3))
    return mean, var


def _move(norm: nn.BatchNorm2d, moments: _Moments, top: _Moments) -> _Moments:
    """Move the statistics of a layer by what separates a choice from the largest one."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # A channel that hardly varies on the images tells nothing of the ratio.
    ratio = (moments[1] + norm.eps) / (top[1] + norm.eps)
    return norm.running_mean + moments[0] - top[0], norm.running_var * ratio
