"""What every piece of work needs: a clock, a reporter, and a torch that behaves."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import sys
import time
from datetime import UTC, datetime

import numpy as np

from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError
from natdeploy.machine import usable_cores
from natdeploy.ports import Clock, Reporter, Transport

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


class SystemClock:
    """The machine's clock; implements `natdeploy.ports.Clock`."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Return a monotonic time in seconds."""
        return time.perf_counter()


class SilentReporter:
    """Says nothing; implements `natdeploy.ports.Reporter`."""

    def info(self, message: str) -> None:
        """Drop the message."""

    def warn(self, message: str) -> None:
        """Drop the message."""

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Drop the news."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What work is done with.

    Args:
        reporter: Where to tell how it goes.
        clock: Source of time.
        connections: Connections to devices that the work has opened, so that it can be stopped from another thread.
    """

    reporter: Reporter = dataclasses.field(default_factory=SilentReporter)
    clock: Clock = dataclasses.field(default_factory=SystemClock)
    connections: list[Transport] = dataclasses.field(default_factory=list)


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


def resolve_space(supernet: str, resolutions: tuple[int, ...] | None = None, width: float | None = None) -> SearchSpace:
    """Return a search space by its name, with other resolutions and only one of its widths where asked for.

    Raises:
        InputError: The space or the width is unknown, or a resolution is out of range.
    """
    space = find_space(supernet)
    if width is not None:
        space = dataclasses.replace(space, widths=(space.widths[space.width_index(width)],))
    if resolutions is not None:
        if not resolutions:
            msg = "--resolutions lists nothing"
            raise InputError(msg)
        space = space.with_resolutions(tuple(np.unique(resolutions).tolist()))
    return space
