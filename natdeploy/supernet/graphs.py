"""CUDA graphs: the work that is the same in every training step is recorded once and then launched as a whole.

A network for small images consists of many small kernels, forward and backward. If the CPU launches them one by one,
the GPU waits most of the time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Value = TypeVar("Value")

_WARM_UPS = 3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Recording(Generic[Value]):
    graph: torch.cuda.CUDAGraph
    images: Tensor
    labels: Tensor
    result: Value
    gradients: list[tuple[nn.Parameter, Tensor]]


class GraphedWork(Generic[Value]):
    """Runs work on batches of one shape as a CUDA graph.

    The work computes a result from images and labels, and sets the gradients of a module that has none before. Every
    result is in the same memory as the one before.

    Args:
        module: Module on a GPU. Its weights must stay in their memory.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._recordings: dict[Hashable, _Recording[Value]] = {}
        self._stream = torch.cuda.Stream()
        # Graphs run one after the other, so that all can use the same memory.
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, key: Hashable, work: Callable[[Tensor, Tensor], Value], images: Tensor, labels: Tensor) -> Value:
        """Return the result of `work(images, labels)`. Work with the same `key` must do the same."""
        key = (key, images.shape, labels.shape)
        if key not in self._recordings:
            self._recordings[key] = self._record(work, images, labels)
        recording = self._recordings[key]
        recording.images.copy_(images)
        recording.labels.copy_(labels)
        recording.graph.replay()
        for parameter, gradient in recording.gradients:
            parameter.grad = gradient
        return recording.result

    def _record(self, work: Callable[[Tensor, Tensor], Value], images: Tensor, labels: Tensor) -> _Recording[Value]:
        images, labels = images.clone(), labels.clone()
        self._warm_up(work, images, labels)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = work(images, labels)
        gradients = [(weight, weight.grad) for weight in self._module.parameters() if weight.grad is not None]
        return _Recording(graph=graph, images=images, labels=labels, result=result, gradients=gradients)

    def _warm_up(self, work: Callable[[Tensor, Tensor], Value], images: Tensor, labels: Tensor) -> None:
        """Let the libraries choose and set up their kernels, which they cannot do during a recording."""
        statistics = [(buffer, buffer.clone()) for buffer in self._module.buffers()]
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                work(images, labels)
                self._module.zero_grad(set_to_none=True)
        torch.cuda.current_stream().wait_stream(self._stream)
        with torch.no_grad():
            for buffer, before in statistics:
                buffer.copy_(before)
