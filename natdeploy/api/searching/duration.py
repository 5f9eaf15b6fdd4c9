"""Tells before a search how long it will take: a few steps of its work are timed, and multiplied by its counts."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
import torch.nn.functional as nnf

from natdeploy.api.searching.plan import SearchPlan
from natdeploy.core.architecture import Architecture, largest
from natdeploy.core.cost import madds_array
from natdeploy.core.genotype import decode, sample
from natdeploy.core.space import SearchSpace
from natdeploy.ports import Clock
from natdeploy.search.settings import SearchSettings
from natdeploy.supernet.accelerator import autocast, get_device
from natdeploy.supernet.data import Task, count_steps
from natdeploy.supernet.memory import translate_oom
from natdeploy.supernet.supernet import Supernet

_SAMPLE = 2000
_EVALUATED = 64


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """Seconds that parts of a search take.

    Args:
        subnet_s: Forward and backward of a batch through a subnet of average cost.
        largest_s: The same through the largest network at the median resolution.
        image_s: Forward of an image through the subnet of average cost.
    """

    subnet_s: float
    largest_s: float
    image_s: float


def count_evaluations(settings: SearchSettings) -> int:
    """Return the number of evaluations of a search: in each iteration the candidates, then the whole archive."""
    limit = settings.archive or np.inf
    archives = [
        min(limit, settings.initial + number * settings.candidates) for number in range(settings.iterations + 1)
    ]
    return int(sum(archives)) + settings.iterations * settings.candidates


def estimate_duration_s(plan: SearchPlan, task: Task, pace: Pace) -> tuple[float, float]:
    """Return the estimated seconds of training and of evaluations.

    Args:
        plan: Plan of the search.
        task: Its images.
        pace: How fast the machine is.
    """
    recipe = plan.preset.recipe
    # A step trains the largest network of each width that was drawn.
    alone_s = pace.largest_s * min(len(plan.widths), recipe.subnets)
    step_s = recipe.subnets * pace.subnet_s + recipe.distillation * alone_s
    alone = plan.largest_only_epochs
    steps = count_steps(len(task.train), recipe)
    training_s = steps * (alone * alone_s + (plan.total_epochs - alone) * step_s)
    images = min(plan.preset.recalibration_images, len(task.train)) + len(task.validation)
    return training_s, count_evaluations(plan.preset.search) * images * pace.image_s


def measure_pace(plan: SearchPlan, supernet: Supernet, task: Task, clock: Clock) -> Pace:
    """Time a training step of the largest network and of an average subnet, and a forward pass.

    Args:
        plan: Plan of the search.
        supernet: Its supernet. A copy is trained, so it stays as it is.
        task: Images.
        clock: Clock.

    Raises:
        MemoryShortageError: A step needs more memory than is available.
    """
    space, batch = plan.space, min(plan.preset.recipe.batch_size, len(task.train))
    average = find_average_subnet(space)
    top = dataclasses.replace(largest(space), resolution=space.resolutions[len(space.resolutions) // 2])
    trial = copy.deepcopy(supernet).train()
    subnet_s = _time_step(trial, task, average, batch, clock)
    largest_s = _time_step(trial, task, top, batch, clock)
    return Pace(subnet_s=subnet_s, largest_s=largest_s, image_s=_time_image(trial, task, average, clock))


def find_average_subnet(space: SearchSpace) -> Architecture:
    """Return the architecture of a random sample whose multiply-adds are nearest to the mean."""
    rows = sample(space, _SAMPLE, np.random.default_rng(0))
    madds = madds_array(space, 1)(rows)
    return decode(space, rows[np.argmin(np.abs(madds - madds.mean()))])


def format_duration(training_s: float, evaluations_s: float) -> str:
    """Return the estimate as a sentence. It is rough: the machine changes its speed, and small work is not counted."""
    total_s = training_s + evaluations_s
    if total_s < 60:
        return "this search takes less than a minute"
    share = 100 * training_s / total_s
    return (
        f"this search takes about {_format_minutes(total_s)}: {share:.0f} % of it trains, the rest evaluates; fewer "
        "--warmup-epochs, --adapt-epochs, --initial or --resolutions take less"
    )


def _format_minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _time_step(supernet: Supernet, task: Task, architecture: Architecture, batch: int, clock: Clock) -> float:
    device, size = get_device(supernet), architecture.resolution
    tried = f"--batch-size {batch // 2}" if batch >= 4 else "lower --resolutions"
    with translate_oom(f"in a training step of {batch} images of {size} pixels", hint=f"try {tried}"):
        images, labels = next(task.iterate_batches(task.train, [torch.arange(batch)], size, device))
        seconds = []
        # The first step allocates memory and chooses algorithms.
        for _ in range(2):
            began_s = clock.seconds()
            with autocast(device):
                logits = supernet(images, architecture)
            nnf.cross_entropy(logits.float(), labels).backward()
            _wait_for(device)
            seconds.append(clock.seconds() - began_s)
    return min(seconds)


def _time_image(supernet: Supernet, task: Task, architecture: Architecture, clock: Clock) -> float:
    device, count = get_device(supernet), min(_EVALUATED, len(task.validation))
    network = supernet.extract(architecture).eval().to(memory_format=torch.channels_last)
    images, _ = next(task.iterate_batches(task.validation, [torch.arange(count)], architecture.resolution, device))
    with torch.inference_mode(), autocast(device):
        network(images[:1])
        began_s = clock.seconds()
        network(images)
        _wait_for(device)
    return (clock.seconds() - began_s) / count


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
