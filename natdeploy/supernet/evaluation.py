"""How accurate a subnet is: extraction, BatchNorm recalibration on plain train images, top-1 on a split."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from natdeploy.core.architecture import Architecture
from natdeploy.supernet.accelerator import free_bytes, place_of, precision
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.images import size_bytes
from natdeploy.supernet.network import Network
from natdeploy.supernet.supernet import Supernet

_BATCH = 128
_MEMORY_SHARE = 0.25


class SubnetEvaluator:
    """Evaluates subnets of a supernet as it stands; implements `natdeploy.ports.AccuracyEvaluator`.

    BatchNorm statistics of a subnet are not those of the supernet: they are taken anew from a fixed choice of
    train images, neither augmented nor mixed.

    Args:
        supernet: Supernet.
        task: Images.
        recalibration_images: Train images that BatchNorm statistics are taken from, at most.
        seed: Seed of their choice.
        memory_bytes: Memory for images that are kept ready for the next subnet, where the supernet is; a quarter of
            what is available there where None. What does not fit is prepared, and where need be read, for each subnet
            again.
    """

    def __init__(
        self,
        supernet: Supernet,
        task: Task,
        *,
        recalibration_images: int = 512,
        seed: int = 0,
        memory_bytes: int | None = None,
    ) -> None:
        self.supernet, self.task = supernet, task
        self._device = place_of(supernet)
        self._room = int(free_bytes(self._device) * _MEMORY_SHARE) if memory_bytes is None else memory_bytes
        rng = np.random.default_rng(seed)
        count = min(recalibration_images, len(task.train))
        self._recalibration = task.train.subset(rng.permutation(len(task.train))[:count]).loaded()
        self._ready: dict[tuple[str, int], list[tuple[Tensor, Tensor]]] = {}

    def subnet(self, architecture: Architecture) -> Network:
        """Return the extracted network of `architecture` with its own BatchNorm statistics."""
        network = self.supernet.extract(architecture).to(memory_format=torch.channels_last)
        # Batches count alike in the average, so they must be of about one size.
        parts = torch.arange(len(self._recalibration)).tensor_split(max(1, round(len(self._recalibration) / _BATCH)))
        batches = self._batches("recalibration", self._recalibration, parts, architecture.resolution)
        recalibrate(network, (images for images, _ in batches))
        return network

    def top1(self, architecture: Architecture) -> float:
        """Return the share of validation images whose class is found, between 0 and 1."""
        parts = torch.arange(len(self._validation)).split(_BATCH)
        network = self.subnet(architecture)
        return top1(network, self._batches("validation", self._validation, parts, architecture.resolution))

    def test_top1(self, network: Network) -> float:
        """Return the share of test images whose class a network of `subnet` finds, between 0 and 1."""
        test, parts = self.task.test, torch.arange(len(self.task.test)).split(_BATCH)
        return top1(network, self.task.batches(test, parts, network.input_size, self._device))

    @functools.cached_property
    def _validation(self) -> ImageSet:
        split = self.task.validation
        in_memory = isinstance(split.images, Tensor)
        return split.loaded() if not in_memory and self._fits(size_bytes(split.images)) else split

    def _batches(
        self, what: str, split: ImageSet, parts: tuple[Tensor, ...], resolution: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        key = (what, resolution)
        if key not in self._ready:
            batches = self.task.batches(split, parts, resolution, self._device)
            if not self._fits(len(split) * 3 * resolution**2 * torch.float32.itemsize):
                return batches
            self._ready[key] = list(batches)
        return iter(self._ready[key])

    def _fits(self, size: int) -> bool:
        if size > self._room:
            return False
        self._room -= size
        return True


def top1(network: Network, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the share of images whose largest logit is that of their label, between 0 and 1.

    Args:
        network: Network.
        batches: `n x 3 x r x r` images and `n` labels each.
    """
    network.eval()
    found = count = 0
    device = place_of(network)
    with torch.inference_mode(), precision(device):
        for images, labels in batches:
            found += int((network(images.to(device)).argmax(dim=1) == labels.to(device)).sum())
            count += len(labels)
    return found / count
