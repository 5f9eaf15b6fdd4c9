"""The eleven data sets of the NAT paper: their source, how to open them, and their expected contents.

The sizes are from Lu et al., NAT (TPAMI 2021), and from the pages of the sets. The test views are those of the paper's
published evaluation.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from natdeploy.io.image_files import View
from natdeploy.io.image_folders import list_classes, list_images

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET = "imagenet"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Part:
    """One part of a data set, such as its train or test images.

    Args:
        classes: Names of the classes.
        images: `n x 3 x h x h` uint8 pixels, or paths of image files.
        labels: Class indices.
    """

    classes: list[str]
    images: Tensor | list[str]
    labels: list[int]


class Opener(Protocol):
    """Opens a published data set."""

    def __call__(self, root: Path, *, download: bool) -> list[Part]:
        """Return the parts in `root`, the test images last. With `download`, torchvision downloads them first."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PublishedSet:
    """A published data set.

    Args:
        title: Name shown to users.
        classes: Number of classes.
        train: Number of train images, including those of an official validation split.
        test: Number of test images.
        view: How images become squares.
        native: Height and width at which images are stored, in pixels. None: the largest resolution.
        source: Page where users get the set.
        content: What the folder of the set must contain.
        downloads: Whether torchvision can download the set.
        opener: Opens the set.
    """

    title: str
    classes: int
    train: int
    test: int
    view: View
    native: int | None = None
    source: str
    content: str
    downloads: bool = True
    opener: Opener


def _import_class(kind: str) -> Callable[..., Any]:
    """Import and return a class of torchvision. The import takes two seconds, and few commands need it."""
    found: Callable[..., Any] = getattr(importlib.import_module("torchvision.datasets"), kind)
    return found


def _make_cifar_opener(kind: str) -> Opener:
    def open_set(root: Path, *, download: bool) -> list[Part]:
        import torch

        opened = [_import_class(kind)(root, train=train, download=download) for train in (True, False)]
        return [
            Part(
                classes=list(part.classes),
                images=torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(),
                labels=part.targets,
            )
            for part in opened
        ]

    return open_set


def _open_stl10(root: Path, *, download: bool) -> list[Part]:
    import torch

    opened = [_import_class("STL10")(root, split, download=download) for split in ("train", "test")]
    return [
        Part(classes=list(part.classes), images=torch.from_numpy(part.data), labels=part.labels.tolist())
        for part in opened
    ]


def _make_files_opener(kind: str, *splits: str) -> Opener:
    """Return the opener of a set of image files. With `str` as loader, torchvision returns paths instead of images."""

    def open_set(root: Path, *, download: bool) -> list[Part]:
        parts = []
        for split in splits:
            opened = _import_class(kind)(root, split, loader=str, download=download)
            pairs = [opened[index] for index in range(len(opened))]
            parts.append(
                Part(
                    classes=list(opened.classes),
                    images=[path for path, _ in pairs],
                    labels=[int(label) for _, label in pairs],
                )
            )
        return parts

    return open_set


def _open_pets(root: Path, *, download: bool) -> list[Part]:
    opened = [_import_class("OxfordIIITPet")(root, split, download=download) for split in ("trainval", "test")]
    # This is the only one of these classes that takes no loader.
    return [
        Part(classes=part.classes, images=[str(path) for path in part._images], labels=part._labels) for part in opened
    ]


def _make_folders_opener(*splits: str) -> Opener:
    def open_set(root: Path, *, download: bool) -> list[Part]:  # noqa: ARG001
        parts = []
        for split in splits:
            classes = list_classes(root / split)
            paths, labels = list_images(root / split, classes)
            parts.append(Part(classes=classes, images=paths, labels=labels))
        return parts

    return open_set


_CROPPED = View(crop=0.875, upright=False)
_SQUEEZED = View(crop=None, interpolation="bicubic", upright=False)
_WHOLE = View(interpolation="bicubic", upright=False)

PUBLISHED: Mapping[str, PublishedSet] = MappingProxyType(
    {
        "cifar10": PublishedSet(
            title="CIFAR-10",
            classes=10,
            train=50_000,
            test=10_000,
            view=_WHOLE,
            native=32,
            source="https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)",
            content="cifar-10-batches-py/",
            opener=_make_cifar_opener("CIFAR10"),
        ),
        "cifar100": PublishedSet(
            title="CIFAR-100",
            classes=100,
            train=50_000,
            test=10_000,
            view=_WHOLE,
            native=32,
            source="https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)",
            content="cifar-100-python/",
            opener=_make_cifar_opener("CIFAR100"),
        ),
        "cinic10": PublishedSet(
            title="CINIC-10",
            classes=10,
            train=180_000,
            test=90_000,
            view=_WHOLE,
            native=32,
            source="https://datashare.ed.ac.uk/handle/10283/3192",
            content="train/, valid/ and test/, each with a folder for each class",
            downloads=False,
            opener=_make_folders_opener("train", "valid", "test"),
        ),
        "stl10": PublishedSet(
            title="STL-10",
            classes=10,
            train=5_000,
            test=8_000,
            view=_CROPPED,
            native=84,
            source="https://cs.stanford.edu/~acoates/stl10/",
            content="stl10_binary/",
            opener=_open_stl10,
        ),
        "aircraft": PublishedSet(
            title="FGVC Aircraft",
            classes=100,
            train=6_667,
            test=3_333,
            view=_CROPPED,
            source="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/",
            content="fgvc-aircraft-2013b/",
            opener=_make_files_opener("FGVCAircraft", "trainval", "test"),
        ),
        "cars": PublishedSet(
            title="Stanford Cars",
            classes=196,
            train=8_144,
            test=8_041,
            view=_SQUEEZED,
            source="a copy of https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
            content="stanford_cars/ with cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat",
            downloads=False,
            opener=_make_files_opener("StanfordCars", "train", "test"),
        ),
        "dtd": PublishedSet(
            title="DTD",
            classes=47,
            train=3_760,
            test=1_880,
            view=_SQUEEZED,
            source="https://www.robots.ox.ac.uk/~vgg/data/dtd/",
            content="dtd/dtd/ with images/ and labels/",
            opener=_make_files_opener("DTD", "train", "val", "test"),
        ),
        "flowers102": PublishedSet(
            title="Flowers-102",
            classes=102,
            train=2_040,
            test=6_149,
            view=_CROPPED,
            source="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            content="flowers-102/ with jpg/, imagelabels.mat and setid.mat",
            opener=_make_files_opener("Flowers102", "train", "val", "test"),
        ),
        "food101": PublishedSet(
            title="Food-101",
            classes=101,
            train=75_750,
            test=25_250,
            view=_CROPPED,
            source="https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
            content="food-101/ with images/ and meta/",
            opener=_make_files_opener("Food101", "train", "test"),
        ),
        "pets": PublishedSet(
            title="Oxford-IIIT Pets",
            classes=37,
            train=3_680,
            test=3_669,
            view=_CROPPED,
            source="https://www.robots.ox.ac.uk/~vgg/data/pets/",
            content="oxford-iiit-pet/ with images/ and annotations/",
            opener=_open_pets,
        ),
        IMAGENET: PublishedSet(
            title="ImageNet (ILSVRC 2012)",
            classes=1_000,
            train=1_281_167,
            test=50_000,
            view=View(crop=0.875, interpolation="bicubic", upright=False),
            source="https://image-net.org/challenges/LSVRC/2012/2012-downloads.php",
            content="train/ and val/, each with a folder for each class",
            downloads=False,
            opener=_make_folders_opener("train", "val"),
        ),
    }
)
