"""Reading measured latencies of whole networks: a CSV file with an architecture and its milliseconds in each row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from natdeploy.core.architecture import Architecture
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace
from natdeploy.documents import parse_whole_number, read_csv_rows
from natdeploy.errors import InputError
from natdeploy.io.subnets import read_architecture

_LATENCY, _CLASSES = "latency_ms", "classes"
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
    """

    architecture: Architecture
    layers: tuple[Layer, ...]
    latency_ms: float
    place: str


def read_measurements(path: Path, space: SearchSpace) -> list[Measurement]:
    """Read whole-network latencies of architectures of `space`.

    The columns are `latency_ms`, `encoding` (the NAT authors' string) or `architecture` (JSON in any layout that
    `natdeploy.io.subnets` reads), and `classes` if a network has another number than 1000.

    Raises:
        InputError: The file is not such a table, or a row is not valid; the message names file, line and reason.
    """
    found = [_measurement(row, place, space) for row, place in read_csv_rows(path, require_columns(_LATENCY))]
    if not found:
        msg = f"{path}: there are no measurements in this file"
        raise InputError(msg)
    return found


def list_resolutions(measurements: Sequence[Measurement]) -> tuple[int, ...]:
    """Return the resolutions that were measured, ascending."""
    return tuple(sorted({entry.architecture.resolution for entry in measurements}))


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
        return Measurement(architecture=architecture, layers=layers, latency_ms=_latency(row[_LATENCY]), place=place)
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
