"""Elastic training: from random weights, and adaptation to the subnets that a search needs.

Sources: Cai et al., Once-for-All (ICLR 2020), section 3.3, trains the largest network first and distils it into the
others. Yu et al., BigNAS (ECCV 2020), do both in one step. Lu et al., NAT (TPAMI 2021), section 3.3, draw subnets from
the marginals of the archive.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.genotype import Population, decode, sample, sample_marginals
from natdeploy.errors import DivergedError, InputError
from natdeploy.files import atomic_path
from natdeploy.supernet.accelerator import autocast, get_device
from natdeploy.supernet.checkpoints import load_checkpoint
from natdeploy.supernet.data import Task, count_steps, iterate_train_batches
from natdeploy.supernet.distributed import ProcessGroup
from natdeploy.supernet.graphs import GraphedWork
from natdeploy.supernet.losses import EpochLosses, explain_divergence
from natdeploy.supernet.memory import translate_oom
from natdeploy.supernet.recipe import Recipe
from natdeploy.supernet.states import find_infinite, require_sound
from natdeploy.supernet.supernet import Supernet

# The class probabilities by the largest network of each width, and the sum of the losses.
Taught = tuple[dict[float, Tensor], Tensor]

# The exceptions that a checkpoint of something else raises.
_DAMAGES = (RuntimeError, LookupError, AttributeError, TypeError, ValueError)
# Share of the peak at which the warm-up of the learning rate begins.
_FIRST_RATE = 0.04


class ElasticTrainer:
    """Trains a supernet an epoch at a time.

    Everything random is drawn from the seed and the number of the epoch, so that training resumed from a checkpoint
    ends in the same weights. The trainer uses the device that the supernet is on, and mixed precision on a GPU.

    Args:
        supernet: Supernet, trained in place.
        task: Images.
        recipe: Hyper-parameters.
        total_epochs: Epochs of the whole run. The learning rate reaches zero at the end of the last.
        largest_only_epochs: How many of them, at the beginning, train the largest network alone.
        seed: Seed.
        group: The processes that train together.

    Raises:
        InputError: The processes cannot share a batch equally, or the images do not fill one.
    """

    keeps_statistics = False
    """Whether the BatchNorm statistics of each choice stay. Otherwise each batch is normalized by its own."""

    def __init__(
        self,
        supernet: Supernet,
        task: Task,
        recipe: Recipe,
        *,
        total_epochs: int,
        largest_only_epochs: int,
        seed: int,
        group: ProcessGroup | None = None,
    ) -> None:
        self._group = group or ProcessGroup()
        _require_shares(self._group.world_size, recipe.batch_size, len(task.train))
        self.supernet, self.task, self.recipe = supernet, task, recipe
        self.total_epochs, self.largest_only_epochs, self.seed = total_epochs, largest_only_epochs, seed
        self.done = 0
        if not self.keeps_statistics:
            supernet.drop_statistics()
        self._optimizer = torch.optim.SGD(
            self._make_parameter_groups(), lr=recipe.lr, momentum=recipe.momentum, nesterov=True
        )
        self._device = get_device(supernet)
        self._graphs = GraphedWork[Taught](supernet) if self._device.type == "cuda" else None
        self._average: list[Tensor] = []

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in each epoch."""
        return count_steps(len(self.task.train), self.recipe)

    def train_epoch(
        self, number: int, population: Population | None, *, on_step: Callable[[], object] = lambda: None
    ) -> float:
        """Train epoch `number` and return its mean loss.

        Subnets are drawn from the per-gene marginals of the `n x L` array `population`, or uniformly where it is None.
        `on_step` is called after each step. On a GPU a step may then not be finished there.

        Raises:
            InputError: Epoch `number` is not the next one.
            DivergedError: A loss is no finite number or above 10,000, or a weight is no finite number at the end.
        """
        if number != self.done:
            msg = f"epoch {number} cannot follow {self.done} trained epochs"
            raise InputError(msg)
        rng = np.random.default_rng([self.seed, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self.supernet.train(not self.keeps_statistics)
        losses = EpochLosses(number, self.recipe.lr)
        resolutions = self._list_resolutions(population)
        batches = iterate_train_batches(
            self.task, self.recipe, resolutions, generator, group=self._group, device=self._device
        )
        for step, (images, labels) in enumerate(batches):
            self._set_lr(number + step / self.steps_per_epoch)
            drawn = self._draw(population, rng)
            with _translate_oom(self.recipe.batch_size, images.shape[-1]):
                losses.add(self._step(images, labels, drawn))
            on_step()
        self._group.average_statistics(self.supernet)
        mean = losses.mean()
        self._require_finite_weights(number)
        self.done += 1
        self.supernet.eval()
        return self._group.average(mean)

    def save(self, path: Path) -> None:
        """Write supernet, optimizer and the number of epochs done, atomically.

        Raises:
            OutputError: The file cannot be written.
        """
        content = {
            "epochs": self.done,
            "supernet": self.supernet.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
        }
        # Through memory, so that a full disk is an OSError and not one of torch's own errors.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def restore(self, path: Path) -> None:
        """Continue from a file that `save` wrote.

        Raises:
            InputError: The file is damaged, belongs to another supernet, or training had diverged when it was written.
        """
        content: Any = load_checkpoint(path)
        try:
            averages = {f"average {place}": average for place, average in enumerate(content["average"])}
            require_sound({**content["supernet"], **averages}, str(path))
            self.supernet.load_state_dict(content["supernet"])
            self._optimizer.load_state_dict(content["optimizer"])
            self._average = [average.to(self._device) for average in content["average"]]
            self.done = int(content["epochs"])
        except InputError:
            raise
        except _DAMAGES as error:
            msg = f"{path}: not a checkpoint of this run: {(str(error) or type(error).__name__).splitlines()[0]}"
            raise InputError(msg) from error
        self.supernet.eval()

    def use_average(self) -> None:
        """Replace the weights by their moving average, if the recipe keeps one."""
        if self._average:
            with torch.no_grad():
                for own, average in zip(self.supernet.parameters(), self._average, strict=True):
                    own.copy_(average)

    def _require_finite_weights(self, epoch: int) -> None:
        averages = {f"the moving average {place}": average for place, average in enumerate(self._average)}
        broken = find_infinite({**self.supernet.state_dict(), **averages})
        if broken is not None:
            msg = f"training has diverged: epoch {epoch + 1} leaves values that are not finite numbers in {broken}"
            raise DivergedError(msg, hint=explain_divergence(self.recipe.lr))

    def _step(self, images: Tensor, labels: Tensor, architectures: list[Architecture]) -> Tensor:
        plain = self.done < self.largest_only_epochs
        taught = plain or self.recipe.distillation
        widths = tuple(sorted({architecture.width for architecture in architectures})) if taught else ()
        trained = [] if plain else architectures
        # Only these subnets are the same in every step.
        fixed = tuple(trained[:1]) if self.recipe.sandwich else ()
        teachers, total = self._train_fixed(images, labels, widths, fixed)
        for architecture in trained[len(fixed) :]:
            total = total + self._train_subnet(images, labels, architecture, teachers)
        self._update_weights()
        return total / (len(widths) + len(trained))

    def _update_weights(self) -> None:
        self._group.average_gradients(self.supernet)
        torch.nn.utils.clip_grad_norm_(self.supernet.parameters(), self.recipe.clip_grad)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self.recipe.ema_decay:
            self._update_average()

    def _train_fixed(
        self, images: Tensor, labels: Tensor, widths: tuple[float, ...], subnets: tuple[Architecture, ...]
    ) -> Taught:
        """Train the largest network of each width and the subnets that every step has; on a GPU as one CUDA graph."""
        work = functools.partial(self._teach, widths, subnets)
        if self._graphs is None or not widths + subnets:
            return work(images, labels)
        return self._graphs((widths, subnets), work, images, labels)

    def _teach(
        self, widths: tuple[float, ...], subnets: tuple[Architecture, ...], images: Tensor, labels: Tensor
    ) -> Taught:
        teachers: dict[float, Tensor] = {}
        total = images.new_zeros(())
        for width in widths:
            logits = self._compute_logits(images, dataclasses.replace(largest(self.supernet.space), width=width))
            loss = self._compute_loss(logits, labels, None)
            loss.backward()
            teachers[width] = logits.detach().softmax(dim=1)
            total = total + loss.detach()
        for architecture in subnets:
            total = total + self._train_subnet(images, labels, architecture, teachers)
        return teachers, total

    def _train_subnet(
        self, images: Tensor, labels: Tensor, architecture: Architecture, teachers: dict[float, Tensor]
    ) -> Tensor:
        loss = self._compute_loss(self._compute_logits(images, architecture), labels, teachers.get(architecture.width))
        loss.backward()
        return loss.detach()

    def _update_average(self) -> None:
        weights = [weight.detach() for weight in self.supernet.parameters()]
        if self._average:
            get_ema_multi_avg_fn(self.recipe.ema_decay)(self._average, weights, 0)
        else:
            self._average = [weight.clone() for weight in weights]

    def _compute_loss(self, logits: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
        weight = 1.0 if teacher is None else self.recipe.hard_label_weight
        loss = logits.new_zeros(()) if teacher is None else nnf.cross_entropy(logits, teacher)
        if weight:
            loss = loss + weight * nnf.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        return loss

    def _compute_logits(self, images: Tensor, architecture: Architecture) -> Tensor:
        with autocast(self._device):
            logits: Tensor = self.supernet(images, architecture)
        return logits.float()

    def _draw(self, population: Population | None, rng: np.random.Generator) -> list[Architecture]:
        space, count = self.supernet.space, self.recipe.subnets
        rows = sample(space, count, rng) if population is None else sample_marginals(space, population, count, rng)
        drawn = [decode(space, row) for row in rows]
        if self.recipe.sandwich:
            drawn[0] = dataclasses.replace(smallest(space), width=drawn[0].width)
        return drawn

    def _list_resolutions(self, population: Population | None) -> list[int]:
        resolutions = self.supernet.space.resolutions
        return list(resolutions) if population is None else [resolutions[index] for index in population[:, 0]]

    def _set_lr(self, epochs: float) -> None:
        rising = self.recipe.lr_warmup_epochs
        if epochs < rising:
            share = _FIRST_RATE + (1 - _FIRST_RATE) * epochs / rising
        else:
            progress = (epochs - rising) / max(1, self.total_epochs - rising)
            share = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        rate = self.recipe.lr * share
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _make_parameter_groups(self) -> list[dict[str, object]]:
        matrices = [parameter for parameter in self.supernet.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in self.supernet.parameters() if parameter.ndim <= 1]
        return [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]


def _require_shares(world_size: int, batch_size: int, images: int) -> None:
    if world_size > 1 and (batch_size % world_size or batch_size < 2 * world_size or images < batch_size):
        msg = (
            f"{world_size} processes cannot share batches of {batch_size} of {images} images equally, "
            "two images each at least"
        )
        raise InputError(msg, hint=f"choose a --batch-size that is a multiple of {world_size}, of at most {images}")


def _translate_oom(batch_size: int, resolution: int) -> contextlib.AbstractContextManager[None]:
    tried = f"--batch-size {batch_size // 2}" if batch_size >= 4 else "lower --resolutions"
    return translate_oom(f"in a training step of {batch_size} images of {resolution} pixels", hint=f"try {tried}")
