"""How many threads torch computes with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from natdeploy.core.checked import convert
from natdeploy.core.ranges import Threads
from natdeploy.machine import usable_cores


@contextlib.contextmanager
def use_threads(count: int | None = None) -> Iterator[None]:
    """Let torch compute with `count` threads (`choose_threads` if None), and restore the former number at the end.

    Raises:
        InputError: The number is not between 1 and 256.
    """
    import torch

    count = convert("threads", choose_threads() if count is None else count, Threads)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_threads() -> int:
    """Return the number of threads for training: the cores that this process may use, at most 8.

    Processes that `torchrun` has started on this machine share the cores.
    """
    return max(1, min(usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 8))
