"""Labelled images, and the batches that are made of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from natdeploy.errors import InputError
from natdeploy.supernet import images as storage
from natdeploy.supernet.accelerator import CPU, to_device
from natdeploy.supernet.distributed import ProcessGroup
from natdeploy.supernet.image_record import ImageRecord
from natdeploy.supernet.images import Images
from natdeploy.supernet.recipe import Recipe

Interpolation = Literal["bilinear", "bicubic"]

_SHIFT = 0.06
_SCALE = 0.06
_STATISTICS_IMAGES = 4096


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet:
    """Labelled images of one split.

    Args:
        images: `n x 3 x h x h` uint8: a tensor, or files that are read when they are needed.
        labels: `n` int64 tensor of class indices.
    """

    images: Images
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: np.ndarray | Tensor) -> ImageSet:
        """Return the images at `indices`."""
        where = torch.as_tensor(indices)
        return ImageSet(images=storage.select(self.images, where), labels=self.labels[where])

    def load(self, progress: Callable[[int], None] | None = None) -> ImageSet:
        """Return the same images in memory. `progress` is called with the number of images after each chunk of them."""
        return dataclasses.replace(self, images=storage.load(self.images, progress))

    def to_tensor(self) -> Tensor:
        """Return all images as one `n x 3 x h x h` uint8 tensor."""
        return storage.load(self.images)


def concatenate(first: ImageSet, second: ImageSet) -> ImageSet:
    """Return the images of both sets."""
    images = storage.concatenate(first.images, second.images)
    return ImageSet(images=images, labels=torch.cat([first.labels, second.labels]))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A classification task.

    Args:
        name: Name or folder of the data set, as given with `--data`.
        classes: Names of the classes, in the order of their indices.
        mean: Mean of each colour channel, for pixels between 0 and 1.
        std: Standard deviation of each colour channel.
        flip: Whether a mirrored image keeps its class.
        train: Images to train on.
        validation: Images that guide the search. None of them is in `train` or `test`.
        test: Images for the final accuracy. They are read once, at the end.
        interpolation: How images are resized.
        records: The images of a folder, for a run to remember. Empty for a known data set.
        images_digest: Digest of the names and sizes of the images of a folder. Empty for a known data set.
        levels: Values of 16-bit images that became 0 and 255. None: the upper eight bits were kept, if there were 16.
    """

    name: str
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    flip: bool
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    interpolation: Interpolation = "bilinear"
    records: tuple[ImageRecord, ...] = ()
    images_digest: str = ""
    levels: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for split in ("train", "validation", "test"):
            if not len(getattr(self, split)):
                msg = f"{self.name}: no image is left for the {split} split"
                raise InputError(msg, hint="a class needs three images, or two beside a test folder")

    def prepare(self, images: Tensor, resolution: int) -> Tensor:
        """Resize and normalize uint8 images to an `n x 3 x r x r` float tensor, channels last in memory."""
        return normalize_images(images, resolution, self.mean, self.std, self.interpolation)

    def iterate_batches(
        self, split: ImageSet, parts: Sequence[Tensor], resolution: int, device: torch.device = CPU
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the prepared images and the labels of each part of a split, given by indices, on `device`."""
        for part, pixels in zip(parts, storage.iterate_batches(split.images, parts), strict=True):
            yield self.prepare(to_device(pixels, device), resolution), to_device(split.labels[part], device)

    def describe(self) -> dict[str, object]:
        """Return the description of the task for a subnet file."""
        return {
            "dataset": self.name,
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            **({"images": self.images_digest} if self.images_digest else {}),
            **({"levels": list(self.levels)} if self.levels is not None else {}),
        }


def normalize_images(
    images: Tensor,
    resolution: int,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Resize and normalize uint8 images to an `n x 3 x r x r` float tensor, channels last in memory."""
    x = images.float() / 255
    if x.shape[-1] != resolution:
        x = nnf.interpolate(x, size=(resolution, resolution), mode=interpolation, antialias=True)
        # Bicubic interpolation overshoots the range of the pixels.
        x = x.clamp(0, 1) if interpolation == "bicubic" else x
    means, stds = (to_device(torch.tensor(values), x.device).view(3, 1, 1) for values in (mean, std))
    return ((x - means) / stds).contiguous(memory_format=torch.channels_last)


def count_steps(images: int, recipe: Recipe) -> int:
    """Return the number of batches that `iterate_train_batches` yields."""
    return max(1, images // recipe.batch_size, recipe.min_steps_per_epoch)


def iterate_train_batches(
    task: Task,
    recipe: Recipe,
    resolutions: Sequence[int],
    generator: torch.Generator,
    *,
    group: ProcessGroup | None = None,
    device: torch.device = CPU,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of augmented batches, each at a resolution drawn from `resolutions`.

    Images are shifted and scaled by up to 6 % and, if the task allows it, mirrored. The last batch is dropped unless it
    is the only one, because BatchNorm must not see a handful of images. If the images do not fill the least number of
    steps, they are used several times. The labels of a batch that CutMix has mixed are `n x classes` shares.

    Each process of a group gets its share of each batch. All must draw from equal generators; together they then see
    the images that one process would see alone. Images are resized and augmented on `device`.
    """
    group = group or ProcessGroup()
    images, batch_size = len(task.train), recipe.batch_size
    steps = count_steps(images, recipe)
    passes = math.ceil(steps * batch_size / images) if recipe.min_steps_per_epoch * batch_size > images else 1
    order = torch.cat([torch.randperm(images, generator=generator) for _ in range(passes)])
    parts = order[: steps * batch_size].split(batch_size)
    own = [group.share(part) for part in parts]
    for part, where, pixels in zip(parts, own, storage.iterate_batches(task.train.images, own), strict=True):
        resolution = resolutions[int(torch.randint(len(resolutions), (1,), generator=generator))]
        amounts = group.share(torch.rand(len(part), 4, generator=generator))
        prepared = task.prepare(to_device(pixels, device), resolution)
        augmented = _augment(prepared, to_device(amounts, device), flip=task.flip)
        labels = to_device(task.train.labels[where], device)
        # Drawn last, and only with CutMix, so that trainings without it draw the same numbers as before it existed.
        if recipe.cutmix and float(torch.rand((), generator=generator)) < recipe.cutmix:
            seed = int(torch.randint(2**62, (1,), generator=generator))
            augmented, labels = apply_cutmix(augmented, labels, len(task.classes), seed)
        yield augmented, labels


def apply_cutmix(images: Tensor, labels: Tensor, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Put a rectangle of one image into the next, and mix their labels by the area.

    Source: Yun et al., CutMix (ICCV 2019), with an area drawn uniformly between nothing and the whole image.

    Args:
        images: `n x 3 x r x r` images.
        labels: `n` class indices.
        classes: Number of classes.
        seed: Seed of the rectangle. It is the same for all images.

    Returns:
        The images, and `n x classes` shares of the classes.
    """
    # The import takes seconds, and few commands need it.
    from torchvision.transforms.v2 import CutMix

    # torchvision draws from torch's global generator, whose state must not change.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mixed, shares = CutMix(num_classes=classes)(images, labels)
    return mixed.contiguous(memory_format=torch.channels_last), shares


def compute_channel_statistics(images: Images) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of the colour channels of uint8 images, for pixels between 0 and 1.

    For more than 4,096 images, a fixed choice of 4,096 is taken.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:_STATISTICS_IMAGES])
    counts = torch.zeros(3, 256, dtype=torch.float64)
    for pixels in storage.iterate_batches(images, torch.from_numpy(chosen).split(128)):
        counts += torch.stack([torch.bincount(pixels[:, channel].flatten(), minlength=256) for channel in range(3)])
    values, total = torch.arange(256, dtype=torch.float64) / 255, float(counts[0].sum())
    means = counts @ values / total
    variances = (counts * (values - means[:, None]) ** 2).sum(dim=1) / (total - 1)
    mean, std = means.tolist(), variances.sqrt().clamp_min(1 / 255).tolist()
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def _augment(images: Tensor, amounts: Tensor, *, flip: bool) -> Tensor:
    count, amounts = len(images), amounts * 2 - 1
    scale = torch.exp(amounts[:, 0] * math.log1p(_SCALE))
    mirror = torch.where(amounts[:, 1] < 0, -1.0, 1.0) if flip else torch.ones_like(scale)
    matrix = amounts.new_zeros(count, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = scale * mirror, scale
    matrix[:, :, 2] = amounts[:, 2:] * (2 * _SHIFT)
    grid = nnf.affine_grid(matrix, list(images.shape), align_corners=False)
    moved = nnf.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return moved.contiguous(memory_format=torch.channels_last)
