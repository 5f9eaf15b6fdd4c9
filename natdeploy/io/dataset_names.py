"""What a data set is called by, told without opening it: importing torch for that would take seconds."""

from __future__ import annotations

from pathlib import Path

from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.published_sets import PUBLISHED

DIGITS = "digits"


def resolve_dataset(data: str) -> str:
    """Return the name of a known data set, or the absolute path of a folder, which holds in any current folder.

    Raises:
        InputError: `data` is neither a known name nor a folder; the hint names the nearest.
    """
    if data == DIGITS or data in PUBLISHED:
        return data
    if not data:
        msg = "the data set has no name"
        raise InputError(msg)
    if not Path(data).is_dir():
        known = [DIGITS, *PUBLISHED]
        msg = f"unknown data set {data!r}: it is neither a folder nor a known name (known: {', '.join(known)})"
        raise InputError(msg, hint=did_you_mean(data, known))
    return str(Path(data).resolve())
