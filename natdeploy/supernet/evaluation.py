"""Evaluation of a subnet: extraction, BatchNorm recalibration on train images, top-1 on a split."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from natdeploy.core.architecture import Architecture
from natdeploy.errors import DivergedError
from natdeploy.supernet.accelerator import autocast, get_device, measure_free_bytes
from natdeploy.supernet.batchnorm import recalibrate
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.images import count_bytes
from natdeploy.supernet.network import Network
from natdeploy.supernet.supernet import Supernet

BATCH = 128
_MEMORY_SHARE = 0.25


class SubnetEvaluator:
    """Evaluates subnets with the present weights of a supernet; implements `natdeploy.ports.AccuracyEvaluator`.

    A subnet has other BatchNorm statistics than the supernet. They are estimated from a fixed choice of train images,
    without augmentation or mixing.

    Args:
        supernet: Supernet.
        task: Images.
        recalibration_images: Largest number of train images for the BatchNorm statistics.
        seed: Seed of their choice.
        memory_bytes: Memory, on the supernet's device, for prepared images that the next subnet uses again. A quarter
            of the free memory if None. Images that do not fit are prepared, and read if necessary, for each subnet.
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
        self._device = get_device(supernet)
        self._room = int(measure_free_bytes(self._device) * _MEMORY_SHARE) if memory_bytes is None else memory_bytes
        rng = np.random.default_rng(seed)
        count = min(recalibration_images, len(task.train))
        self._recalibration = task.train.select(rng.permutation(len(task.train))[:count]).load()
        self._ready: dict[tuple[str, int], list[tuple[Tensor, Tensor]]] = {}

    def extract(self, architecture: Architecture) -> Network:
        """Return the network of `architecture`, with its own BatchNorm statistics."""
        network = self.supernet.extract(architecture).to(memory_format=torch.channels_last)
        # Every batch has the same weight in the average, so they must be of about the same size.
        parts = torch.arange(len(self._recalibration)).tensor_split(max(1, round(len(self._recalibration) / BATCH)))
        batches = self._batches("recalibration", self._recalibration, parts, architecture.resolution)
        recalibrate(network, (images for images, _ in batches))
        return network

    def top1(self, architecture: Architecture) -> float:
        """Return the share of validation images that are classified correctly, between 0 and 1."""
        parts = torch.arange(len(self._validation)).split(BATCH)
        network = self.extract(architecture)
        return top1(network, self._batches("validation", self._validation, parts, architecture.resolution))

    def test_top1(self, network: Network, *, on_batch: Callable[[], object] = lambda: None) -> float:
        """Return the share of test images that a network of `extract` classifies correctly, between 0 and 1.

        `on_batch` is called after each `BATCH` images.
        """
        test, parts = self.task.test, torch.arange(len(self.task.test)).split(BATCH)
        batches = self.task.iterate_batches(test, parts, network.input_size, self._device)
        return top1(network, batches, on_batch=on_batch)

    @functools.cached_property
    def _validation(self) -> ImageSet:
        split = self.task.validation
        in_memory = isinstance(split.images, Tensor)
        return split.load() if not in_memory and self._fits(count_bytes(split.images)) else split

    def _batches(
        self, what: str, split: ImageSet, parts: tuple[Tensor, ...], resolution: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        key = (what, resolution)
        if key not in self._ready:
            batches = self.task.iterate_batches(split, parts, resolution, self._device)
            if not self._fits(len(split) * 3 * resolution**2 * torch.float32.itemsize):
                return batches
            self._ready[key] = list(batches)
        return iter(self._ready[key])

    def _fits(self, size: int) -> bool:
        if size > self._room:
            return False
        self._room -= size
        return True


def top1(
    network: Network, batches: Iterable[tuple[Tensor, Tensor]], *, on_batch: Callable[[], object] = lambda: None
) -> float:
    """Return the share of images that are classified correctly, between 0 and 1.

    Args:
        network: Network.
        batches: Pairs of `n x 3 x r x r` images and `n` labels.
        on_batch: Called after each batch.

    Raises:
        DivergedError: An output is no finite number, so that it names no class.
    """
    network.eval()
    found = count = 0
    device = get_device(network)
    with torch.inference_mode(), autocast(device):
        for images, labels in batches:
            logits = network(images.to(device))
            found += int((logits.argmax(dim=1) == labels.to(device)).sum())
            if not logits.isfinite().all():
                msg = "the outputs of the network are not finite numbers, so that they name no class"
                raise DivergedError(msg, hint="train again with a lower --lr")
            count += len(labels)
            on_batch()
    return found / count
