"""One architecture: the choice of resolution, width, depths, kernels and expand ratios."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from natdeploy.core.checked import checked
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
    expand_ratios: tuple[float, ...]

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

    def stages(self) -> list[list[tuple[int, float]]]:
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
    _check_choices(space, "d", architecture.depths, [stage.depths for stage in space.stages])
    slots = [
        (space.stages[index], position) for index, depth in enumerate(architecture.depths) for position in range(depth)
    ]
    _check_choices(space, "ks", architecture.kernels, [stage.kernels for stage, _ in slots])
    _check_choices(space, "e", architecture.expand_ratios, [stage.expand_ratios[place] for stage, place in slots])


def uniform(
    space: SearchSpace, *, resolution: int, width: float, depth: int, kernel: int, expand_ratio: float
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


@checked
def smallest(space: SearchSpace) -> Architecture:
    """Return the smallest architecture of `space`."""
    return _take_ends(space, 0)


@checked
def largest(space: SearchSpace) -> Architecture:
    """Return the largest architecture of `space`."""
    return _take_ends(space, -1)


def _take_ends(space: SearchSpace, end: int) -> Architecture:
    """Return the architecture with the first or last of all choices."""
    slots = [(stage, position) for stage in space.stages for position in range(stage.depths[end])]
    return Architecture(
        resolution=space.resolutions[end],
        width=space.widths[end],
        depths=tuple(stage.depths[end] for stage in space.stages),
        kernels=tuple(stage.kernels[end] for stage, _ in slots),
        expand_ratios=tuple(stage.expand_ratios[position][end] for stage, position in slots),
    )


def _check_choices(space: SearchSpace, key: str, values: Sequence[float], allowed: Sequence[Sequence[float]]) -> None:
    for position, (value, choices) in enumerate(zip(values, allowed, strict=True)):
        if value not in choices:
            msg = f"{key}[{position}] is {value}, space {space.name} allows {list(choices)}"
            raise InputError(msg)
