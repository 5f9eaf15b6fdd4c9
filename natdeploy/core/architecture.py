"""One architecture: the choice of resolution, width, depths, kernels and expand ratios."""

from __future__ import annotations

import dataclasses
from typing import Any

from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A network of the family. Kernels and expand ratios list the active layers only, stage after stage.

    Args:
        resolution: Input size in pixels, at least 32.
        width: Width multiplier.
        depths: Active layers of each stage.
        kernels: Kernel size of each active layer, `sum(depths)` of them.
        expand_ratios: Expand ratio of each active layer, `sum(depths)` of them.

    Raises:
        InputError: The lists do not fit together, or the resolution is too small.
    """

    resolution: int
    width: float
    depths: tuple[int, ...]
    kernels: tuple[int, ...]
    expand_ratios: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.resolution < 32:
            msg = f"resolution {self.resolution} is below 32"
            raise InputError(msg)
        layers = sum(self.depths)
        for key, values in (("ks", self.kernels), ("e", self.expand_ratios)):
            if len(values) != layers:
                msg = f"{key} lists {len(values)} layers, d {list(self.depths)} asks for {layers}"
                raise InputError(msg)

    def to_json(self) -> dict[str, Any]:
        """Return the architecture with the keys of the NAT authors: `w, r, d, e, ks`."""
        return {
            "w": self.width,
            "r": self.resolution,
            "d": list(self.depths),
            "e": list(self.expand_ratios),
            "ks": list(self.kernels),
        }

    def stages(self) -> list[list[tuple[int, int]]]:
        """Return the active layers of each stage as (kernel, expand ratio) pairs."""
        pairs = list(zip(self.kernels, self.expand_ratios, strict=True))
        stages, start = [], 0
        for depth in self.depths:
            stages.append(pairs[start : start + depth])
            start += depth
        return stages


def check_member(space: SearchSpace, architecture: Architecture) -> None:
    """Check that `architecture` is one of `space`. Its resolution may be any.

    Raises:
        InputError: A choice is not one of the space's. The message names the key and the index.
    """
    space.width_index(architecture.width)
    if len(architecture.depths) != len(space.stages):
        msg = f"d lists {len(architecture.depths)} stages, space {space.name} has {len(space.stages)}"
        raise InputError(msg)
    choices = (
        ("d", architecture.depths, space.depths),
        ("ks", architecture.kernels, space.kernels),
        ("e", architecture.expand_ratios, space.expand_ratios),
    )
    for key, values, allowed in choices:
        for position, value in enumerate(values):
            if value not in allowed:
                msg = f"{key}[{position}] is {value}, space {space.name} allows {list(allowed)}"
                raise InputError(msg)


def uniform(
    space: SearchSpace, *, resolution: int, width: float, depth: int, kernel: int, expand_ratio: int
) -> Architecture:
    """Return the architecture with the same depth, kernel size and expand ratio everywhere."""
    layers = depth * len(space.stages)
    return Architecture(
        resolution=resolution,
        width=width,
        depths=(depth,) * len(space.stages),
        kernels=(kernel,) * layers,
        expand_ratios=(expand_ratio,) * layers,
    )


def smallest(space: SearchSpace) -> Architecture:
    """Return the smallest architecture of `space`."""
    return uniform(
        space,
        resolution=space.resolutions[0],
        width=space.widths[0],
        depth=space.depths[0],
        kernel=space.kernels[0],
        expand_ratio=space.expand_ratios[0],
    )


def largest(space: SearchSpace) -> Architecture:
    """Return the largest architecture of `space`."""
    return uniform(
        space,
        resolution=space.resolutions[-1],
        width=space.widths[-1],
        depth=space.depths[-1],
        kernel=space.kernels[-1],
        expand_ratio=space.expand_ratios[-1],
    )
