"""Finds a search space by name, and restricts it to the resolutions and width that a command asks for."""

from __future__ import annotations

import dataclasses

import numpy as np

from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError


@dataclasses.dataclass(frozen=True, slots=True)
class SpaceSelector:
    """Selects a search space, or a part of it. Functions that take one also take the name of a supernet alone.

    Args:
        supernet: Name of the supernet.
        resolutions: Input sizes in pixels; None for those of the space.
        width: The only width; None for all widths of the space.
    """

    supernet: str
    resolutions: tuple[int, ...] | None = None
    width: float | None = None


def resolve_space(supernet: str | SpaceSelector) -> SearchSpace:
    """Return the search space that a supernet's name or a selector stands for.

    Raises:
        InputError: The supernet or the width is unknown, or a resolution is out of range.
    """
    selector = SpaceSelector(supernet) if isinstance(supernet, str) else supernet
    space = find_space(selector.supernet)
    if selector.width is not None:
        space = dataclasses.replace(space, widths=(space.widths[space.width_index(selector.width)],))
    if selector.resolutions is not None:
        if not selector.resolutions:
            msg = "--resolutions is empty: list at least one resolution"
            raise InputError(msg)
        space = space.with_resolutions(tuple(np.unique(selector.resolutions).tolist()))
    return space
