"""Presets: named settings of a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from natdeploy.api.default_supernet import SMALL_SIDE
from natdeploy.core.checked import check_fields, checked
from natdeploy.core.ranges import NonNegative, Positive
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError, require_known
from natdeploy.search.settings import EvolutionSettings, SearchSettings
from natdeploy.supernet.recipe import Recipe

__all__ = ["PRESETS", "EvolutionSettings", "Preset", "SearchSettings", "find_preset"]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Settings of a search: how thorough it is, and how it trains.

    Args:
        name: Name of the preset, whether values of it were replaced or not.
        warmup_epochs: Epochs before the first archive, from pretrained weights.
        scratch_epochs: Epochs before the first archive, from random weights.
        largest_only_epochs: How many of the epochs from random weights train the largest network alone.
        adapt_epochs: Epochs of adaptation in each iteration.
        recalibration_images: Train images that the BatchNorm statistics of a subnet are taken from.
        recipe: Hyper-parameters of training.
        search: Settings of the search itself.

    Raises:
        InputError: A number is out of range, or the recipe keeps a moving average of the weights.
    """

    name: str
    warmup_epochs: NonNegative
    scratch_epochs: NonNegative
    largest_only_epochs: NonNegative
    adapt_epochs: Positive
    recalibration_images: Positive
    recipe: Recipe
    search: SearchSettings

    def __post_init__(self) -> None:
        check_fields(self)
        if self.recipe.ema_decay:
            msg = (
                f"ema-decay is {self.recipe.ema_decay}: a search evaluates the weights that it trains, so it must be 0"
            )
            raise InputError(msg)


# `paper` and `released` hold the two published generations of settings; docs/reference/presets.md names differences.
PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(
                name="quick",
                warmup_epochs=8,
                scratch_epochs=32,
                largest_only_epochs=8,
                adapt_epochs=10,
                recalibration_images=512,
                recipe=Recipe(
                    batch_size=32,
                    min_steps_per_epoch=20,
                    lr=0.05,
                    subnets=1,
                    distillation=False,
                ),
                search=SearchSettings(
                    initial=30,
                    iterations=3,
                    candidates=10,
                    ensemble_size=100,
                    evolution=EvolutionSettings(population=60, generations=40),
                    adaptation_parents=20,
                ),
            ),
            # Laid out for 1,000 photographs within an hour on two cores; docs/reference/presets.md has the calculation.
            Preset(
                name="photos",
                warmup_epochs=20,
                scratch_epochs=150,
                largest_only_epochs=50,
                adapt_epochs=8,
                recalibration_images=512,
                recipe=Recipe(
                    batch_size=32,
                    min_steps_per_epoch=20,
                    lr=0.02,
                    lr_warmup_epochs=1,
                    subnets=1,
                    distillation=False,
                ),
                search=SearchSettings(
                    initial=30,
                    iterations=3,
                    candidates=10,
                    ensemble_size=100,
                    evolution=EvolutionSettings(population=60, generations=40),
                    adaptation_parents=20,
                ),
            ),
            Preset(
                name="paper",
                warmup_epochs=5,
                scratch_epochs=150,
                largest_only_epochs=50,
                adapt_epochs=5,
                recalibration_images=2000,
                recipe=Recipe(
                    batch_size=96,
                    lr=0.01,
                    weight_decay=4e-5,
                    label_smoothing=0.0,
                    subnets=1,
                    distillation=False,
                ),
                search=SearchSettings(
                    initial=100,
                    iterations=30,
                    candidates=100,
                    archive=300,
                    predictor="rbf",
                    predictor_train_size=100,
                    ensemble_size=500,
                    evolution=EvolutionSettings(population=100, generations=100),
                    local_searches=0,
                    adaptation_parents=300,
                ),
            ),
            Preset(
                name="released",
                warmup_epochs=5,
                scratch_epochs=150,
                largest_only_epochs=50,
                adapt_epochs=5,
                recalibration_images=960,
                recipe=Recipe(
                    batch_size=96,
                    lr=2.5e-3,
                    lr_warmup_epochs=5,
                    weight_decay=3e-4,
                    label_smoothing=0.0,
                    subnets=4,
                    hard_label_weight=1.0,
                    cutmix=0.5,
                ),
                search=SearchSettings(
                    initial=100,
                    iterations=30,
                    candidates=8,
                    predictor="trees",
                    ensemble_size=500,
                    evolution=EvolutionSettings(
                        population=100, generations=20, algorithm="auto", crossover="two-point", mutation_rate=0.0
                    ),
                    start="latin",
                    local_searches=0,
                    adaptation_parents=150,
                ),
            ),
            Preset(
                name="best",
                warmup_epochs=20,
                scratch_epochs=150,
                largest_only_epochs=50,
                adapt_epochs=5,
                recalibration_images=1024,
                recipe=Recipe(
                    batch_size=64,
                    min_steps_per_epoch=20,
                    lr=0.05,
                    lr_warmup_epochs=2,
                    subnets=2,
                ),
                search=SearchSettings(
                    initial=100,
                    iterations=30,
                    candidates=16,
                    ensemble_size=500,
                    evolution=EvolutionSettings(population=100, generations=100),
                    adaptation_parents=150,
                ),
            ),
        )
    }
)


def choose_preset(space: SearchSpace) -> str:
    """Return the name of the preset of a search that names none: what training costs depends on the input sizes."""
    return "quick" if space.resolutions[-1] <= SMALL_SIDE else "photos"


@checked
def find_preset(preset: str | Preset, changes: Mapping[str, Any] = MappingProxyType({})) -> Preset:
    """Return a preset with some values replaced by their own names, at any depth.

    Args:
        preset: Name of a preset, or a preset.
        changes: The new values.

    Raises:
        InputError: A name is unknown (the hint names the nearest), or a value is out of range.
    """
    if isinstance(preset, str):
        require_known("preset", preset, PRESETS)
        preset = PRESETS[preset]
    for changed in changes:
        require_known("value of a preset", changed, _list_value_names(preset))
    # A user who gives the epochs of the warm-up means them, whatever the weights are.
    scratch = {"scratch_epochs": changes["warmup_epochs"]} if "warmup_epochs" in changes else {}
    return _replace_values(preset, {**scratch, **changes})


def _list_value_names(settings: Any) -> Iterator[str]:  # noqa: ANN401
    for field in dataclasses.fields(settings):
        inner = getattr(settings, field.name)
        if dataclasses.is_dataclass(inner):
            yield from _list_value_names(inner)
        elif field.name != "name":
            yield field.name


def _replace_values(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    inner = {
        name: _replace_values(value, changes)
        for name, value in values.items()
        if dataclasses.is_dataclass(value) and not isinstance(value, type)
    }
    own = {name: changes[name] for name in values if name in changes}
    return dataclasses.replace(settings, **inner, **own)
