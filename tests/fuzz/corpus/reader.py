"""A reader of files, and whole files that it reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader of files.

    Args:
        name: Its name.
        kind: The format of the files, for `tests.fuzz.mutations.damage`.
        file: Name that the file has when it is read.
        contents: Whole files.
        read: Reads the file, and works with what is in it.
        beside: Files that lie beside it.
        share: How many files it is given, of those that others are given.
    """

    name: str
    kind: str
    file: str
    contents: tuple[bytes, ...]
    read: Callable[[Path], object]
    beside: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    share: float = 1.0
