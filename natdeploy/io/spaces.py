"""Search spaces by name, with the resolutions and the width that a command asks for."""

from __future__ import annotations

import dataclasses

import numpy as np

from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError


def resolve_space(supernet: str, resolutions: tuple[int, ...] | None = None, width: float | None = None) -> SearchSpace:
    """Return a search space by its name, with other resolutions and only one of its widths where asked for.

    Raises:
        InputError: The space or the width is unknown, or a resolution is out of range.
    """
    space = find_space(supernet)
    if width is not None:
        space = dataclasses.replace(space, widths=(space.widths[space.width_index(width)],))
    if resolutions is not None:
        if not resolutions:
            msg = "--resolutions lists nothing"
            raise InputError(msg)
        space = space.with_resolutions(tuple(np.unique(resolutions).tolist()))
    return space
