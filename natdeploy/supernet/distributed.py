"""Several processes that train one supernet, each on its share of every batch.

A step runs the backward pass of several subnets before it updates the weights, and each subnet uses other weights. The
hooks of torch's DistributedDataParallel do not support this. Gradients therefore add up over the backward passes, as in
one process, and are averaged once, before they are clipped. Every process draws the same images, augmentation and
subnets, and takes its share of the images, so that the average is the gradient of the whole batch. Only BatchNorm
normalizes each share by itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from natdeploy.supernet.accelerator import choose_device

Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ProcessGroup:
    """The processes that train together, as seen by one of them.

    Args:
        rank: Number of this process, from 0.
        world_size: Number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and reports."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The device that this process trains on."""
        return choose_device()

    def main_process_first(self, work: Callable[[], Value]) -> Value:
        """Return the result of `work`. The main process does it first, because it may download something."""
        if not self.is_main:
            self.barrier()
        result = work()
        if self.is_main:
            self.barrier()
        return result

    def share(self, values: Tensor) -> Tensor:
        """Return the values of this process: every `world_size`-th, from its rank on."""
        return values[self.rank :: self.world_size]

    def barrier(self) -> None:
        """Wait until every process has reached this call."""
        if self.world_size > 1:
            distributed.barrier()

    def average_gradients(self, module: nn.Module) -> None:
        """Average the gradients of `module` over the processes. The same ones must be unset in all processes."""
        self._average_tensors([parameter.grad for parameter in module.parameters() if parameter.grad is not None])

    def average_statistics(self, module: nn.Module) -> None:
        """Average the running statistics of `module` over the processes."""
        self._average_tensors([buffer for buffer in module.buffers() if buffer.is_floating_point()])

    def average(self, value: float) -> float:
        """Return the mean of a value over the processes."""
        return sum(self.gather_interleaved([value], self.world_size)) / self.world_size

    def gather_interleaved(self, own: Sequence[float], total: int) -> list[float]:
        """Return the `total` values of all processes. Process r has the values r, r + `world_size`, and so on."""
        if self.world_size == 1:
            return list(own)
        values = torch.zeros(total, dtype=torch.float64, device=self.device)
        self.share(values)[:] = torch.tensor(own, dtype=torch.float64, device=self.device)
        distributed.all_reduce(values)
        return [float(value) for value in values]

    def _average_tensors(self, tensors: Iterable[Tensor]) -> None:
        parts = list(tensors)
        if self.world_size == 1 or not parts:
            return
        flat = torch.cat([part.reshape(-1) for part in parts])
        distributed.all_reduce(flat)
        flat /= self.world_size
        for part, values in zip(parts, flat.split([part.numel() for part in parts]), strict=True):
            part.copy_(values.view(part.shape))


@contextlib.contextmanager
def join_process_group() -> Iterator[ProcessGroup]:
    """Yield the group of the processes that `torchrun` has started, or else of this process alone."""
    if not distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ProcessGroup()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield ProcessGroup(rank=distributed.get_rank(), world_size=distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
