"""Initial weights: seeded, so that the same seed gives the same network everywhere."""

from __future__ import annotations

import math

import torch
from torch import nn

from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.network import Network

_NOISE_IMAGES = 4


def initialize(module: nn.Module, generator: torch.Generator) -> None:
    """Fill every weight in place: fan-in scaling.

    BatchNorm starts as the identity, and biases at zero.
    """
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.normal_(0.0, math.sqrt(2.0 / part.weight[0].numel()), generator=generator)
            elif isinstance(part, nn.Linear):
                part.weight.normal_(0.0, math.sqrt(1.0 / part.in_features), generator=generator)
            elif isinstance(part, nn.BatchNorm2d):
                part.reset_parameters()
            if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
                part.bias.zero_()


def randomize_weights(network: Network, seed: int, *, size: int | None = None) -> Network:
    """Give `network` seeded random weights and return it. It can be measured, but is useless to deploy.

    BatchNorm statistics come from one pass over seeded noise; without them activations would vanish or explode.

    Args:
        network: Network, changed in place.
        seed: Seed of weights and noise.
        size: Height and width of the noise; those of the network's input if None.
    """
    size = network.input_size if size is None else size
    generator = torch.Generator().manual_seed(seed)
    initialize(network, generator)
    noise = torch.randn(_NOISE_IMAGES, 3, size, size, generator=generator)
    recalibrate(network, [noise])
    return network
