"""The pixels of a split: in memory as one tensor, or left in their files, which threads read batch by batch.

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
    """Images that stay in their files until a batch of them is wanted.

    Args:
        paths: `n` paths: an array of strings, as objects.
        size: Height and width that they are read at, h.
        read: Maps a path to `h x h x 3` pixels; called from several threads.
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
        return next(self.batches([where]))

    def subset(self, where: Tensor) -> ImageFiles:
        """Return the images at `where`, unread."""
        return dataclasses.replace(self, paths=self.paths[where.numpy()])

    def batches(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each part; the threads read the next parts meanwhile."""
        waiting = (self._begin(part) for part in parts)
        begun = deque(itertools.islice(waiting, 1 + _AHEAD))
        try:
            while begun:
                batch, reads = begun[0]
                for read in reads:
                    read.result()
                begun.popleft()
                begun.extend(itertools.islice(waiting, 1))
                yield batch
        finally:
            for read in itertools.chain.from_iterable(reads for _, reads in begun):
                read.cancel()

    def _begin(self, part: Tensor) -> tuple[Tensor, list[Future[None]]]:
        paths = self.paths[part.numpy()]
        batch = torch.empty(len(paths), *self.shape[1:], dtype=torch.uint8)
        # Straight into the batch, by numpy: torch's own copies would start a team of threads in each thread.
        pixels, starts = batch.numpy(), range(0, len(paths), _AT_ONCE)
        return batch, [
            self.pool.submit(self._read_into, pixels[start : start + _AT_ONCE], paths[start : start + _AT_ONCE])
            for start in starts
        ]

    def _read_into(self, targets: Pixels, paths: NDArray[np.object_]) -> None:
        for target, path in zip(targets, paths, strict=True):
            np.copyto(target, self.read(path).transpose(2, 0, 1))


Images = Tensor | ImageFiles


def size_bytes(images: Images) -> int:
    """Return the memory that the images take as one tensor."""
    return math.prod(images.shape)


def subset(images: Images, where: Tensor) -> Images:
    """Return the images at `where`, stored as they are."""
    return images.subset(where) if isinstance(images, ImageFiles) else images[where]


def batches(images: Images, parts: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the images at the indices of each part; what lies in files is read ahead."""
    return images.batches(parts) if isinstance(images, ImageFiles) else (images[part] for part in parts)


def loaded(images: Images, progress: Callable[[int], None] | None = None) -> Tensor:
    """Return all images as one tensor.

    Args:
        images: The images.
        progress: Told the number of images after every so many of them that were read.
    """
    if isinstance(images, Tensor):
        return images
    whole = torch.empty(images.shape, dtype=torch.uint8)
    parts = torch.arange(len(images)).split(_CHUNK)
    for part, pixels in zip(parts, images.batches(parts), strict=True):
        whole[part] = pixels
        if progress is not None:
            progress(len(part))
    return whole


def joined(first: Images, second: Images) -> Images:
    """Return the images of both, stored as they are.

    Raises:
        TypeError: One lies in memory and the other in files.
    """
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    if isinstance(first, ImageFiles) and isinstance(second, ImageFiles):
        return dataclasses.replace(first, paths=np.concatenate([first.paths, second.paths]))
    msg = "images in memory and images in files cannot be joined"
    raise TypeError(msg)
