"""How accurate a subnet is: extraction, BatchNorm recalibration on plain train images, top-1 on a split."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from natdeploy.core.architecture import Architecture
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.network import BN_MOMENTUM, Network
from natdeploy.supernet.supernet import Supernet

_BATCH = 128


class SubnetEvaluator:
    """Evaluates subnets of a supernet as it stands; implements `natdeploy.ports.AccuracyEvaluator`.

    BatchNorm statistics of a subnet are not those of the supernet: they are taken anew from a fixed choice of
    train images, neither augmented nor mixed.

    Args:
        supernet: Supernet.
        task: Images.
        recalibration_images: Train images that BatchNorm statistics are taken from, at most.
        seed: Seed of their choice.
    """

    def __init__(self, supernet: Supernet, task: Task, *, recalibration_images: int = 512, seed: int = 0) -> None:
        self.supernet, self.task = supernet, task
        rng = np.random.default_rng(seed)
        count = min(recalibration_images, len(task.train))
        self._recalibration = task.train.subset(rng.permutation(len(task.train))[:count])
        self._prepared: dict[tuple[str, int], Tensor] = {}

    def subnet(self, architecture: Architecture) -> Network:
        """Return the extracted network of `architecture` with its own BatchNorm statistics."""
        network = self.supernet.extract(architecture).to(memory_format=torch.channels_last)
        recalibrate(network, self._images("recalibration", self._recalibration, architecture.resolution))
        return network

    def top1(self, architecture: Architecture) -> float:
        """Return the share of validation images whose class is found, between 0 and 1."""
        images = self._images("validation", self.task.validation, architecture.resolution)
        return top1(self.subnet(architecture), images, self.task.validation.labels)

    def _images(self, what: str, split: ImageSet, resolution: int) -> Tensor:
        key = (what, resolution)
        if key not in self._prepared:
            self._prepared[key] = self.task.prepare(split.images, resolution)
        return self._prepared[key]


def recalibrate(network: Network, images: Tensor) -> None:
    """Take the BatchNorm statistics of `network` anew from `n x 3 x r x r` images, in place."""
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average over the batches
    network.train()
    with torch.inference_mode():
        for part in _equal_parts(images):
            network(part)
    network.eval()
    for norm in norms:
        norm.momentum = BN_MOMENTUM


def top1(network: Network, images: Tensor, labels: Tensor) -> float:
    """Return the share of `n x 3 x r x r` images whose largest logit is that of their label, between 0 and 1."""
    network.eval()
    with torch.inference_mode():
        found = sum(
            int((network(part).argmax(dim=1) == wanted).sum())
            for part, wanted in zip(images.split(_BATCH), labels.split(_BATCH), strict=True)
        )
    return found / len(labels)


def _equal_parts(images: Tensor) -> tuple[Tensor, ...]:
    # Batches count alike in the average, so they must be of about one size.
    return images.tensor_split(max(1, round(len(images) / _BATCH)))
