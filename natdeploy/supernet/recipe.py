"""The hyper-parameters of elastic training. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from natdeploy.core.checked import check_fields
from natdeploy.core.ranges import Decay, NonNegative, Positive, Range, Share, Weight


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a supernet is trained.

    A new hyper-parameter is a field here and a line in `natdeploy.cli.training_options`.

    Args:
        batch_size: Images of a step, of all processes together.
        min_steps_per_epoch: Least number of steps of an epoch. A small data set is gone through several times.
        lr: Peak learning rate. Half a cosine leads from it to zero at the end of the run.
        lr_warmup_epochs: First epochs of the run, in which the learning rate rises to its peak.
        momentum: Nesterov momentum.
        weight_decay: Decay of all weights but biases and those of BatchNorm.
        label_smoothing: Smoothing of the labels.
        subnets: Subnets drawn for each step.
        distillation: Whether the subnets learn from the largest network, which each step trains too. Otherwise they
            learn from the labels alone.
        hard_label_weight: Weight of the labels' loss beside that of distillation.
        cutmix: Probability that the images of a batch are mixed, and their labels by the area.
        sandwich: Whether the smallest network is always one of the subnets.
        clip_grad: Largest norm of a step's gradient.
        ema_decay: Decay, per step, of the moving average of the weights. 0 for no average.

    Raises:
        InputError: A number is out of range.
    """

    batch_size: Annotated[int, Range(low=2)] = 32
    min_steps_per_epoch: NonNegative = 0
    lr: Annotated[float, Range(open_low=True)] = 0.05
    lr_warmup_epochs: NonNegative = 0
    momentum: Decay = 0.9
    weight_decay: Decay = 1e-4
    label_smoothing: Decay = 0.1
    subnets: Positive = 2
    distillation: bool = True
    hard_label_weight: Weight = 0.0
    cutmix: Share = 0.0
    sandwich: bool = False
    clip_grad: Annotated[float, Range(open_low=True)] = 5.0
    ema_decay: Decay = 0.0

    def __post_init__(self) -> None:
        check_fields(self)
