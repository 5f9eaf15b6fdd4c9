"""The image input of model files: one batch of square images, in either layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError
from natdeploy.ports import Images

_ANY_BATCH = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelInput:
    """The image input of a model file.

    Args:
        batch: Number of images per call.
        size: Height and width of an image, in pixels.
        channels_last: Whether the layout is `n x r x r x 3` instead of `n x 3 x r x r`.
        any_batch: Whether a call takes any number of images. `batch` is then the number used for measurements.
    """

    batch: int
    size: int
    channels_last: bool
    any_batch: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Input shape of one call, in the layout of the file."""
        if self.channels_last:
            return self.batch, self.size, self.size, 3
        return self.batch, 3, self.size, self.size

    def arrange(self, images: Images) -> NDArray[np.float32]:
        """Convert `n x 3 x r x r` images to the layout of the file.

        Raises:
            InputError: The images do not have the shape that the model takes.
        """
        if images.ndim != 4 or images.shape[1:] != (3, self.size, self.size) or not len(images):
            msg = f"images of shape {list(images.shape)} do not fit: the model takes [n, 3, {self.size}, {self.size}]"
            raise InputError(msg)
        arranged = images.transpose(0, 2, 3, 1) if self.channels_last else images
        return np.ascontiguousarray(arranged, dtype=np.float32)

    def run(self, call: Callable[[NDArray[np.float32]], NDArray[np.float32]], images: Images) -> NDArray[np.float32]:
        """Map `n x 3 x r x r` images to `n x classes` outputs, in calls of `batch` images each.

        With `any_batch`, each call takes a few images.
        """
        outputs = [np.array(call(part)).reshape(len(part), -1) for part in self._split(self.arrange(images))]
        return np.concatenate(outputs)[: len(images)]

    def _split(self, arranged: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        count = _ANY_BATCH if self.any_batch else self.batch
        for start in range(0, len(arranged), count):
            part = arranged[start : start + count]
            yield part if len(part) == count or self.any_batch else np.resize(part, self.shape)


def read_model_input(path: Path, shape: Sequence[object]) -> ModelInput:
    """Interpret the input shape of a model file. A batch size that the file leaves open counts as 1.

    Raises:
        InputError: The shape is not a batch of square images with 3 channels and a fixed size.
    """
    sizes = [value if isinstance(value, int) and value > 0 else None for value in shape]
    if len(sizes) == 4:
        batch, *rest = sizes
        for channels_last, (channels, height, width) in ((False, rest), (True, [rest[2], rest[0], rest[1]])):
            if channels == 3 and height is not None and height == width:
                return ModelInput(batch=batch or 1, size=height, channels_last=channels_last, any_batch=batch is None)
    wanted = "a batch of square images with 3 channels and a fixed size"
    msg = f"{path}: its input has shape {list(shape)}; it must be {wanted}"
    raise InputError(msg)


def require_threads(threads: int) -> None:
    """Check that a number of threads is at least 1.

    Raises:
        InputError: It is less than 1.
    """
    if threads < 1:
        msg = f"threads is {threads}: it must be at least 1"
        raise InputError(msg)
