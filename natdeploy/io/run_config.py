"""Reads the config of a run as a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from natdeploy.errors import InputError
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.validation import find_fault


class _Plan(Protocol):
    def check_space(self) -> None: ...


Plan = TypeVar("Plan", bound=_Plan)

_HINT = "runs of an earlier natdeploy cannot be resumed: start a new one"


def move_data(plan: Plan, data: str | Path | None) -> Plan:
    """Return the plan of a run whose images are in another folder by now.

    Args:
        plan: Plan with a field `data`.
        data: The folder. None: it is where it was.

    Raises:
        InputError: There is no such folder, or the run is on a known data set.
    """
    if data is None:
        return plan
    before, now = str(plan.data), resolve_dataset(data)  # type: ignore[attr-defined]
    if not (Path(before).is_absolute() and Path(now).is_absolute()):
        msg = f"--data {data}: the run is on {before}; only a folder that has moved can be named again"
        raise InputError(msg)
    return dataclasses.replace(plan, data=now)  # type: ignore[type-var]


def parse_config(plan: type[Plan], values: Callable[[], Mapping[str, Any]], source: str, work: str) -> Plan:
    """Read a plan from the config of a run.

    Args:
        plan: Dataclass of the plan. Its fields may be dataclasses, too. `check_space` checks what depends on the space.
        values: Extracts the plan's values from the config.
        source: File of the config, used in messages.
        work: Kind of work that the config must describe, used in messages.

    Raises:
        InputError: A section is missing, or a key is missing, unknown, of the wrong type or out of range. The message
            names it. Or the space of the run is not there any more.
    """
    start = f"{source}: not the settings of {work}"
    try:
        given = values()
        found = TypeAdapter(plan).validate_python(given)
    except KeyError as error:
        msg = f"{start}: [{error.args[0]}] is missing"
        raise InputError(msg, hint=_HINT) from error
    except TypeError as error:
        msg = f"{start}: a part of it is no table of keys: {error}"
        raise InputError(msg) from error
    except ValidationError as error:
        fault = find_fault(error, given)
        msg = f"{start}: {fault}"
        raise InputError(msg, hint=_HINT if fault.kind == "missing" else None) from error
    for key in _unknown_keys(found, given):
        msg = f"{start}: unknown key {key}"
        raise InputError(msg, hint=_HINT)
    try:
        found.check_space()
    except InputError as error:
        msg = f"{start}: {error.message}"
        raise InputError(msg, hint=error.hint) from error
    return found


def _unknown_keys(plan: Any, given: Any, prefix: str = "") -> Iterator[str]:  # noqa: ANN401
    if not dataclasses.is_dataclass(plan):
        return
    known = {field.name for field in dataclasses.fields(plan)}
    yield from (prefix + key for key in given if key not in known)
    for name in known.intersection(given):
        yield from _unknown_keys(getattr(plan, name), given[name], f"{prefix}{name}.")
