"""Refuses files that are often given in place of a subnet, before they are parsed."""

from __future__ import annotations

import os
from pathlib import Path

from natdeploy.errors import InputError

EXPORTED = (".onnx", ".tflite", ".engine")
_WEIGHTS = (".safetensors", ".pth", ".pt", ".ckpt")
_OF_A_RUN = {".html": "a report", ".toml": "a file of settings", ".csv": "a table"}


def refuse_lookalike(path: Path) -> None:
    """Refuse the folder of a run and its other files, a file exported from a subnet, and the weights of one.

    Raises:
        InputError: The file is one of these. The hint names what to give instead.
    """
    if os.path.isfile(path / "run.toml"):  # noqa: PTH113 (any length of string)
        msg, hint = f"{path}: is a run folder, not a subnet", f"name the run's choice: {path / 'subnet.json'}"
    elif path.suffix in EXPORTED:
        msg = f"{path}: is an exported file, not a subnet"
        hint = "natdeploy measure times it; other commands take the subnet.json it was made of"
    elif path.suffix in _WEIGHTS:
        msg = f"{path}: is a weight file, not a subnet"
        hint = "natdeploy extract ARCHITECTURE --supernet NAME --weights FILE makes a subnet of both"
        beside = path.with_suffix(".json")
        if os.path.isfile(beside):  # noqa: PTH113
            hint = f"name the subnet that it belongs to: {beside}"
    elif path.suffix in _OF_A_RUN:
        msg = f"{path}: is {_OF_A_RUN[path.suffix]}, not a subnet"
        hint = "name a subnet.json; natdeploy extract RUN --row N writes any network of a run as one"
    else:
        return
    raise InputError(msg, hint=hint)
