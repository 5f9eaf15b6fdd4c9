"""One error for memory that ran out, on the CPU or on a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from natdeploy.errors import MemoryShortageError

# Texts of the plain RuntimeError that torch's allocators and oneDNN raise.
_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


@contextlib.contextmanager
def translate_oom(during: str, *, hint: str) -> Iterator[None]:
    """Turn every out-of-memory error into a `MemoryShortageError`.

    Args:
        during: When the memory ran out, for the message.
        hint: What to try.

    Raises:
        MemoryShortageError: The memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if isinstance(error, MemoryShortageError) or (plain and not any(sign in str(error) for sign in _SIGNS)):
            raise
        msg = f"out of memory {during}"
        raise MemoryShortageError(msg, hint=hint) from error
