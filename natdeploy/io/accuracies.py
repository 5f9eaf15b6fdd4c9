"""Reads measured top-1 of architectures from a CSV file with one architecture per row."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from natdeploy.core.architecture import Architecture
from natdeploy.core.space import SearchSpace
from natdeploy.documents import read_csv_rows
from natdeploy.errors import InputError
from natdeploy.io.measurements import ARCHITECTURE_COLUMNS, require_columns
from natdeploy.io.subnets import read_architecture

_TOP1 = "top1"
# Columns of DyNAS-T's result files. Architectures are in Python syntax, top-1 is in percent.
_DYNAST_ARCHITECTURE, _DYNAST_TOP1 = "Sub-network", "Top-1 Acc (%)"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredAccuracy:
    """An architecture and its measured top-1 as a fraction. Its resolution need not be one of the search space."""

    architecture: Architecture
    top1: float


def read_accuracies(path: Path, space: SearchSpace) -> list[MeasuredAccuracy]:
    """Read measured top-1 of architectures of `space`.

    The columns are `top1`, a fraction, and `encoding` (the NAT authors' string) or `architecture` (JSON in any layout
    that `natdeploy.io.subnets` reads), as in `archive.csv` of a run. The columns of DyNAS-T's result files work, too.

    Raises:
        InputError: The file is not such a table, or a row is not valid. The message states file, line and reason.
    """
    rows = list(read_csv_rows(path, _check_names))
    found = [_read_entry(row, place, space) for row, place in rows]
    if not found:
        msg = f"{path}: contains no architectures"
        raise InputError(msg)
    if _DYNAST_TOP1 in rows[0][0] and max(entry.top1 for entry in found) <= 1 / 100:
        msg = f"{path}: no value of {_DYNAST_TOP1!r} is above 1: the values must be percentages, not fractions"
        raise InputError(msg)
    return found


def _check_names(names: Sequence[str], path: Path) -> None:
    # Each row of a run's archive has an encoding or an architecture.
    if not any(known <= set(names) for known in ({_DYNAST_ARCHITECTURE, _DYNAST_TOP1}, {_TOP1, *ARCHITECTURE_COLUMNS})):
        require_columns(_TOP1)(names, path)


def _read_entry(row: Mapping[str, str], place: str, space: SearchSpace) -> MeasuredAccuracy:
    try:
        if _DYNAST_ARCHITECTURE in row:
            text = row[_DYNAST_ARCHITECTURE].replace("'", '"').replace("None", "null")
            top1 = _read_fraction(row[_DYNAST_TOP1], whole=100)
        else:
            text = next((row[name] for name in ARCHITECTURE_COLUMNS if row.get(name)), "")
            top1 = _read_fraction(row[_TOP1], whole=1)
        architecture = read_architecture(text, space).require_member()[1]
    except InputError as error:
        msg = f"{place}: {error.message}"
        raise InputError(msg, hint=error.hint) from error
    return MeasuredAccuracy(architecture=architecture, top1=top1)


def _read_fraction(text: str, *, whole: int) -> float:
    try:
        value = float(text) / whole
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        msg = f"top-1 is {text!r}: it must be between 0 and {whole}"
        percent = whole == 1 and re.fullmatch(r"\d{1,2}(\.\d+)? ?%?|100(\.0+)? ?%?", text)
        raise InputError(msg, hint="divide percentages by 100" if percent else None)
    return value
