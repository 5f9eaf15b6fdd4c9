"""Defaults of options from natdeploy.toml in the current directory: one table per command, one key per option."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click

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
    """Return the defaults of one command's options. A string for a repeatable option becomes a list.

    Raises:
        InputError: The command has no such option. The message names the key.
    """
    known = {str(parameter.name): parameter for parameter in command.params}
    for key in keys:
        if key not in known:
            msg = f"{FILE}: [{name}] has no option {key.replace('_', '-')!r}"
            raise InputError(msg)
    return {
        key: [value] if isinstance(value, str) and getattr(known[key], "multiple", False) else value
        for key, value in keys.items()
    }
