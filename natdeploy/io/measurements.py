"""Reading measured latencies of whole networks: a CSV file with an architecture and its milliseconds in each row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from natdeploy.core.architecture import Architecture
from natdeploy.core.device import Deployment
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace
from natdeploy.documents import parse_whole_number, read_csv_rows
from natdeploy.errors import InputError
from natdeploy.io.subnets import read_architecture
from natdeploy.ports import Reporter

_LATENCY, _CLASSES = "latency_ms", "classes"
_DEVICE = "device"
_CONDITIONS = tuple(field.name for field in dataclasses.fields(Deployment))
_MOST_CLASSES = 100_000
ARCHITECTURE_COLUMNS = ("encoding", "architecture")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One network and its measured latency.

    Args:
        architecture: The network; its resolution need not be one of its space's.
        layers: Its layers, classifier included.
        latency_ms: Its latency.
        place: File and line of the measurement.
        conditions: What the file says of how it was measured, such as `{"precision": "int8"}`.
    """

    architecture: Architecture
    layers: tuple[Layer, ...]
    latency_ms: float
    place: str
    conditions: Mapping[str, str]


def read_measurements(path: Path, space: SearchSpace, reporter: Reporter | None = None) -> list[Measurement]:
    """Read whole-network latencies of architectures of `space`.

    The columns are `latency_ms`, `encoding` (the NAT authors' string) or `architecture` (JSON in any layout that
    `natdeploy.io.subnets` reads), and `classes` if a network has another number than 1000. Columns that are named as
    the parts of a deployment, such as `precision`, are compared with the table's.

    Args:
        path: The file.
        space: Space of the networks.
        reporter: Receives the columns that are not read.

    Raises:
        InputError: The file is not such a table, or a row is not valid; the message names file, line and reason.
    """
    require = require_columns(_LATENCY)

    def check_names(names: Sequence[str], path: Path) -> None:
        require(names, path)
        unread = [name for name in names if name not in {_LATENCY, _CLASSES, *ARCHITECTURE_COLUMNS, *_CONDITIONS}]
        if unread and reporter is not None:
            reporter.info(f"{path}: columns that are not read: {', '.join(unread)}")

    found = [_measurement(row, place, space) for row, place in read_csv_rows(path, check_names)]
    if not found:
        msg = f"{path}: there are no measurements in this file"
        raise InputError(msg)
    return found


def list_resolutions(measurements: Sequence[Measurement]) -> tuple[int, ...]:
    """Return the resolutions that were measured, ascending."""
    return tuple(sorted({entry.architecture.resolution for entry in measurements}))


def require_conditions(measurements: Sequence[Measurement], deployment: Deployment) -> None:
    """Check that measurements were made as their table says, as far as their file states it.

    Raises:
        InputError: They were made in several ways, or in another one. The message names the line.
    """
    for name in _CONDITIONS:
        stated = {entry.conditions[name].casefold(): entry for entry in measurements if entry.conditions.get(name)}
        if len(stated) > 1:
            first, second = list(stated.values())[:2]
            msg = f"{second.place}: {name} is {second.conditions[name]!r}, and {first.conditions[name]!r} elsewhere"
            raise InputError(msg, hint="a table is of one deployment: write a file for each")
        for value, entry in stated.items():
            # The file may have a name of its own for the device.
            if name != _DEVICE and value != str(getattr(deployment, name)):
                msg = f"{entry.place}: {name} is {entry.conditions[name]!r}, and the table is of {deployment}"
                raise InputError(msg, hint=f"if the file is right, give --{name} {value}")


def require_columns(figure: str) -> Callable[[Sequence[str], Path], None]:
    """Return a check that a table has the column `figure` and one that names the architecture."""

    def check(names: Sequence[str], path: Path) -> None:
        named = [name for name in ARCHITECTURE_COLUMNS if name in names]
        if figure not in names or len(named) != 1 or len(set(names)) < len(names):
            msg = (
                f"{path}, line 1: the columns must be {figure} and one of {' or '.join(ARCHITECTURE_COLUMNS)}, "
                f"not {', '.join(names) or 'none'}"
            )
            raise InputError(msg)

    return check


def _measurement(row: Mapping[str, str], place: str, space: SearchSpace) -> Measurement:
    column = next(name for name in ARCHITECTURE_COLUMNS if name in row)
    try:
        classes = _classes(row.get(_CLASSES, ""))
        read = read_architecture(row[column], space, classes=classes)
        architecture = read.require_member()[1]
        layers = walk(space, architecture, read.classes, activation=read.activation)
        conditions = {name: row[name] for name in _CONDITIONS if name in row}
        return Measurement(
            architecture=architecture,
            layers=layers,
            latency_ms=_latency(row[_LATENCY]),
            place=place,
            conditions=conditions,
        )
    except InputError as error:
        msg = f"{place}: {error.message}"
        raise InputError(msg, hint=error.hint) from error


def _classes(text: str) -> int | None:
    if not text:
        return None
    classes = parse_whole_number(text, least=1, most=_MOST_CLASSES)
    if classes is None:
        msg = f"{_CLASSES} is {text[:40]!r}, not a whole number from 1 to {_MOST_CLASSES}"
        raise InputError(msg)
    return classes


def _latency(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        msg = f"{_LATENCY} is {text!r}: a latency is a positive number of milliseconds"
        raise InputError(msg)
    return value
