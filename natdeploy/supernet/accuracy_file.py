"""Reading OFA's pretrained accuracy predictor."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError
from natdeploy.readers import WEIGHT_BYTES, require_file

_NAME = re.compile(r"(?P<place>[0-9]{1,4})\.(?P<kind>weight|bias)")


def read_perceptron(path: Path) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return the weights, `outputs x inputs`, and biases of the layers of a perceptron, first to last.

    Raises:
        InputError: The file is missing or damaged, or holds something else.
    """
    require_file(path, WEIGHT_BYTES)
    from natdeploy.supernet.checkpoints import read_state

    layers: dict[int, dict[str, NDArray[np.float32]]] = {}
    for name, tensor in read_state(path).items():
        parts = _NAME.fullmatch(name)
        if parts is None:
            msg = f"{path}: not an accuracy predictor: it holds {name!r}"
            raise InputError(msg)
        layers.setdefault(int(parts["place"]), {})[parts["kind"]] = tensor.float().numpy()
    for place, layer in layers.items():
        weight, bias = layer.get("weight"), layer.get("bias")
        if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1]:
            msg = f"{path}: not an accuracy predictor: layer {place} is no linear layer with weight and bias"
            raise InputError(msg)
    if not layers:
        msg = f"{path}: not an accuracy predictor: it holds no layers"
        raise InputError(msg)
    return [(layers[place]["weight"], layers[place]["bias"]) for place in sorted(layers)]
