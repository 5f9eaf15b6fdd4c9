"""Small networks for tests."""

from __future__ import annotations

import dataclasses

import numpy as np

from natdeploy.core.architecture import smallest
from natdeploy.core.layers import walk
from natdeploy.io.spaces import find_space
from natdeploy.ports import Images
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import Network, build_network
from natdeploy.testing.choices import with_choices


def tiny_network(*, classes: int = 5, seed: int = 0) -> Network:
    """Return a network of one searchable block. It has every operator of the family except Mish."""
    starter = find_space("starter")
    part = dataclasses.replace(starter, name="tiny", resolutions=(32,), stages=starter.stages[4:])
    space = with_choices(part, depths=(1,))
    return randomize_weights(build_network(walk(space, smallest(space), classes)), seed)


def noise_images(network: Network, count: int, *, seed: int = 0) -> Images:
    """Return `count x 3 x r x r` noise images of the network's input size."""
    size = network.input_size
    return np.random.default_rng(seed).standard_normal((count, 3, size, size)).astype(np.float32)
