"""Networks as rows of a matrix: how often each one contains each layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.layers import Layer


def count_layers(networks: Sequence[Sequence[Layer]], layers: Sequence[Layer]) -> NDArray[np.float64]:
    """Return an `n x m` array: how often each of `n` networks contains each of `m` layers.

    Raises:
        KeyError: A network contains another layer.
    """
    column = {layer: number for number, layer in enumerate(layers)}
    counts = np.zeros((len(networks), len(layers)))
    for row, network in zip(counts, networks, strict=True):
        np.add.at(row, [column[layer] for layer in network], 1)
    return counts
