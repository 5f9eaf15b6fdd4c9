"""BatchNorm statistics of a network, estimated anew from images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from natdeploy.supernet.accelerator import autocast, get_device
from natdeploy.supernet.network import BN_MOMENTUM, Network


def recalibrate(network: Network, batches: Iterable[Tensor]) -> None:
    """Replace the BatchNorm statistics of `network` by their mean over batches of `n x 3 x r x r` images."""
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average over the batches
    network.train()
    device = get_device(network)
    with torch.inference_mode(), autocast(device):
        for images in batches:
            network(images.to(device))
    network.eval()
    for norm in norms:
        norm.momentum = BN_MOMENTUM
