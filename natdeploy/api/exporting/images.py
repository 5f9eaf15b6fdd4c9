"""The images of an export: to compare outputs, to calibrate int8, and to measure top-1."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from natdeploy.errors import InputError, NatdeployError
from natdeploy.export.options import ExportOptions
from natdeploy.export.parity import Labelled
from natdeploy.export.pre_post_processing import PIXEL_RANGE, MeanStd
from natdeploy.export.quantization_calibration import QuantizationCalibration
from natdeploy.io.calibration_images import load_calibration_images
from natdeploy.io.datasets import load_task
from natdeploy.io.run_images import warn_of_other_images
from natdeploy.io.subnets import Subnet
from natdeploy.ports import Images, Reporter
from natdeploy.supernet.data import Task, compute_channel_statistics, normalize_images

CHECK_IMAGES, CALIBRATION_IMAGES, VALIDATION_IMAGES = 32, 128, 1000
_LEAST_CHECKED = 2
_CHUNK = 50
_GRAIN = 8
_STATISTICS_IMAGES = 16
_CHECK, _CALIBRATION, _VALIDATION, _STATISTICS = range(4)


class ExportImages:
    """Images of the subnet's task if they can be read, otherwise seeded noise.

    All images have the form that the exported file takes: normalized, or pixels if the file normalizes them. The ranges
    of int8 are never computed from noise for a subnet that has a task.

    Args:
        subnet: The subnet.
        options: How the file is written.
        seed: Seed for the choice of images and for noise.
        reporter: Receives a message when noise replaces images.
    """

    def __init__(self, subnet: Subnet, *, options: ExportOptions, seed: int, reporter: Reporter) -> None:
        self._subnet = subnet
        self._options = options
        self._seed = seed
        self._reporter = reporter
        self._size = subnet.resolution
        self._task = self._readable_task()
        if options.normalize_inside and subnet.task is None:
            msg = f"{subnet.source}: names no task, and --normalize-inside needs the mean and std of one"
            raise InputError(msg)

    @property
    def mean_std(self) -> MeanStd | None:
        """Mean and standard deviation of each channel, for pixels between 0 and 1; None without a task."""
        task = self._subnet.task
        return None if task is None else (tuple(task["mean"]), tuple(task["std"]))

    @property
    def checked_on(self) -> str:
        """Source of `check`: `task images`, `calibration images` if the task has none, or `noise`."""
        if self._task is not None:
            return "task images"
        return "noise" if self._options.calibration is None else "calibration images"

    @functools.cached_property
    def check(self) -> Images:
        """`n x 3 x r x r` images on which outputs are compared."""
        if self._options.calibration is not None and self._task is None:
            return self._read(self._options.calibration, CHECK_IMAGES, _CHECK)
        if self._task is None:
            return self._make_noise(CHECK_IMAGES, _CHECK)
        split = self._task.validation
        chosen = self._rng(_CHECK).permutation(len(split))[:CHECK_IMAGES]
        return self._to_model_input(self._task.prepare(split.select(chosen).to_tensor(), self._size))

    def calibration(self) -> QuantizationCalibration:
        """Return the images from which int8 ranges are computed.

        Raises:
            InputError: The images of `--calibration` cannot be read.
        """
        data = self._options.calibration
        if data is not None:
            # A manifest that ships with an app must not name the folders of this machine.
            read = self._read(data, CALIBRATION_IMAGES, _CALIBRATION)
            return QuantizationCalibration(images=read, source=Path(data).name)
        if self._task is None:
            self._reporter.warn(
                "int8 ranges are computed from seeded noise: give images with --calibration before you deploy the file"
            )
            return QuantizationCalibration(images=self._make_noise(CALIBRATION_IMAGES, _CALIBRATION), source="noise")
        split = self._task.train
        chosen = self._rng(_CALIBRATION).permutation(len(split))[:CALIBRATION_IMAGES]
        images = self._task.prepare(split.select(chosen).to_tensor(), self._size)
        return QuantizationCalibration(images=self._to_model_input(images), source=f"train images of {self._task.name}")

    def validation(self) -> Iterator[Labelled] | None:
        """Return batches of validation images with labels; None without a task or trained weights."""
        if self._task is None or self._subnet.weights is None:
            return None
        return self._validation(self._task)

    def _validation(self, task: Task) -> Iterator[Labelled]:
        split = task.validation
        chosen = self._rng(_VALIDATION).permutation(len(split))[:VALIDATION_IMAGES]
        for start in range(0, len(chosen), _CHUNK):
            part = split.select(chosen[start : start + _CHUNK])
            labels: NDArray[np.int64] = part.labels.numpy()
            yield self._to_model_input(task.prepare(part.to_tensor(), self._size)), labels

    def _readable_task(self) -> Task | None:
        described = self._subnet.task
        if described is None:
            self._reporter.info(
                f"{self._subnet.source} names no task, so the exported file is checked on {self._replacement}"
            )
            return None
        try:
            task = load_task(described["dataset"], self._size, memory_bytes=0, download=False)
            if list(task.classes) != list(described["classes"]):
                msg = f"{described['dataset']}: its classes are not the classes of the subnet"
                raise InputError(msg)
        except NatdeployError as error:
            reason = error.message
            if self._options.precision == "int8" and self._options.calibration is None:
                msg = f"{self._subnet.source}: the images of its task, which int8 needs, cannot be read: {reason}"
                hint = "give others with --calibration FOLDER, or bring the data set back to its place"
                raise InputError(msg, hint=hint) from error
            self._reporter.warn(
                f"the images of the task cannot be read ({reason}): checked on {self._replacement} instead"
            )
            return None
        if self._options.precision == "int8":
            warn_of_other_images(described, task, self._reporter)
        return dataclasses.replace(task, mean=tuple(described["mean"]), std=tuple(described["std"]))

    @property
    def _replacement(self) -> str:
        return "seeded noise" if self._options.calibration is None else "the images of --calibration"

    def _read(self, data: str, count: int, purpose: int) -> Images:
        levels = (self._subnet.task or {}).get("levels")
        read = load_calibration_images(
            data,
            self._size,
            count=count,
            rng=self._rng(purpose),
            levels=None if levels is None else tuple(levels),
            reporter=self._reporter if purpose == _CALIBRATION else None,
        )
        if purpose == _CHECK and len(read.pixels) < _LEAST_CHECKED:
            msg = (
                f"--calibration {data}: holds one image, but the file is also checked on these images, which takes two"
            )
            raise InputError(msg)
        mean, std = self.mean_std or compute_channel_statistics(read.pixels)
        return self._to_model_input(normalize_images(read.pixels, self._size, mean, std, read.interpolation))

    def _rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, purpose])

    def make_statistics_noise(self) -> Images:
        """Return normalized noise from which the BatchNorm statistics of random weights are computed."""
        return make_noise(_STATISTICS_IMAGES, self._size, self._rng(_STATISTICS))

    def _make_noise(self, count: int, purpose: int) -> Images:
        return self._undo_normalization(make_noise(count, self._size, self._rng(purpose)))

    def _to_model_input(self, images: Tensor) -> Images:
        return self._undo_normalization(np.ascontiguousarray(images.numpy()))

    def _undo_normalization(self, images: Images) -> Images:
        """Return pixels if the file normalizes them itself, otherwise the images as they are."""
        if not self._options.normalize_inside or self.mean_std is None:
            return images
        mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in self.mean_std)
        pixels: Images = np.clip((images * std + mean) * np.float32(PIXEL_RANGE[1]), *PIXEL_RANGE)
        return pixels


def make_noise(count: int, size: int, rng: np.random.Generator) -> Images:
    """Return `count x 3 x size x size` images of fine and coarse noise, each with a colour of its own.

    With fine noise alone, all images look the same to a network, and its outputs hardly vary.
    """
    places = np.arange(size) * _GRAIN // size
    coarse = rng.standard_normal((count, 3, _GRAIN, _GRAIN))[:, :, places[:, None], places]
    colours = rng.standard_normal((count, 3, 1, 1))
    fine = rng.standard_normal((count, 3, size, size))
    return (0.5 * fine + 0.7 * coarse + 0.5 * colours).astype(np.float32)
