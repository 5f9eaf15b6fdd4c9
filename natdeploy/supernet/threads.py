"""How torch uses this machine: threads and memory."""

from __future__ import annotations

import ctypes
import os
import sys

from natdeploy.machine import usable_cores

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def prepare_torch(threads: int | None) -> int:
    """Set torch up for small networks on a few cores and return the number of threads it uses.

    Freed memory is kept instead of given back to the system: on small batches half of the time goes into page
    faults otherwise. Call it before the first large tensor.
    """
    import torch

    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
            library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
    count = threads or default_threads()
    torch.set_num_threads(count)
    return count


def default_threads() -> int:
    """Return the number of threads to train with: the cores that this process may use, at most 8.

    Processes that `torchrun` has started on this machine share them.
    """
    return max(1, min(usable_cores() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 8))
