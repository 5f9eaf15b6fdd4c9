"""Latency tables as files: a YAML header in lines that begin with `# `, then CSV rows.

`pandas.read_csv(path, comment="#")` reads the rows of such a file.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from natdeploy.core.latency import LatencyStats, LatencyTable, require_same_provenance
from natdeploy.core.layers import OPS, Layer
from natdeploy.core.space import ACTIVATIONS, PADDINGS
from natdeploy.documents import parse_whole_number
from natdeploy.errors import InputError
from natdeploy.files import keep_former, write_text
from natdeploy.io.table_header import FORMAT, make_header, read_header
from natdeploy.readers import read_text

_LAYER_FIELDS = tuple(field for field in dataclasses.fields(Layer) if field.compare)
_STATS_FIELDS = tuple(field.name for field in dataclasses.fields(LatencyStats))
# Columns that a table has only where a row needs them. In a table without them, all rows have their defaults.
_SINCE_OTHER_SPACES = ("padding", "squeeze_channels", "bias")
OPTIONAL_COLUMNS = {field.name: field.default for field in _LAYER_FIELDS if field.name in _SINCE_OTHER_SPACES}
COLUMNS = (*(field.name for field in _LAYER_FIELDS if field.name not in OPTIONAL_COLUMNS), *_STATS_FIELDS)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_MOST_ERRORS = 1000
_LEAST = {"mid_channels": 0, "squeeze_channels": 0, "runs": 0}
_WORDS = {"op": OPS, "activation": ACTIVATIONS, "padding": PADDINGS}
_Reader = Callable[[Mapping[str, str], str, str], str | bool | int | float]


class RowError(InputError):
    """A row of a table is not valid.

    Args:
        message: File, line and reason.
        finding: Code of the finding of `tables check`.
    """

    def __init__(self, message: str, *, finding: str = "unreadable-row") -> None:
        super().__init__(message)
        self.finding = finding


def write_table(path: Path, table: LatencyTable, *, fresh: bool = False) -> None:
    """Write `table` to `path`, all of it or nothing.

    Args:
        path: The file; its folder is created.
        table: What to write.
        fresh: Allow an existing table of another provenance to be replaced.

    Raises:
        InputError: There is a table of another provenance and `fresh` is not set.
        OutputError: The file cannot be written.
    """
    require_replaceable(path, table.provenance, fresh=fresh)
    write_text(path, format_table(table))


def replace_table(path: Path, table: LatencyTable, *, fresh: bool = False) -> Path | None:
    """Write `table` to `path`, keep the table that was there as one `.bak` beside it, and return the path of that.

    Raises:
        InputError: The file is a table of another provenance or no valid table, and `fresh` is not set.
        OutputError: A file cannot be written.
    """
    require_replaceable(path, table.provenance, fresh=fresh)
    kept = keep_former(path)
    write_table(path, table, fresh=True)
    return kept


def require_replaceable(path: Path, provenance: str, *, fresh: bool) -> None:
    """Check that a table of `provenance` may be written to `path`.

    Raises:
        InputError: The file is a table of another provenance or no valid table, and `fresh` is not set.
    """
    if path.exists() and not fresh:
        require_same_provenance(read_table(path), provenance, str(path))


def format_table(table: LatencyTable) -> str:
    """Return the text of the file of a table."""
    header = yaml.safe_dump(make_header(table), sort_keys=False, allow_unicode=True, width=110)
    out = io.StringIO()
    out.writelines(f"# {line}\n" for line in header.splitlines())
    writer = csv.writer(out, lineterminator="\n")
    needed = [
        name for name, usual in OPTIONAL_COLUMNS.items() if any(getattr(layer, name) != usual for layer in table.rows)
    ]
    writer.writerow([*COLUMNS, *needed])
    for layer in sorted(table.rows, key=_row_order):
        cells = {**dataclasses.asdict(layer), **dataclasses.asdict(table.rows[layer])}
        values = [cells[name] for name in (*COLUMNS, *needed)]
        writer.writerow([str(value).lower() if isinstance(value, bool) else value for value in values])
    return out.getvalue()


def read_table(path: Path) -> LatencyTable:
    """Read a table.

    Raises:
        InputError: The file is missing or not a valid table; the message names file, line and reason.
    """
    return parse_table(read_text(path), str(path))


def parse_table(text: str, source: str) -> LatencyTable:
    """Read a table from the text of its file; messages call it `source`.

    Raises:
        InputError: The text is not a valid table; the message names source, line and reason.
    """
    return _parse(text, source, None)


def scan_table(path: Path) -> tuple[LatencyTable, list[RowError]]:
    """Read the valid rows of a table, and return an error for each of the other rows.

    Raises:
        InputError: The file is missing, or its header or its columns are not valid.
    """
    errors: list[RowError] = []
    return _parse(read_text(path), str(path), errors), errors


def _parse(text: str, source: str, errors: list[RowError] | None) -> LatencyTable:
    lines = text.removesuffix("\n").split("\n")
    count = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = read_header(lines[:count], source)
    rows = _read_rows(lines[count:], source, count, errors)
    try:
        return dataclasses.replace(header, rows=rows)
    except InputError as error:
        msg = f"{source}: {error.message}"
        raise InputError(msg) from error


def _row_order(layer: Layer) -> tuple[int, ...]:
    numbers = (layer.in_size, layer.in_channels, layer.out_channels, layer.stride, layer.mid_channels, layer.kernel)
    return (OPS.index(layer.op), *(-number for number in numbers[:1]), *numbers[1:])


def _read_rows(
    lines: Sequence[str], source: str, offset: int, errors: list[RowError] | None = None
) -> dict[Layer, LatencyStats]:
    """Return the rows. A row that is not valid raises its error, or adds it to `errors` if that is given."""
    reader = csv.reader(lines, strict=True)
    try:
        names = next(reader, None)
    except csv.Error as error:
        msg = f"{source}, line {offset + 1}: not a CSV row: {error}"
        raise InputError(msg) from error
    if names is None:
        msg = f"{source}: there are no rows after the {offset} header lines ({FORMAT} has a line of column names there)"
        raise InputError(msg)
    _check_columns(names, f"{source}, line {offset + 1}")
    rows: dict[Layer, LatencyStats] = {}
    for place, cells in _cells(reader, source, offset):
        try:
            _add_row(rows, names, cells, place)
        except RowError as error:
            if errors is None:
                raise
            errors.append(error)
            if len(errors) > _MOST_ERRORS:
                msg = f"{source}: more than {_MOST_ERRORS:,} rows are not valid; the first is {errors[0].message}"
                raise InputError(msg) from error
    if not rows and errors is None:
        msg = f"{source}: the table has no rows"
        raise InputError(msg)
    return rows


def _add_row(rows: dict[Layer, LatencyStats], names: Sequence[str], cells: list[str] | RowError, place: str) -> None:
    if isinstance(cells, RowError):
        raise cells
    layer, stats = _read_row(names, cells, place)
    if layer in rows:
        msg = f"{place}: this layer already has a row"
        raise RowError(msg, finding="repeated-row")
    rows[layer] = stats


def _cells(reader: Iterator[list[str]], source: str, offset: int) -> Iterator[tuple[str, list[str] | RowError]]:
    """Yield the place and the cells of each row that is not empty; a row that is not CSV gives an error instead."""
    for number in itertools.count(offset + 2):
        place = f"{source}, line {number}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield place, RowError(f"{place}: not a CSV row: {error}")
            continue
        if cells:
            yield place, cells


def _check_columns(names: Sequence[str], place: str) -> None:
    missing = [name for name in COLUMNS if name not in names]
    unknown = [name for name in names if name not in (*COLUMNS, *OPTIONAL_COLUMNS)]
    if missing:
        msg = f"{place}: columns are missing: {', '.join(missing)}"
        raise InputError(msg)
    if unknown or len(set(names)) < len(names):
        msg = f"{place}: columns are unknown or repeated: {', '.join(unknown) or 'repeated'}"
        raise InputError(msg)


def _read_row(names: Sequence[str], cells: Sequence[str], place: str) -> tuple[Layer, LatencyStats]:
    if len(cells) != len(names):
        msg = f"{place}: {len(cells)} columns instead of {len(names)}; is the file cut short?"
        raise RowError(msg)
    row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
    values: dict[str, Any] = {name: _COLUMN_READERS[name](row, name, place) for name in row}
    layer = Layer(**{field.name: values[field.name] for field in _LAYER_FIELDS if field.name in values})
    try:
        return layer, LatencyStats(**{name: values[name] for name in _STATS_FIELDS})
    except InputError as error:
        msg = f"{place}: {error.message}"
        finite = all(math.isfinite(values[name]) for name in _STATS_FIELDS)
        raise RowError(msg, finding="not-positive" if finite else "not-a-number") from error


def _read_word(row: Mapping[str, str], name: str, place: str) -> str:
    known = _WORDS[name]
    if row[name] not in known:
        msg = f"{place}: unknown {name} {row[name]!r} (known: {', '.join(known)})"
        raise RowError(msg)
    return row[name]


def _read_flag(row: Mapping[str, str], name: str, place: str) -> bool:
    value = _FLAGS.get(row[name].lower())
    if value is None:
        msg = f"{place}: {name} is {row[name]!r}, not true or false"
        raise RowError(msg)
    return value


def _read_count(row: Mapping[str, str], name: str, place: str) -> int:
    least = _LEAST.get(name, 1)
    value = parse_whole_number(row[name], least=least)
    if value is None:
        msg = f"{place}: {name} is {row[name][:40]!r}, not a whole number from {least} on"
        raise RowError(msg)
    return value


def _read_number(row: Mapping[str, str], name: str, place: str) -> float:
    try:
        return float(row[name])
    except ValueError as error:
        msg = f"{place}: {name} is {row[name]!r}, not a number"
        raise RowError(msg) from error


_READERS: dict[str, _Reader] = {"str": _read_word, "bool": _read_flag, "int": _read_count, "float": _read_number}
_COLUMN_READERS = {
    field.name: _READERS[str(field.type)] for kind in (Layer, LatencyStats) for field in dataclasses.fields(kind)
}
