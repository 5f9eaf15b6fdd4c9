"""A small subnet that is good at the digits, without training: random features and a classifier fitted to them."""

from pathlib import Path

import torch

from natdeploy.api.deciding import write_network
from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.core.space import SPACES
from natdeploy.io.datasets import load_task
from natdeploy.supernet.evaluation import recalibrate
from natdeploy.supernet.initialize import random_weights
from natdeploy.supernet.network import Network, build_network

_RIDGE = 1.0


def write_digits_subnet(target: Path) -> Network:
    """Write the smallest starter architecture, fitted to the digits, as a subnet file; return its network."""
    space = SPACES["starter"]
    architecture = smallest(space)
    task = load_task("digits", architecture.resolution)
    network = random_weights(build_network(walk(space, architecture, len(task.classes))), 0)
    images = task.prepare(task.train.pixels(), architecture.resolution)
    recalibrate(network, images.split(128))
    _fit_classifier(network, images, task.train.labels)
    write_network(
        network,
        space=space,
        architecture=architecture,
        task=task.description(),
        metrics={},
        target=target,
        provenance={},
    )
    return network


def _fit_classifier(network: Network, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Set the classifier to the least-squares fit of the classes, with a ridge."""
    found: list[torch.Tensor] = []
    hook = network.classifier.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    with torch.no_grad():
        network(images)
        hook.remove()
        features = torch.cat([found[0], torch.ones(len(images), 1)], dim=1).double()
        wanted = torch.nn.functional.one_hot(labels, network.classes).double()
        square = features.T @ features + _RIDGE * torch.eye(features.shape[1], dtype=torch.float64)
        solution = torch.linalg.solve(square, features.T @ wanted).float()
        network.classifier.weight.copy_(solution[:-1].T)
        network.classifier.bias.copy_(solution[-1])
