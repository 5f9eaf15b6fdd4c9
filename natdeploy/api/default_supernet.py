"""The supernet that a command begins with where none is named: it follows from the weights, or from the images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from natdeploy.core.space import SearchSpace
from natdeploy.io.image_sizes import measure_short_side
from natdeploy.io.spaces import SpaceSelector, find_space, resolve_space
from natdeploy.io.supernet_weights import has_packaged, read_supernet

FOR_SMALL_IMAGES, FOR_PHOTOGRAPHS = "starter", "lite"
# Above this median short side, in pixels, images count as photographs.
SMALL_SIDE = 64


def choose_space(
    supernet: str | SpaceSelector | None, data: str = "", weights: Path | str | None = None
) -> tuple[SearchSpace, str]:
    """Return a search space, and the sentence that tells why it was chosen; empty if the user named it.

    Where none is named, it is the one of the weights. If they do not tell, it is `lite` for photographs if weights are
    packaged for it, else `starter`.

    Args:
        supernet: The space, whole or in part, or None.
        data: Data set, as `resolve_dataset` returns it; empty for none.
        weights: Initial weights that the user gave: a file or a word.

    Raises:
        InputError: The supernet or the width is unknown, a resolution is out of range, the weight file is damaged, or
            no image can be read.
    """
    selector = supernet if isinstance(supernet, SpaceSelector) else SpaceSelector(supernet)
    if selector.supernet is not None:
        return resolve_space(selector), ""
    name, reason = _choose_name(data, weights)
    return resolve_space(dataclasses.replace(selector, supernet=name)), reason


def _choose_name(data: str, weights: Path | str | None) -> tuple[str, str]:
    own = read_supernet(Path(weights)) if weights is not None and Path(weights).is_file() else None
    if own is not None:
        return own, f"{weights}: the weights are of supernet {own}"
    if not data or not has_packaged(find_space(FOR_PHOTOGRAPHS)):
        return FOR_SMALL_IMAGES, ""
    side = measure_short_side(data)
    name = FOR_SMALL_IMAGES if side is not None and side <= SMALL_SIDE else FOR_PHOTOGRAPHS
    what = "holds photographs" if side is None else f"the median short side of its images is {side:g} pixels"
    return name, f"{data}: {what}, so the supernet is {name}; --supernet chooses another"
