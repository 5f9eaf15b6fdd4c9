"""Reads images that calibrate int8 networks. They need no labels, so any folder of images works."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from torch import Tensor

from natdeploy.errors import InputError
from natdeploy.io.datasets import load_task
from natdeploy.io.image_files import SquareReader, find_levels
from natdeploy.io.image_folders import list_all_images, name_split
from natdeploy.io.image_inspection import ImageInspection
from natdeploy.io.image_sources import make_set_maker, tell_passed_over
from natdeploy.io.image_walk import ImageWalk
from natdeploy.io.published_sets import PUBLISHED
from natdeploy.ports import Reporter
from natdeploy.supernet.data import Interpolation
from natdeploy.supernet.images import count_bytes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class CalibrationImages:
    """Calibration images before they are resized and normalized.

    Args:
        pixels: `n x 3 x h x h` uint8.
        interpolation: Interpolation of the resizing.
    """

    pixels: Tensor
    interpolation: Interpolation


def load_calibration_images(
    data: str,
    size: int,
    *,
    count: int,
    rng: np.random.Generator,
    levels: tuple[int, int] | None = None,
    reporter: Reporter | None = None,
) -> CalibrationImages:
    """Read `count` random images, or all if there are fewer.

    Args:
        data: Name of a data set, whose train images are read, or a folder. If the folder contains a folder
            of train images, such as `train`, they are read. Images of any size are cropped to a square and resized.
        size: Height and width to which images of a folder are resized, in pixels.
        count: Maximum number of images.
        rng: Chooses the images.
        levels: Values of 16-bit images that become 0 and 255. None: those that the images of the folder use.
        reporter: Receives which files of a folder are no images, or of a kind that is not read.

    Raises:
        InputError: There is no such data set or folder, it contains no image, or an image cannot be read.
    """
    if data == "digits" or data in PUBLISHED:
        task = load_task(data, size, memory_bytes=0, download=False)
        chosen = rng.permutation(len(task.train))[:count]
        return CalibrationImages(pixels=task.train.select(chosen).to_tensor(), interpolation=task.interpolation)
    folder = Path(data)
    if not folder.is_dir():
        what = "is not a folder of images" if folder.exists() else "no such folder, nor a known data set"
        msg = f"--calibration {data}: {what}"
        raise InputError(msg)
    train = [name for name in ImageWalk().list_folders(folder) if name_split(name) == "train"]
    walk = ImageWalk()
    paths = list_all_images(folder / train[0] if len(train) == 1 else folder, walk)
    chosen_paths = [paths[place] for place in rng.permutation(len(paths))[:count]]
    if reporter is not None:
        tell_passed_over(folder, walk, reporter)
    make = make_set_maker(SquareReader(size=size, levels=levels or find_levels(paths)))
    # Damaged images are told all at once.
    chosen_set = make(chosen_paths, [0] * len(chosen_paths))
    read = ImageInspection(None).read({"train": chosen_set}, count_bytes(chosen_set.images))
    return CalibrationImages(pixels=read["train"].to_tensor(), interpolation="bilinear")
