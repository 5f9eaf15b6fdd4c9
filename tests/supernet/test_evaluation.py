"""The evaluation of subnets where images do not fit into memory."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from natdeploy.core.architecture import largest, smallest
from natdeploy.errors import DivergedError
from natdeploy.io.spaces import find_space
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.images import ImageFiles
from natdeploy.supernet.supernet import Supernet

SPACE = find_space("starter").with_resolutions((32,))
PIXELS = np.random.default_rng(0).integers(0, 256, (420, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tasks():
    """The same three splits of noise in memory and in files, and the list of what was read of the files."""
    read: list[str] = []

    def reader(path):
        read.append(path)
        return PIXELS[int(path)]

    with ThreadPoolExecutor(2) as pool:
        paths = np.array([str(number) for number in range(len(PIXELS))], dtype=object)
        labels = torch.from_numpy(np.random.default_rng(1).integers(0, 3, len(PIXELS)))
        tensor = torch.from_numpy(PIXELS).permute(0, 3, 1, 2).contiguous()
        stores = (tensor, ImageFiles(paths=paths, size=16, read=reader, pool=pool))
        yield [_task(ImageSet(images=images, labels=labels)) for images in stores], read


def _task(whole):
    splits = {"train": slice(0, 150), "validation": slice(150, 300), "test": slice(300, 420)}
    return Task(
        name="noise",
        classes=("a", "b", "c"),
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        flip=False,
        **{name: whole.select(np.arange(len(whole))[where]) for name, where in splits.items()},
    )


def figures(task, **options):
    """Return what an evaluator says of two subnets, on validation and on test images."""
    evaluator = SubnetEvaluator(Supernet(SPACE, 3, seed=1), task, recalibration_images=140, **options)
    found = [evaluator.top1(largest(SPACE)), evaluator.top1(smallest(SPACE)), evaluator.top1(largest(SPACE))]
    return [*found, evaluator.test_top1(evaluator.extract(smallest(SPACE)))], evaluator


def test_memory_changes_nothing_but_speed(tasks):
    """With images in memory or in files, kept ready or not, the figures are equal."""
    (memory, files), _ = tasks
    expected, _ = figures(memory)
    assert expected[0] == expected[2]
    for task, room in ((memory, 0), (files, None), (files, 0), (files, 200_000)):
        assert figures(task, memory_bytes=room)[0] == expected


def test_images_are_read_again_only_where_they_must(tasks):
    """With room for them each file is read once for all subnets, without room validation files once for each."""
    (_, files), read = tasks
    read.clear()
    figures(files)
    assert len(read) == 140 + 150 + 120
    read.clear()
    figures(files, memory_bytes=0)
    assert len(read) == 140 + 3 * 150 + 120


def test_prepared_images_take_no_more_than_their_room(tasks):
    """What is kept ready between subnets stays within the memory that was given."""
    (memory, _), _ = tasks
    one = 150 * 3 * 32 * 32 * 4
    for room, least in ((0, 0), (one, one // 2), (10 * one, one)):
        _, evaluator = figures(memory, memory_bytes=room)
        held = sum(images.nbytes for batches in evaluator._ready.values() for images, _ in batches)
        assert least <= held <= room


def test_recalibration_takes_batches_of_about_one_size(tasks, monkeypatch):
    """Of 200 images BatchNorm sees two batches of 100, not one of 128 and one of 72 that would count as much."""
    (memory, _), _ = tasks
    whole = dataclasses.replace(
        memory, train=ImageSet(images=memory.train.images[:1].repeat(200, 1, 1, 1), labels=torch.zeros(200))
    )
    evaluator = SubnetEvaluator(Supernet(SPACE, 3, seed=1), whole)
    evaluator.extract(smallest(SPACE))
    assert [len(images) for batches in evaluator._ready.values() for images, _ in batches] == [100, 100]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_outputs_that_are_not_finite_name_no_class(tasks, value):
    """A network that has diverged has no top-1: what argmax says of such outputs is never counted."""
    (memory, _), _ = tasks
    supernet = Supernet(SPACE, 3, seed=1)
    evaluator = SubnetEvaluator(supernet, memory, recalibration_images=140)
    with torch.no_grad():
        supernet.engine(0.5).classifier.bias[1] = value
    with pytest.raises(DivergedError, match="not finite numbers, so that they name no class"):
        evaluator.top1(smallest(SPACE))
    with pytest.raises(DivergedError, match="not finite numbers"):
        evaluator.test_top1(evaluator.extract(smallest(SPACE)))
