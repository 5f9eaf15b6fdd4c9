"""The options of a training recipe, one per hyper-parameter, which `search`, `adapt` and `pretrain` share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import click

from natdeploy.api import Recipe
from natdeploy.cli.options import Command

_HELP: Mapping[str, str] = {
    "batch_size": "Images of a training step.",
    "min_steps_per_epoch": "Least number of steps of an epoch.",
    "lr": "Peak learning rate.",
    "lr_warmup_epochs": "Epochs in which the learning rate rises to its peak.",
    "momentum": "Momentum.",
    "weight_decay": "Weight decay.",
    "label_smoothing": "Label smoothing.",
    "subnets": "Subnets drawn for each step.",
    "distillation": "Have subnets learn from the largest network, or from the labels alone.",
    "hard_label_weight": "Weight of the labels' loss beside that of distillation.",
    "cutmix": "Probability that the images of a batch are mixed.",
    "sandwich": "Always have the smallest network among the subnets of a step.",
    "clip_grad": "Largest norm of a step's gradient.",
    "ema_decay": "Decay, per step, of the moving average of the weights; 0 for none.",
}
NAMES = tuple(field.name for field in dataclasses.fields(Recipe))


def add_recipe_options(recipe: Recipe) -> Callable[[Command], Command]:
    """Return a decorator that adds an option per hyper-parameter. The values of `recipe` are the defaults."""
    return _make_decorator([_make_option(name, getattr(recipe, name)) for name in NAMES])


def add_preset_recipe_options(names: tuple[str, ...]) -> Callable[[Command], Command]:
    """Return a decorator that adds options that replace hyper-parameters of a preset."""
    return _make_decorator([_make_option(name, None) for name in names])


def read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe from the values of the options that `add_recipe_options` adds.

    Raises:
        InputError: A number is out of range.
    """
    return Recipe(**{name: values[name] for name in NAMES})


def _make_option(name: str, default: Any) -> Callable[[Command], Command]:  # noqa: ANN401
    kind, spelled = type(getattr(Recipe(), name)), name.replace("_", "-")
    text = _HELP[name] if default is not None else f"{_HELP[name]}  [default: the preset's]"
    if kind is bool:
        return click.option(f"--{spelled}/--no-{spelled}", default=default, help=text)
    return click.option(f"--{spelled}", type=kind, default=default, help=text)


def _make_decorator(options: list[Callable[[Command], Command]]) -> Callable[[Command], Command]:
    return lambda command: functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)
