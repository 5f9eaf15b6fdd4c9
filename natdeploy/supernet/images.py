"""The pixels of a split: in memory as one tensor, or in image files that threads read batch by batch.

Both are indexed alike: `images[where]` is an `n x 3 x h x h` uint8 tensor.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]

_AHEAD = 2
_AT_ONCE = 4
_CHUNK = 128


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ImageFiles:
    """Images that stay in their files until a batch of them is needed.

    Args:
        paths: `n` paths, as an array of strings of type object.
        size: Height and width h of the images when they are read.
        read: Maps a path to `h x h x 3` pixels. Several threads call it.
        pool: The threads.
    """

    paths: NDArray[np.object_]
    size: int
    read: Callable[[str], Pixels]
    pool: ThreadPoolExecutor

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of all images together."""
        return len(self.paths), 3, self.size, self.size

    def __getitem__(self, where: Tensor) -> Tensor:
        return next(self.iterate_batches([where]))

    def select(self, where: Tensor) -> ImageFiles:
        """Return the images at `where`, without reading them."""
        return dataclasses.replace(self, paths=self.paths[where.numpy()])

    def iterate_batches(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each part, while the threads read the next parts."""
        waiting = (self._start_reading(part) for part in parts)
        started = deque(itertools.islice(waiting, 1 + _AHEAD))
        try:
            while started:
                batch, reads = started[0]
                for read in reads:
                    read.result()
                started.popleft()
                started.extend(itertools.islice(waiting, 1))
                yield batch
        finally:
            for read in itertools.chain.from_iterable(reads for _, reads in started):
                read.cancel()

    def _start_reading(self, part: Tensor) -> tuple[Tensor, list[Future[None]]]:
        paths = self.paths[part.numpy()]
        batch = torch.empty(len(paths), *self.shape[1:], dtype=torch.uint8)
        # numpy writes into the batch: a copy by torch would start more threads in each thread.
        pixels, starts = batch.numpy(), range(0, len(paths), _AT_ONCE)
        return batch, [
            self.pool.submit(self._read_into, pixels[start : start + _AT_ONCE], paths[start : start + _AT_ONCE])
            for start in starts
        ]

    def _read_into(self, targets: Pixels, paths: NDArray[np.object_]) -> None:
        for target, path in zip(targets, paths, strict=True):
            np.copyto(target, self.read(path).transpose(2, 0, 1))


Images = Tensor | ImageFiles


def count_bytes(images: Images) -> int:
    """Return the memory that the images take as one tensor."""
    return math.prod(images.shape)


def select(images: Images, where: Tensor) -> Images:
    """Return the images at `where`, in memory or in files as before."""
    return images.select(where) if isinstance(images, ImageFiles) else images[where]


def iterate_batches(images: Images, parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the images at the indices of each part; files are read ahead."""
    return images.iterate_batches(parts) if isinstance(images, ImageFiles) else (images[part] for part in parts)


def load(images: Images, progress: Callable[[int], None] | None = None) -> Tensor:
    """Return all images as one tensor.

    Args:
        images: The images.
        progress: Called after each chunk of files, with the number of images in it.
    """
    if isinstance(images, Tensor):
        return images
    whole = torch.empty(images.shape, dtype=torch.uint8)
    parts = torch.arange(len(images)).split(_CHUNK)
    for part, pixels in zip(parts, images.iterate_batches(parts), strict=True):
        whole[part] = pixels
        if progress is not None:
            progress(len(part))
    return whole


def concatenate(first: Images, second: Images) -> Images:
    """Return the images of both, in memory or in files as before.

    Raises:
        TypeError: One is in memory and the other in files.
    """
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    if isinstance(first, ImageFiles) and isinstance(second, ImageFiles):
        return dataclasses.replace(first, paths=np.concatenate([first.paths, second.paths]))
    msg = "images in memory and images in files cannot be concatenated"
    raise TypeError(msg)
