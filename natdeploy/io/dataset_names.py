"""Resolves the name of a data set without opening it. Opening it would import torch, which takes seconds."""

from __future__ import annotations

from pathlib import Path

from natdeploy.errors import InputError, did_you_mean
from natdeploy.io.foreign_layouts import describe_file
from natdeploy.io.published_sets import PUBLISHED

DIGITS = "digits"


def resolve_dataset(data: str | Path) -> str:
    """Return the name of a known data set, or a folder's absolute path, which is valid in any current folder.

    Raises:
        InputError: `data` is neither a known name nor a folder. The hint names the most similar name.
    """
    data = str(data)
    if data == DIGITS or data in PUBLISHED:
        return data
    if not data:
        msg = "the data set has no name"
        raise InputError(msg)
    if not Path(data).is_dir():
        layout = describe_file(Path(data)) if Path(data).is_file() else None
        if layout is not None:
            msg = f"--data {data}: is a file, not a folder of images"
            raise InputError(msg, hint=layout)
        known = [DIGITS, *PUBLISHED]
        msg = f"unknown data set {data!r}: it is neither a folder nor a known name (known: {', '.join(known)})"
        raise InputError(msg, hint=did_you_mean(data, known))
    folder = str(Path(data).resolve())
    if not folder.isprintable() and any("\udc80" <= letter <= "\udcff" for letter in folder):
        msg = f"--data {data!a}: the path has bytes that are not UTF-8, which the files of a run cannot hold"
        raise InputError(msg, hint="rename the folder, for instance with convmv")
    return folder
