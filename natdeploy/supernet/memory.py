"""Saying in one sentence that memory ran out, whoever ran out of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from natdeploy.errors import MemoryShortageError

# What torch's allocators and oneDNN say in a plain RuntimeError.
_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc")


@contextlib.contextmanager
def translate_oom(during: str, *, hint: str) -> Iterator[None]:
    """Turn every error of memory that ran out into one that says `during` what, and what to try."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if isinstance(error, MemoryShortageError) or (plain and not any(sign in str(error) for sign in _SIGNS)):
            raise
        msg = f"out of memory {during}"
        raise MemoryShortageError(msg, hint=hint) from error
