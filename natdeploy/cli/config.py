"""Defaults of options from natdeploy.toml in the current directory: one table per command, one key per option."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from natdeploy.documents import read_toml
from natdeploy.errors import InputError

FILE = Path("natdeploy.toml")


def default_map(commands: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the defaults in natdeploy.toml, by command and parameter; empty if there is no such file.

    Raises:
        InputError: The file is not valid TOML, or a top-level key is not a table of one of `commands`.
    """
    if not os.path.lexists(FILE):
        return {}
    content = read_toml(FILE)
    for name, table in content.items():
        if name not in commands:
            msg = f"{FILE}: {name!r} is not a command (known: {', '.join(commands)})"
            raise InputError(msg)
        if not isinstance(table, dict):
            msg = f"{FILE}: {name!r} is not in a table; move it under [search], [profile] or another command"
            raise InputError(msg)
    return {name: {key.replace("-", "_"): value for key, value in table.items()} for name, table in content.items()}


def option_defaults(command: click.Command, name: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of one command's options, as text: it is read as on the command line.

    A repeatable option gets a list, also of one value.

    Raises:
        InputError: The command has no such option, or a value is of another kind. The message names the key.
    """
    known = {str(parameter.name): parameter for parameter in command.params}
    defaults: dict[str, Any] = {}
    for key, value in keys.items():
        place = f"{FILE}: [{name}]"
        if key not in known:
            msg = f"{place} has no option {key.replace('_', '-')!r}"
            raise InputError(msg)
        place = f"{place} {key.replace('_', '-')}"
        if getattr(known[key], "multiple", False):
            defaults[key] = [_to_text(part, place) for part in (value if isinstance(value, list) else [value])]
        else:
            defaults[key] = _to_text(value, place)
    return defaults


def explain_usage_error(error: click.ClickException) -> str:
    """Return the message of an error of click on one line, with natdeploy.toml if the value is from there."""
    message = " ".join(error.format_message().split("\n"))
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return message
    from_file = error.ctx.get_parameter_source(str(error.param.name)) is ParameterSource.DEFAULT_MAP
    return f"{FILE}: {message}" if from_file else message


def _to_text(value: object, place: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    kind = "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a date or time"
    msg = f"{place} is {kind}, not text, a number, true or false"
    raise InputError(msg)
