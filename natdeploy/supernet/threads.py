"""How many threads torch computes with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from natdeploy.machine import usable_cores


@contextlib.contextmanager
def torch_threads(count: int | None = None) -> Iterator[None]:
    """Compute with `count` threads, or with `default_threads`; the former number is restored at the end."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or default_threads())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_threads() -> int:
    """Return the number of threads to train with: the cores that this process may use, at most 8.

    Processes that `torchrun` has started on this machine share them.
    """
    return max(1, min(usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 8))
