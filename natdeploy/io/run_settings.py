"""Reading the settings of a run into a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from natdeploy.errors import InputError

Plan = TypeVar("Plan")


def validated(plan: type[Plan], values: Callable[[], Mapping[str, Any]], source: str, work: str) -> Plan:
    """Read a plan from the settings of a run.

    Args:
        plan: What is read.
        values: Takes the plan's values out of the settings.
        source: File that they are from.
        work: What they should be of.

    Raises:
        InputError: A section is missing, or a key is missing, unknown or of the wrong type; the message names it.
    """
    try:
        return TypeAdapter(plan).validate_python(values())
    except KeyError as error:
        msg = f"{source}: not the settings of {work}: [{error.args[0]}] is missing"
        raise InputError(msg) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        msg = f"{source}: not the settings of {work}: {place + ': ' if place else ''}{reason}"
        raise InputError(msg) from error
