"""Parsers of values on the command line: durations, counts, sizes, lists."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import click

from natdeploy.documents import parse_whole_number

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)(?P<unit>ns|us|µs|ms|s)")
_DECIMAL_COMMA = re.compile(r"\d+,\d+(ns|us|µs|ms|s)")
_SPAN = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)(?P<unit>s|m|h)")
_COUNT = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+)(?P<unit>[kMG]?)")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?|\.\d+) ?(?P<unit>[kMG]i?B)")
_TASK = re.compile(r"(?P<task>[\w.-]+)=(?P<file>.+)")
_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_FACTORS_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "kiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_FACTORS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
_FACTORS_MS = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1000.0}


@contextlib.contextmanager
def name_option(option: str) -> Iterator[None]:
    """Name the option in the message about a value that is not valid.

    Args:
        option: The option, such as `--budget`.
    """
    try:
        yield
    except click.BadParameter as error:
        error.param_hint = error.param_hint or f"'{option}'"
        raise


def parse_duration_ms(text: str) -> float:
    """Return a duration such as `20ms`, `0.5s` or `800us` in milliseconds.

    Raises:
        click.BadParameter: The text is not a duration, has no unit or is not positive.
    """
    parts = _DURATION.fullmatch(text.strip())
    if _DECIMAL_COMMA.fullmatch(text.strip()):
        point = text.strip().replace(",", ".")
        msg = f"{text!r} has a comma: the decimal separator is a point, as in {point}, and each of several has a unit"
        raise click.BadParameter(msg)
    if parts is None:
        bare = re.fullmatch(r"\d+(\.\d+)?", text.strip())
        why = f"has no unit: write {text.strip()}ms" if bare else "is not a duration such as 20ms, 0.5s or 800us"
        msg = f"{text!r} {why}"
        raise click.BadParameter(msg)
    value = float(parts["number"]) * _FACTORS_MS[parts["unit"]]
    if not 0 < value < math.inf:
        msg = f"{text!r} is not positive" if value <= 0 else f"{text!r} is too long"
        raise click.BadParameter(msg)
    return value


@name_option("--budget")
def parse_budget_s(text: str) -> float:
    """Return a span of time such as `90s`, `2m` or `1h` in seconds.

    Raises:
        click.BadParameter: The text is not valid, has no unit or is not positive.
    """
    return _parse_amount(text, _SPAN, _FACTORS_S, "a span of time such as 90s, 2m or 1h")


@name_option("--target-latency")
def parse_latency_limits(values: tuple[str, ...], devices: tuple[str, ...]) -> tuple[dict[str, float], ...]:
    """Return the latency limits of `--target-latency`: one mapping of devices to milliseconds for each selection.

    Args:
        values: Values of the option, each `15ms`, `15ms,20ms` or `DEVICE=20ms`.
        devices: Devices of the search. A limit without a device is for the only one.

    Raises:
        click.BadParameter: A value is not valid, or a limit lacks its device.
    """
    named = [value for value in values if "=" in value]
    plain = [part for value in values if "=" not in value for part in _split_limits(value)]
    if named and plain:
        msg = f"{plain[0]!r} has no device, but {named[0]!r} has one: give every limit a device"
        raise click.BadParameter(msg)
    if named:
        return (_parse_device_limits(named),)
    if plain and len(devices) > 1:
        msg = f"{plain[0]!r} has no device, and there are several: write {devices[0]}={plain[0]}"
        raise click.BadParameter(msg)
    return tuple({devices[0]: parse_duration_ms(part)} for part in plain)


@name_option("--resolutions")
def parse_resolutions(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes of a list such as `160,192,224`.

    Raises:
        click.BadParameter: An entry is not a whole number of at least 32.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if parse_whole_number(part, least=32) is None:
            msg = f"{part!r} is not a resolution: whole numbers of at least 32, such as 160,192,224"
            raise click.BadParameter(msg)
    return tuple(int(part) for part in parts)


def _split_limits(value: str) -> list[str]:
    """Split limits at their commas; not at a comma within a number, which is refused as one."""
    return [value] if _DECIMAL_COMMA.fullmatch(value.strip()) else value.split(",")


def _parse_device_limits(values: list[str]) -> dict[str, float]:
    limits_ms: dict[str, float] = {}
    for value in values:
        device, _, duration = value.partition("=")
        if not device.strip():
            msg = f"{value!r} names no device: write DEVICE{value.strip()}"
            raise click.BadParameter(msg)
        if device in limits_ms:
            msg = f"two targets for device {device!r}"
            raise click.BadParameter(msg)
        limits_ms[device] = parse_duration_ms(duration)
    return limits_ms


def parse_count(text: str) -> float:
    """Return a count such as `600M`, `4.5M`, `800k` or `1.2G`.

    Raises:
        click.BadParameter: The text is not a count, or not positive.
    """
    return _parse_amount(text, _COUNT, _FACTORS, "a count such as 600M, 4.5M or 800k")


def parse_size(text: str) -> float:
    """Return a size such as `5MB`, `800kB` or `4MiB` in bytes. A MB is a million bytes.

    Raises:
        click.BadParameter: The text is not valid, has no unit or is not positive.
    """
    return _parse_amount(text, _SIZE, _FACTORS_BYTES, "a size such as 5MB, 800kB or 4MiB")


@name_option("--objectives")
def parse_names(text: str | None) -> tuple[str, ...]:
    """Return the names in a list such as `top1,madds`; empty if there is no list.

    Raises:
        click.BadParameter: An entry is empty.
    """
    names = () if text is None else tuple(part.strip() for part in text.split(","))
    if "" in names:
        msg = f"{text!r} has an empty entry"
        raise click.BadParameter(msg)
    return names


@name_option("--accuracy")
def parse_accuracies(values: tuple[str, ...]) -> Path | dict[str, Path] | None:
    """Return the file of `--accuracy`, or the files of several tasks by name; None if there is none.

    Args:
        values: Values of the option, each `FILE` or `TASK=FILE`. A task is letters, digits, `.`, `_` and `-`.

    Raises:
        click.BadParameter: One of several files has no task, or two have the same.
    """
    named = [_TASK.fullmatch(value) for value in values]
    if len(values) == 1 and named[0] is None:
        return Path(values[0])
    files: dict[str, Path] = {}
    for value, parts in zip(values, named, strict=True):
        if parts is None or parts["task"] in files:
            why = "is a second file of its task" if parts else "has no task: write TASK=FILE"
            msg = f"{value!r} {why}"
            raise click.BadParameter(msg)
        files[parts["task"]] = Path(parts["file"])
    return files or None


@name_option("--batch")
def parse_batch(text: str) -> int | Literal["dynamic"]:
    """Return a number of images in one call, or `dynamic`.

    Raises:
        click.BadParameter: The text is neither.
    """
    if text == "dynamic":
        return "dynamic"
    batch = parse_whole_number(text, least=1)
    if batch is None:
        msg = f"{text!r} is not a number of images, 1 or more, or dynamic"
        raise click.BadParameter(msg)
    return batch


def _parse_amount(text: str, pattern: re.Pattern[str], factors: Mapping[str, float], what: str) -> float:
    parts = pattern.fullmatch(text.strip())
    value = float(parts["number"]) * factors[parts["unit"]] if parts else 0.0
    if not 0 < value < math.inf:
        msg = f"{text!r} is not {what}"
        raise click.BadParameter(msg)
    return value
