"""How long and by which recipe `adapt` and `pretrain` train. Imports nothing heavy."""

from __future__ import annotations

import dataclasses

from natdeploy.core.checked import check_fields
from natdeploy.core.ranges import NonNegative, Positive
from natdeploy.supernet.recipe import Recipe

__all__ = ["ADAPTATION", "DISTILLATION", "PRETRAINING", "Recipe", "TrainingSettings"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings:
    """How long and by which recipe a supernet is trained, how many of its subnets are tested, and the seed.

    Args:
        epochs: Total number of epochs.
        largest_only_epochs: How many of them, at the beginning, train the largest network alone; all if there are
            fewer epochs.
        recipe: Hyper-parameters of training.
        samples: Number of random subnets that are tested at the end, in addition to the largest and the smallest.
        seed: Seed of everything random.

    Raises:
        InputError: A number is out of range.
    """

    epochs: Positive
    largest_only_epochs: NonNegative = 0
    recipe: Recipe
    samples: NonNegative = 20
    seed: NonNegative = 0

    def __post_init__(self) -> None:
        check_fields(self)


ADAPTATION = TrainingSettings(epochs=20, recipe=Recipe(lr=0.1))
"""Default settings of `adapt`."""

PRETRAINING = TrainingSettings(
    epochs=60,
    largest_only_epochs=30,
    recipe=Recipe(batch_size=128, lr=0.2, weight_decay=5e-5, sandwich=True, ema_decay=0.998),
)
"""Default settings of `pretrain`."""

DISTILLATION = TrainingSettings(
    epochs=20,
    recipe=Recipe(
        batch_size=48,
        lr=0.02,
        lr_warmup_epochs=1,
        weight_decay=4e-5,
        label_smoothing=0.0,
        sandwich=True,
        ema_decay=0.998,
    ),
)
"""Default settings of `pretrain` from a pretrained network."""
