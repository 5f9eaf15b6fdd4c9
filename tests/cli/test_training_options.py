"""The options of a training recipe: one for each hyper-parameter, shared by three commands."""

import dataclasses

import click
import pytest

from natdeploy import api
from natdeploy.cli import training_options
from natdeploy.cli.group import cli

FIELDS = [field.name for field in dataclasses.fields(api.Recipe)]


def options(command: str) -> dict[str, click.Option]:
    """Return the options of a command, by the name of their values."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    return {option.name or "": option for option in found.params if isinstance(option, click.Option)}


@pytest.mark.parametrize("command", ["search", "adapt", "pretrain"])
@pytest.mark.parametrize("name", FIELDS)
def test_every_hyper_parameter_has_an_option(command: str, name: str) -> None:
    """A field of the recipe is an option of its name wherever it has a meaning, and of its type."""
    found = options(command)
    if (command, name) == ("search", "ema_decay"):
        assert name not in found
        return
    option, value = found[name], getattr(api.Recipe(), name)
    spelled = name.replace("_", "-")
    assert option.opts == [f"--{spelled}"]
    assert option.secondary_opts == ([f"--no-{spelled}"] if isinstance(value, bool) else [])
    assert isinstance(option.type.convert("1", option, None), type(value))
    assert option.help


@pytest.mark.parametrize(("command", "settings"), [("adapt", api.ADAPTATION), ("pretrain", api.PRETRAINING)])
def test_the_defaults_of_the_options_are_those_of_the_library(command: str, settings: api.TrainingSettings) -> None:
    """A command without options trains as the function of the library does without arguments."""
    defaults = {name: option.default for name, option in options(command).items()}
    assert training_options.read_recipe(defaults) == settings.recipe
    assert (defaults["epochs"], defaults["samples"]) == (settings.epochs, settings.samples)
