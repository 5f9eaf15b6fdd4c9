"""Presets: how much effort a search makes, and in which of the published ways."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from natdeploy.errors import InputError, require_known
from natdeploy.search.settings import DEFAULT_PREDICTOR, PREDICTORS, STARTS, Operators

_SHARES = {"weight_decay", "label_smoothing", "cutmix"}
_LEAST = {
    "initial": 6,
    "batch_size": 2,
    **dict.fromkeys(("candidates", "ensemble_size", "population", "generations", "adaptation_parents"), 1),
    **dict.fromkeys(("adapt_epochs", "subnets", "recalibration_images"), 1),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Effort of a search.

    Args:
        warmup_epochs: Epochs before the first archive, from pretrained weights.
        scratch_epochs: Epochs before the first archive, from random weights.
        largest_only_epochs: How many of these train the largest network alone.
        adapt_epochs: Epochs of adaptation in each iteration.
        initial: Architectures of the first archive.
        iterations: Iterations.
        candidates: Architectures that an iteration adds.
        archive: Architectures that are kept, at most; 0 to keep all.
        predictor: Name of the accuracy predictor.
        predictor_train_size: Architectures of the archive, at most, that it is fitted to; 0 for all.
        ensemble_size: Members of the RBF ensemble.
        population: Architectures in a population of the evolution.
        generations: Generations of the evolution.
        start: What its first population is: the best of the `archive`, or a `latin` hypercube.
        local_searches: Local searches near each latency limit after it.
        algorithm: Its survival: `nsga3`, `nsga2`, or `auto`, by the number of objectives.
        crossover: Its crossover, `uniform` or `two-point`.
        crossover_rate: Share of the children that have two parents.
        mutation: Its mutation, `polynomial` or `uniform`.
        mutation_rate: Probability of each gene to change; 0 for one gene of each child on average.
        adaptation_parents: Architectures, at most, that the supernet is adapted to.
        batch_size: Images in a training step.
        min_steps_per_epoch: Steps of an epoch, at least: a small data set is gone through several times.
        lr: Peak learning rate.
        lr_warmup_epochs: Epochs in which the learning rate rises to it.
        weight_decay: Decay of the weights.
        label_smoothing: Smoothing of the labels.
        subnets: Subnets drawn for each training step.
        distillation: Whether these learn from the largest network, which each step trains too; else from the labels.
        hard_label_weight: Weight of the labels' loss beside the largest network's, for subnets that learn from it.
        cutmix: Probability that the images of a batch are mixed, and their labels by the area.
        sandwich: Whether one of the subnets of each step is always the smallest.
        recalibration_images: Train images for BatchNorm statistics of a subnet.

    Raises:
        InputError: A name is unknown, or a number out of range.
    """

    warmup_epochs: int
    scratch_epochs: int
    largest_only_epochs: int
    adapt_epochs: int
    initial: int
    iterations: int
    candidates: int
    archive: int = 0
    predictor: str = DEFAULT_PREDICTOR
    predictor_train_size: int = 0
    ensemble_size: int
    population: int
    generations: int
    start: str = "archive"
    local_searches: int = 3
    algorithm: str = "nsga3"
    crossover: str = "uniform"
    crossover_rate: float = 0.9
    mutation: str = "polynomial"
    mutation_rate: float = 0.1
    adaptation_parents: int
    batch_size: int
    min_steps_per_epoch: int = 0
    lr: float
    lr_warmup_epochs: int = 0
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    subnets: int
    distillation: bool = True
    hard_label_weight: float = 0.0
    cutmix: float = 0.0
    sandwich: bool = False
    recalibration_images: int

    def __post_init__(self) -> None:
        require_known("predictor", self.predictor, PREDICTORS)
        require_known("start", self.start, STARTS)
        _ = self.operators
        for field in dataclasses.fields(self):
            value, low = getattr(self, field.name), _LEAST.get(field.name, 0)
            if isinstance(value, str | bool):
                continue
            if value < low or (field.name == "lr" and value <= 0):
                msg = f"{field.name.replace('_', '-')} is {value}: it must be {low} at least"
                raise InputError(msg)
            if field.name in _SHARES and value > 1:
                msg = f"{field.name.replace('_', '-')} is {value}: it must be 1 at most"
                raise InputError(msg)

    @property
    def operators(self) -> Operators:
        """Operators of the evolution."""
        names = [field.name for field in dataclasses.fields(Operators)]
        return Operators(**{name: getattr(self, name) for name in names})


# `paper` and `released` hold the two published generations of settings; docs/reference/presets.md names differences.
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "quick": Preset(
            warmup_epochs=8,
            scratch_epochs=32,
            largest_only_epochs=8,
            adapt_epochs=10,
            initial=30,
            iterations=3,
            candidates=10,
            ensemble_size=100,
            population=60,
            generations=40,
            adaptation_parents=20,
            batch_size=32,
            min_steps_per_epoch=20,
            lr=0.05,
            subnets=1,
            distillation=False,
            recalibration_images=512,
        ),
        "paper": Preset(
            warmup_epochs=5,
            scratch_epochs=150,
            largest_only_epochs=50,
            adapt_epochs=5,
            initial=100,
            iterations=30,
            candidates=100,
            archive=300,
            predictor="rbf",
            predictor_train_size=100,
            ensemble_size=500,
            population=100,
            generations=100,
            local_searches=0,
            adaptation_parents=300,
            batch_size=96,
            lr=0.01,
            weight_decay=4e-5,
            label_smoothing=0.0,
            subnets=1,
            distillation=False,
            recalibration_images=2000,
        ),
        "released": Preset(
            warmup_epochs=5,
            scratch_epochs=150,
            largest_only_epochs=50,
            adapt_epochs=5,
            initial=100,
            iterations=30,
            candidates=8,
            predictor="trees",
            ensemble_size=500,
            population=100,
            generations=20,
            start="latin",
            local_searches=0,
            algorithm="auto",
            crossover="two-point",
            mutation_rate=0.0,
            adaptation_parents=150,
            batch_size=96,
            lr=2.5e-3,
            lr_warmup_epochs=5,
            weight_decay=3e-4,
            label_smoothing=0.0,
            subnets=4,
            hard_label_weight=1.0,
            cutmix=0.5,
            recalibration_images=960,
        ),
        "best": Preset(
            warmup_epochs=20,
            scratch_epochs=150,
            largest_only_epochs=50,
            adapt_epochs=5,
            initial=100,
            iterations=30,
            candidates=16,
            ensemble_size=500,
            population=100,
            generations=100,
            adaptation_parents=150,
            batch_size=64,
            min_steps_per_epoch=20,
            lr=0.05,
            lr_warmup_epochs=2,
            subnets=2,
            recalibration_images=1024,
        ),
    }
)


def find_preset(name: str, overrides: Mapping[str, Any]) -> Preset:
    """Return the preset called `name`, with some of its values replaced.

    Raises:
        InputError: The name is unknown (the hint names the nearest), or a value is out of range.
    """
    require_known("preset", name, PRESETS)
    # Whoever names the epochs of the warm-up means them, whatever the weights are.
    scratch = {"scratch_epochs": overrides["warmup_epochs"]} if "warmup_epochs" in overrides else {}
    return dataclasses.replace(PRESETS[name], **scratch, **overrides)
