"""Prints how fast elastic training and the evaluation of an archive are, compared with a straightforward way.

The straightforward way takes every subnet out of a deep copy of the supernet, in torch's usual memory layout and
without inference mode. It reads and resizes the image files each time. It does not put the gradients of a subnet back
into the supernet, although it would have to. Images are made-up JPEG files.

Run: python benchmarks/training_speed.py [THREADS]
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as nnf
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from natdeploy.cli.memory import keep_freed_memory
from natdeploy.core.architecture import Architecture, largest
from natdeploy.core.genotype import decode, sample
from natdeploy.core.space import SearchSpace
from natdeploy.io.datasets import load_task
from natdeploy.io.spaces import find_space
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.images import ImageFiles
from natdeploy.supernet.network import Network
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer

# Supernet, resolution, height of the files, images of each of ten classes, subnets to evaluate.
CASES = (("starter", 64, 96, 80, 10), ("ofa-mbv3-w1.0", 224, 256, 10, 2))
CLASSES, BATCH, DRAWN, EVALUATED_AT_ONCE, SEED = 10, 32, 2, 128, 0


def main() -> None:
    """Print all figures."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    keep_freed_memory()
    torch.set_num_threads(threads)
    print(f"{threads} threads; a training step is the largest network and {DRAWN} subnets, of {BATCH} images")
    for name, resolution, size, images, subnets in CASES:
        space = find_space(name).with_resolutions((resolution,))
        with tempfile.TemporaryDirectory() as folder:
            make_files(Path(folder), size, images)
            in_memory, in_files = (load_task(folder, resolution, memory_bytes=room) for room in (None, 0))
            print(
                f"{name}, r = {resolution}: {len(in_memory.train)} train, {len(in_memory.validation)} validation images"
            )
            supernet = training(space, in_memory, in_files)
            evaluation(supernet, in_memory, in_files, subnets)


def make_files(folder: Path, size: int, images: int) -> None:
    """Write JPEG files of smooth noise."""
    rng = np.random.default_rng(SEED)
    for label in range(CLASSES):
        (folder / str(label)).mkdir()
        for number in range(images):
            coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / str(label) / f"{number}.jpg")


def training(space: SearchSpace, in_memory: Task, in_files: Task) -> Supernet:
    """Print images/s of training, and return what was trained."""
    recipe = Recipe(batch_size=BATCH, subnets=DRAWN)
    supernet = Supernet(space, CLASSES)
    trainer = ElasticTrainer(supernet, in_memory, recipe, total_epochs=2, largest_only_epochs=0, seed=SEED)
    trainer.train_epoch(0, None)
    own_s = seconds(lambda: trainer.train_epoch(1, None))
    copied_s = seconds(lambda: train_copies(Supernet(space, CLASSES), in_files))
    images = len(in_memory.train) // BATCH * BATCH
    print(f"  training: {images / own_s:.1f} images/s, copies {images / copied_s:.1f}, ratio {copied_s / own_s:.2f}")
    return supernet


def train_copies(supernet: Supernet, task: Task) -> None:
    """Train an epoch the straightforward way, but for the gradients, which stay in the copies."""
    rng = np.random.default_rng(SEED)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    for part in torch.from_numpy(rng.permutation(len(task.train))).split(BATCH):
        if len(part) < BATCH:
            break
        images, labels = read(task, task.train, part, augment=True)
        drawn = [decode(supernet.space, row) for row in sample(supernet.space, DRAWN, rng)]
        teacher = None
        for architecture in [largest(supernet.space), *drawn]:
            network = taken_out(supernet, architecture).train()
            logits = network(images)
            nnf.cross_entropy(logits, labels if teacher is None else teacher).backward()
            teacher = logits.detach().softmax(dim=1) if teacher is None else teacher
        for parameter in supernet.parameters():
            parameter.grad = torch.zeros_like(parameter)
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), 5.0)
        optimizer.step()


def evaluation(supernet: Supernet, in_memory: Task, in_files: Task, count: int) -> None:
    """Print subnets/s and images/s of an evaluation, and how far the accuracies are apart."""
    space = supernet.space
    architectures = [decode(space, row) for row in sample(space, count, np.random.default_rng(SEED))]
    evaluator = SubnetEvaluator(supernet, in_memory)
    chosen = np.random.default_rng(0).permutation(len(in_files.train))[:512]
    results: dict[str, list[float]] = {}

    def run(way: str, top1: Callable[[Architecture], float]) -> float:
        return seconds(lambda: results.update({way: [top1(architecture) for architecture in architectures]}))

    own_s = run("own", evaluator.top1)
    copied_s = run("copies", lambda a: copied_top1(supernet, a, in_files, in_files.train.select(chosen)))
    images = count * (len(chosen) + len(in_files.validation))
    apart = np.abs(np.subtract(results["own"], results["copies"])).max()
    print(
        f"  evaluation: {count / own_s:.2f} subnets/s ({images / own_s:.0f} images/s), copies {count / copied_s:.2f} "
        f"({images / copied_s:.0f}), ratio {copied_s / own_s:.2f}; top-1 apart by {apart:.4f} at most"
    )


def copied_top1(supernet: Supernet, architecture: Architecture, task: Task, chosen: ImageSet) -> float:
    """Return the top-1 of a subnet the straightforward way."""
    network = taken_out(supernet, architecture)
    parts = torch.arange(len(chosen)).tensor_split(max(1, round(len(chosen) / EVALUATED_AT_ONCE)))
    with torch.no_grad():
        for norm in (part for part in network.modules() if isinstance(part, nn.BatchNorm2d)):
            norm.reset_running_stats()
            norm.momentum = None
        network.train()
        for part in parts:
            network(read(task, chosen, part)[0])
        network.eval()
        found = 0
        for images, labels in batches(task, task.validation):
            found += int((network(images).argmax(dim=1) == labels).sum())
    return found / len(task.validation)


def batches(task: Task, split: ImageSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all images of a split, read anew."""
    for part in torch.arange(len(split)).split(EVALUATED_AT_ONCE):
        yield read(task, split, part)


def read(task: Task, split: ImageSet, part: Tensor, *, augment: bool = False) -> tuple[Tensor, Tensor]:
    """Read images the way that torchvision's users do."""
    assert isinstance(split.images, ImageFiles)
    moves = [transforms.RandomHorizontalFlip(), transforms.RandomAffine(0, (0.06, 0.06), (0.94, 1.06))]
    size = split.images.size
    steps = [transforms.Resize(size), transforms.CenterCrop(size), *(moves if augment else []), transforms.ToTensor()]
    transform = transforms.Compose([*steps, transforms.Normalize(task.mean, task.std)])
    images = [transform(Image.open(path).convert("RGB")) for path in split.images.paths[part.numpy()]]
    return torch.stack(images), split.labels[part]


def taken_out(supernet: Supernet, architecture: Architecture) -> Network:
    """Return a subnet of a deep copy of the supernet."""
    return copy.deepcopy(supernet).extract(architecture).to(memory_format=torch.contiguous_format)


def seconds(work: Callable[[], object]) -> float:
    """Return what `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
