"""Tells how large the images of a data set are, without decoding them."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from natdeploy.errors import InputError
from natdeploy.io.dataset_names import DIGITS
from natdeploy.io.image_folders import list_all_images
from natdeploy.io.published_sets import PUBLISHED

_DIGITS_SIDE = 8
_SAMPLE = 300


def measure_short_side(data: str) -> float | None:
    """Return the median short side of the images of a data set, in pixels; None for a published set of photographs.

    Of a folder, the headers of at most 300 images are read, always of the same. Damaged images do not count.

    Args:
        data: Name or absolute folder, as `resolve_dataset` returns it.

    Raises:
        InputError: The folder has no image, or none of these can be read.
    """
    if data == DIGITS:
        return _DIGITS_SIDE
    if data in PUBLISHED:
        return PUBLISHED[data].native
    paths = list_all_images(Path(data))
    chosen = [paths[place] for place in np.random.default_rng(0).permutation(len(paths))[:_SAMPLE]]
    sides = list(_read_short_sides(chosen))
    if not sides:
        msg = f"{data}: none of {len(chosen)} images can be read, such as {chosen[0]}"
        raise InputError(msg)
    return statistics.median(sides)


def _read_short_sides(paths: list[str]) -> Iterator[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for path in paths:
            try:
                with Image.open(path) as image:
                    yield min(image.size)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                continue
