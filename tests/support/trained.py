"""A small subnet that is good at the digits after a few epochs."""

from pathlib import Path

import torch
from torch.nn import functional as nnf

from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.io.datasets import load_task
from natdeploy.io.spaces import find_space
from natdeploy.io.subnet_weights import write_network
from natdeploy.io.subnets import Subnet
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import Network, build_network

_EPOCHS, _BATCH, _RATE = 5, 64, 8e-3


def write_digits_subnet(target: Path) -> Network:
    """Write the smallest starter architecture, trained on the digits, as a subnet file; return its network."""
    space = find_space("starter")
    architecture = smallest(space)
    task = load_task("digits", architecture.resolution)
    network = randomize_weights(build_network(walk(space, architecture, len(task.classes))), 0)
    _train(network, task.prepare(task.train.to_tensor(), architecture.resolution), task.train.labels)
    classes = len(task.classes)
    subnet = Subnet(space=space, architecture=architecture, classes=classes, task=task.describe())
    write_network(network, subnet, target)
    return network


def _train(network: Network, images: torch.Tensor, labels: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    steps = _EPOCHS * (len(images) // _BATCH)
    optimizer = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    network.train()
    for _ in range(_EPOCHS):
        for part in torch.randperm(len(images), generator=generator).split(_BATCH)[: steps // _EPOCHS]:
            optimizer.zero_grad()
            nnf.cross_entropy(network(images[part]), labels[part]).backward()
            optimizer.step()
            schedule.step()
    network.eval()
