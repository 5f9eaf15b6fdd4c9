"""The order of the channels inside blocks: a smaller expand ratio takes the first, so the important ones come first.

The importance of a channel is the mean square of what the projection adds of its variation to the block's output: the
variance of its activation over images and pixels, times its squared weights behind BatchNorm. The mean activation does
not count, since BatchNorm takes it away. On EfficientNet-Lite0 this keeps more than the weights or the variance alone;
docs/evidence/training.md has the figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from natdeploy.core.architecture import Architecture
from natdeploy.supernet.elastic import ElasticBlock, ElasticNetwork
from natdeploy.supernet.network import ConvUnit, InvertedResidual, Network


def order_channels(engine: ElasticNetwork, architecture: Architecture, batches: Iterable[Tensor]) -> None:
    """Sort the channels inside each elastic block by their importance. The largest network computes the same as before.

    Args:
        engine: Elastic network.
        architecture: Its largest architecture, at the resolution of the images.
        batches: Batches of `n x 3 x r x r` images.
    """
    variances = _measure_variances(engine.extract(architecture).eval(), batches)
    with torch.no_grad():
        for block, variance in zip(engine.blocks, variances, strict=True):
            if isinstance(block, ElasticBlock) and block.expand is not None:
                _reorder(block, torch.argsort(_compute_importance(block.project, variance), descending=True))


def _measure_variances(network: Network, batches: Iterable[Tensor]) -> list[Tensor]:
    """Return the variance of each channel before the projection of each block, the mean over batches."""
    found: dict[int, list[Tensor]] = defaultdict(list)

    def record(number: int) -> Any:  # noqa: ANN401
        return lambda _, inputs: found[number].append(inputs[0].float().var(dim=(0, 2, 3)))

    blocks = [block for block in network.blocks if isinstance(block, InvertedResidual)]
    hooks = [block.project.register_forward_pre_hook(record(number)) for number, block in enumerate(blocks)]
    try:
        with torch.inference_mode():
            for images in batches:
                network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [torch.stack(found[number]).mean(dim=0).clone() for number in range(len(blocks))]


def _compute_importance(project: ConvUnit, variance: Tensor) -> Tensor:
    norm = project.bn
    assert norm is not None
    assert norm.running_var is not None
    weight = project.conv.weight[:, :, 0, 0] * (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None]
    return weight.square().sum(dim=0) * variance


def _reorder(block: ElasticBlock, order: Tensor) -> None:
    assert block.expand is not None
    for unit in (block.expand, block.depthwise):
        for tensor in (unit.conv.weight, *_list_norm_tensors(unit.bn)):
            tensor.copy_(tensor[order])
    if block.se is not None:
        block.se.reduce.weight.copy_(block.se.reduce.weight[:, order])
        for part in (block.se.expand.weight, block.se.expand.bias):
            assert part is not None
            part.copy_(part[order])
    block.project.conv.weight.copy_(block.project.conv.weight[:, order])


def _list_norm_tensors(norm: nn.BatchNorm2d | None) -> list[Tensor]:
    assert norm is not None
    return [tensor for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var) if tensor is not None]
