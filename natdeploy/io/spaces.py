"""Finds a search space by name, and restricts it to the resolutions and width that a command asks for."""

from __future__ import annotations

import dataclasses

import numpy as np

from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError


def resolve_space(supernet: str, resolutions: tuple[int, ...] | None = None, width: float | None = None) -> SearchSpace:
    """Return the search space named `supernet`, with the given resolutions and only the given width, if any.

    Raises:
        InputError: The space or the width is unknown, or a resolution is out of range.
    """
    space = find_space(supernet)
    if width is not None:
        space = dataclasses.replace(space, widths=(space.widths[space.width_index(width)],))
    if resolutions is not None:
        if not resolutions:
            msg = "--resolutions is empty: list at least one resolution"
            raise InputError(msg)
        space = space.with_resolutions(tuple(np.unique(resolutions).tolist()))
    return space
