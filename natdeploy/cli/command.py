"""The class of every command: what no option may be given as, on the command line, in files and in the environment."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection

import click
from click.core import ParameterSource

from natdeploy.errors import did_you_mean

_PREFIX = "NATDEPLOY_"
# Variables that are read elsewhere. The last one names a folder of test data.
_VARIABLES = ("NATDEPLOY_HOME", "NATDEPLOY_DATA", "NATDEPLOY_DEBUG", "NATDEPLOY_SHARED_DATA")


class Command(click.Command):
    """A command that refuses empty values, repeated options that take one value, and unknown variables of its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            click.UsageError: A value is not valid, empty, not finite, or the second one of its option; or an
                environment variable names no option.
        """
        given, _, order = self.make_parser(ctx).parse_args(list(args))
        for parameter, count in Counter(order).items():
            if count > 1 and isinstance(parameter, click.Option) and _takes_one_value(parameter):
                msg = f"it is given {count} times, but takes one value"
                raise click.BadParameter(msg, ctx, parameter)
        for parameter in self.get_params(ctx):
            value, source = parameter.consume_value(ctx, given)
            # A message says where a value is from.
            ctx.set_parameter_source(str(parameter.name), source)
            empty = value == "" or (isinstance(value, list | tuple) and "" in value)
            if empty and source is not ParameterSource.DEFAULT:
                msg = "it is empty"
                raise click.BadParameter(msg, ctx, parameter)
        self._check_variables(ctx)
        rest = super().parse_args(ctx, args)
        for parameter in self.get_params(ctx):
            value = ctx.params.get(str(parameter.name))
            if isinstance(value, float) and not math.isfinite(value):
                msg = f"{value} is not a finite number"
                raise click.BadParameter(msg, ctx, parameter)
        return rest

    def _check_variables(self, ctx: click.Context) -> None:
        prefix = f"{ctx.auto_envvar_prefix}_"
        options = [str(option.name) for option in self.params if isinstance(option, click.Option)]
        for name in os.environ:
            key = name.removeprefix(prefix).lower()
            if name.startswith(prefix) and key not in options:
                hint = did_you_mean(key, options)
                msg = f"{name}: {ctx.command_path} has no option {key.replace('_', '-')!r}" + (
                    f"; {hint}" if hint else ""
                )
                raise click.UsageError(msg, ctx)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def find_unknown_variables(commands: Collection[str]) -> dict[str, str | None]:
    """Return the environment variables that belong neither to natdeploy nor to a command, with the nearest name."""
    prefixes = tuple(f"{_PREFIX}{name.upper()}_" for name in commands)
    known = {name.lower(): name for name in (*_VARIABLES, *prefixes)}
    found = {}
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in _VARIABLES and not name.startswith(prefixes):
            found[name] = did_you_mean(name, known)
    return found


def _takes_one_value(option: click.Option) -> bool:
    return not (option.multiple or option.count or (option.is_flag and not option.secondary_opts))
