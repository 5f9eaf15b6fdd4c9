"""Search spaces and their architectures."""

from __future__ import annotations

import numpy as np

from natdeploy.core import genotype
from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.checked import checked
from natdeploy.core.space import SearchSpace
from natdeploy.io.spaces import SpaceSelector, find_space

__all__ = ["Architecture", "SearchSpace", "SpaceSelector", "find_space", "largest", "sample", "smallest"]


@checked
def sample(space: SearchSpace, count: int, rng: np.random.Generator) -> list[Architecture]:
    """Draw architectures: the depth of each stage uniformly, then the choices of each of its layers uniformly.

    Args:
        space: Search space.
        count: Number of architectures, which may repeat.
        rng: Source of randomness.
    """
    return [genotype.decode(space, row) for row in genotype.sample(space, count, rng)]
