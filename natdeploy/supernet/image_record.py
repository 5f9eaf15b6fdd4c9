"""What a run remembers of an image."""

from __future__ import annotations

import dataclasses
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageRecord:
    """An image of a run.

    Args:
        split: Split that it is in.
        label: Name of its class; empty for pictures without labels.
        file: Its path below the folder of the data set, with `/` between folders.
        size_bytes: Size of its file.
        digest: BLAKE2b of its file, 8 bytes as hexadecimal digits.
    """

    split: Split
    label: str
    file: str
    size_bytes: int
    digest: str
