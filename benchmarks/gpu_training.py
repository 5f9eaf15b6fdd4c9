"""Prints how fast training and evaluation are on a GPU, compared with the largest network as a plain one.

Images are noise in memory. All train with the same batches, in bfloat16 and channels last. A step of elastic training
trains the largest network, the smallest and a random one. Without CUDA graphs the CPU launches every kernel.

Run on a machine with a GPU: python benchmarks/gpu_training.py [SUPERNET ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as nnf

from natdeploy.core.architecture import largest
from natdeploy.core.genotype import decode, sample
from natdeploy.io.spaces import find_space
from natdeploy.supernet.accelerator import autocast, choose_device
from natdeploy.supernet.data import ImageSet, Task, iterate_train_batches
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer

# Supernet, resolution, images of a batch, train images.
CASES = (("starter", 48, 128, 3_200), ("ofa-mbv3-w1.0", 224, 128, 2_560))
CLASSES, EVALUATED, REPEATS, SEED = 10, 20, 3, 0


def main() -> None:
    """Print all figures."""
    if not torch.cuda.is_available():
        sys.exit("torch finds no GPU")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for name, resolution, batch, images in CASES:
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        space = find_space(name).with_resolutions((resolution,))
        task = made_task(images, resolution)
        print(f"{name}, r = {resolution}, batches of {batch}, images/s:")
        plain = rate(static_epoch(Supernet(space, CLASSES), task, batch), images, "the largest network, plain")
        recipe = Recipe(batch_size=batch, sandwich=True, ema_decay=0.998)
        for what, largest_only_epochs in (("the largest network in the supernet", 99), ("elastic steps", 0)):
            for graphs in (False, True):
                told = f"{what}, {'with' if graphs else 'without'} CUDA graphs"
                rate(
                    elastic_epoch(Supernet(space, CLASSES), task, recipe, largest_only_epochs, graphs=graphs),
                    images,
                    told,
                    plain,
                )
        evaluation(Supernet(space, CLASSES), task)


def made_task(count: int, resolution: int) -> Task:
    """Return a task of noise."""
    rng = np.random.default_rng(SEED)
    pixels = torch.from_numpy(rng.integers(0, 256, (count, 3, resolution, resolution), dtype=np.uint8))
    whole = ImageSet(images=pixels, labels=torch.arange(count) % CLASSES)
    part = whole.select(torch.arange(min(count, 2_560)))
    names = tuple(str(number) for number in range(CLASSES))
    return Task(
        name="noise",
        classes=names,
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
        flip=True,
        train=whole,
        validation=part,
        test=part,
    )


def rate(epoch: Callable[[], object], images: int, what: str, plain: float | None = None) -> float:
    """Print and return images/s, the median of several epochs after one that is not counted."""
    seconds = []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        epoch()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    found = images / float(np.median(seconds[1:]))
    beside = f", {found / plain:.2f} times" if plain else ""
    print(f"  {what:55s} {found:9.0f}{beside}   (first epoch {seconds[0]:.1f} s)", flush=True)
    return found


def static_epoch(supernet: Supernet, task: Task, batch: int) -> Callable[[], object]:
    """Return an epoch of the largest network, extracted: all that a step of the trainer does, but elasticity."""
    device, recipe = choose_device(), Recipe(batch_size=batch)
    network = supernet.extract(largest(supernet.space)).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    generator = torch.Generator().manual_seed(SEED)

    def epoch() -> None:
        resolutions = [supernet.space.resolutions[0]]
        for images, labels in iterate_train_batches(task, recipe, resolutions, generator, device=device):
            with autocast(device):
                logits = network(images)
            nnf.cross_entropy(logits.float(), labels, label_smoothing=0.1).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return epoch


def elastic_epoch(
    supernet: Supernet, task: Task, recipe: Recipe, largest_only_epochs: int, *, graphs: bool
) -> Callable[[], object]:
    """Return an epoch of the trainer."""
    trainer = ElasticTrainer(
        supernet.to(choose_device()), task, recipe, total_epochs=99, largest_only_epochs=largest_only_epochs, seed=SEED
    )
    if not graphs:
        trainer._graphs = None  # the trainer has no such option, since nobody would want it

    def epoch() -> float:
        return trainer.train_epoch(trainer.done, None)

    return epoch


def evaluation(supernet: Supernet, task: Task) -> None:
    """Print how many subnets are evaluated in a second."""
    evaluator = SubnetEvaluator(supernet.to(choose_device()).eval(), task, recalibration_images=512)
    rows = sample(supernet.space, 1 + EVALUATED, np.random.default_rng(SEED))
    evaluator.top1(decode(supernet.space, rows[0]))
    began = time.perf_counter()
    for row in rows[1:]:
        evaluator.top1(decode(supernet.space, row))
    seconds = time.perf_counter() - began
    print(f"  evaluation on {len(task.validation)} images: {EVALUATED / seconds:.1f} subnets/s")


if __name__ == "__main__":
    main()
