"""Pretraining from a network that was pretrained elsewhere: it becomes the largest network, and teaches all subnets."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from natdeploy.api.training.plan import TrainingPlan
from natdeploy.core.architecture import largest
from natdeploy.errors import InputError
from natdeploy.io.datasets import load_pictures
from natdeploy.io.pretrained_networks import find_pretrained_network
from natdeploy.io.published_sets import IMAGENET
from natdeploy.io.supernet_weights import find_weights
from natdeploy.ports import Reporter
from natdeploy.supernet.checkpoints import count_classes, read_state
from natdeploy.supernet.choice_statistics import fill_statistics
from natdeploy.supernet.data import ImageSet, Task
from natdeploy.supernet.elastic import ElasticNetwork
from natdeploy.supernet.image_record import ImageRecord
from natdeploy.supernet.importance import order_channels
from natdeploy.supernet.pretrained import Layout, count_outputs, find_layout, load_pretrained
from natdeploy.supernet.supernet import Supernet

_IMAGENET_CLASSES = 1000
_IMPORTANCE_IMAGES = 512
_BATCH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Original:
    """The pretrained network of a run.

    Args:
        source: Its file, for messages.
        state: Its tensors.
        layout: Their layout.
    """

    source: str
    state: Mapping[str, Tensor]
    layout: Layout

    @classmethod
    def open(cls, plan: TrainingPlan, source: str, reporter: Reporter) -> Original:
        """Read the network of a run.

        Args:
            plan: Settings of the run.
            source: File of these settings, for messages.
            reporter: Receives the progress of a download.

        Raises:
            InputError: The file is missing, has changed since the run started, or is of no known layout; the space has
                several widths; or the run's weights are for other classes.
        """
        found = find_pretrained_network(plan.original, reporter)
        if found.sha256 != plan.original_sha256:
            msg = f"{found.path}: has changed since {source} was written"
            raise InputError(msg, hint="restore the original file, or start a new run")
        if len(plan.widths) > 1:
            msg = f"--from needs a space of one width; {plan.supernet} has {len(plan.widths)}"
            raise InputError(msg, hint="choose one with --width")
        state = read_state(found.path, reporter.info)
        original = cls(source=str(found.path), state=state, layout=find_layout(state, str(found.path)))
        if plan.weights:
            original._require_same_classes(plan)
        return original

    @functools.cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the network's classes; numbers if they are not those of ImageNet."""
        count = count_outputs(self.state, self.layout, self.source)
        if count != _IMAGENET_CLASSES:
            return tuple(map(str, range(count)))
        from torchvision.models import MobileNet_V2_Weights

        names: Sequence[str] = MobileNet_V2_Weights.DEFAULT.meta["categories"]
        # Two names of ImageNet belong to two classes each.
        return tuple(name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names))

    @property
    def dataset(self) -> str:
        """Name of the data set that the network was trained on; that of its file if it is not ImageNet."""
        return IMAGENET if len(self.classes) == _IMAGENET_CLASSES else Path(self.source).stem

    def load_pictures(
        self, plan: TrainingPlan, reporter: Reporter, recorded: Sequence[ImageRecord] | None = None
    ) -> Task:
        """Return the pictures of a run; the labels of those that are held out are what the network says of them.

        Args:
            plan: Settings of the run.
            reporter: Receives the number of pictures, and the reading of many.
            recorded: Pictures of a run that goes on.

        Raises:
            InputError: There are too few pictures, one cannot be read, or recorded ones have changed.
        """
        normalization = (self.layout.mean, self.layout.std)
        size = plan.resolutions[-1]
        task = load_pictures(
            Path(plan.data),
            size,
            classes=self.classes,
            normalization=normalization,
            reporter=reporter,
            recorded=recorded,
        )
        network = self.make_network(plan)
        top = largest(plan.space)
        with torch.inference_mode():
            parts = torch.arange(len(task.test)).split(_BATCH)
            answers = [network(images, top) for images, _ in task.iterate_batches(task.test, parts, size)]
        labelled = ImageSet(images=task.test.images, labels=torch.cat(answers).argmax(dim=1).clone())
        return dataclasses.replace(task, validation=labelled, test=labelled)

    def make_network(self, plan: TrainingPlan) -> ElasticNetwork:
        """Return an elastic network in evaluation mode whose largest network is this one.

        Raises:
            InputError: The largest network of the space is another one.
        """
        network = ElasticNetwork(plan.space, plan.widths[0], len(self.classes))
        load_pretrained(network, self.state, self.source)
        return network.eval().to(memory_format=torch.channels_last)

    def _require_same_classes(self, plan: TrainingPlan) -> None:
        for file in find_weights(plan.space, plan.weights).files:
            count = count_classes(file.path)
            if count != len(self.classes):
                msg = f"{file.path}: is for {count} classes, {self.source} for {len(self.classes)}"
                raise InputError(msg, hint="continue from weights that were distilled from this network")

    def fill(self, supernet: Supernet, task: Task, plan: TrainingPlan) -> None:
        """Give a supernet the weights of the network, with the channels of its blocks in the order of importance.

        Each choice gets BatchNorm statistics of its own.
        """
        engine = supernet.engine(plan.widths[0])
        load_pretrained(engine, self.state, self.source)
        top, count = largest(plan.space), min(_IMPORTANCE_IMAGES, len(task.train))
        generator = torch.Generator().manual_seed(plan.settings.seed)
        chosen = torch.randperm(len(task.train), generator=generator)[:count]
        batches = task.iterate_batches(task.train, chosen.split(_BATCH), top.resolution)
        prepared = [images for images, _ in batches]
        order_channels(engine, top, prepared)
        fill_statistics(engine.eval(), top, prepared)
