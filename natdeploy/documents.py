"""Parses JSON, JSON lines, TOML and CSV that others have written.

Whatever a parser raises becomes one error. What it returns can be worked with: it is not nested deeply, no key is there
twice, and numbers are finite and of a usual size.
"""

from __future__ import annotations

import csv
import json
import math
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from natdeploy.errors import InputError
from natdeploy.readers import DOCUMENT_BYTES, SETTINGS_BYTES, TABLE_BYTES, open_file, read_text

_MOST_DEPTH, _MOST_BITS = 64, 64
_MOST_VALUES = 200_000
_MOST_COUNT = 1_000_000_000
_TOO_DEEP = "it is nested too deeply"
# tomllib takes a time that grows with the square of the number of parts of a key.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){32}""")


def parse_json(text: str, *, most_values: int = _MOST_VALUES) -> Any:  # noqa: ANN401
    """Parse JSON.

    Args:
        text: The text.
        most_values: How many values there may be. A check of a million wrong ones takes seconds and gigabytes.

    Raises:
        ValueError: The text is not JSON, holds `NaN`, `Infinity` or a number that is too large, repeats a key of an
            object, is nested too deeply, or contains more values than files of a kind have.
    """
    try:
        value = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_parse_float, object_pairs_hook=_make_object
        )
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except ValueError as error:
        raise ValueError(shorten_reason(error)) from error
    require_plain(value, most_values)
    return value


def read_json_lines(path: Path, most_bytes: int, what: str) -> Iterator[tuple[str, Any]]:
    """Yield the place, for messages, and the value of each line of a file of JSON values.

    Args:
        path: The file.
        most_bytes: Size of the largest file that is read.
        what: What a line is, for messages.

    Raises:
        InputError: The file cannot be read, or a line is not JSON. The message states file, line and reason.
    """
    with open_file(path, most_bytes) as file:
        number = 0
        while line := file.readline(DOCUMENT_BYTES + 1):
            number += 1
            place = f"{path}, line {number}"
            yield place, parse_json_line(line, place, what)


def parse_json_line(line: bytes, place: str, what: str) -> Any:  # noqa: ANN401
    """Parse a line of a file of JSON values.

    Raises:
        InputError: It is too long or not JSON. The message begins with `place`, and says that it is not `what`.
    """
    if len(line) > DOCUMENT_BYTES:
        msg = f"{place}: not {what}: it is longer than {DOCUMENT_BYTES:,} bytes"
        raise InputError(msg)
    try:
        return parse_json(line.decode("utf-8-sig"))
    except ValueError as error:
        msg = f"{place}: not {what}: {error}"
        raise InputError(msg) from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: The file cannot be read, is not TOML, is nested too deeply, or holds a number that is not finite.
    """
    text = read_text(path, SETTINGS_BYTES)
    try:
        return _parse_toml(text)
    except ValueError as error:
        msg = f"{path}: not valid TOML: {shorten_reason(error)}"
        raise InputError(msg) from error


def read_csv_rows(
    path: Path, check_names: Callable[[Sequence[str], Path], None]
) -> Iterator[tuple[dict[str, str], str]]:
    """Yield each row of a CSV file, by column name, with its place for messages; `#` lines are comments.

    Args:
        path: The file.
        check_names: Raises an error if the column names are not the right ones.

    Raises:
        InputError: The file is not a CSV table; the message names file, line and reason.
    """
    lines = read_text(path, TABLE_BYTES).removesuffix("\n").split("\n")
    numbers = [number for number, line in enumerate(lines, start=1) if not line.startswith("#")]
    reader = csv.reader((lines[number - 1] for number in numbers), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        check_names(names, path)
        for cells in reader:
            place = f"{path}, line {numbers[reader.line_num - 1]}"
            if len(cells) not in (0, len(names)):
                msg = f"{place}: {len(cells)} columns instead of {len(names)}"
                raise InputError(msg)
            if cells:
                yield dict(zip(names, (cell.strip() for cell in cells), strict=True)), place
    except csv.Error as error:
        msg = f"{path}, line {numbers[reader.line_num - 1]}: not a CSV row: {error}"
        raise InputError(msg) from error


def require_plain(value: object, most_values: int = _MOST_VALUES) -> None:
    """Check that parsed content is neither deep nor enormous, and that its numbers are finite and fit in 64 bits.

    Raises:
        ValueError: It is not so. The message names the key.
    """
    stack: list[tuple[object, object, int]] = [(value, "it", 0)]
    values = 0
    while stack:
        inner, key, depth = stack.pop()
        if isinstance(inner, dict | list):
            values += len(inner)
            if depth > _MOST_DEPTH:
                raise ValueError(_TOO_DEEP)
            if values > most_values:
                msg = f"it contains more than {most_values:,} values"
                raise ValueError(msg)
            pairs = inner.items() if isinstance(inner, dict) else ((key, item) for item in inner)
            stack.extend((item, name, depth + 1) for name, item in pairs if not isinstance(item, str))
        elif isinstance(inner, float) and not math.isfinite(inner):
            msg = f"{key} is {inner}, not a finite number"
            raise ValueError(msg)
        elif isinstance(inner, int) and inner.bit_length() > _MOST_BITS:
            msg = f"{key} is a number that is too large"
            raise ValueError(msg)


def parse_whole_number(text: str, *, least: int = 0, most: int = _MOST_COUNT) -> int | None:
    """Return the whole number that digits write, or None if the text is something else or the number out of range."""
    # Python refuses to convert thousands of digits, and takes the digits of every script.
    value = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else -1
    return value if least <= value <= most else None


def find_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that was there before, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def shorten_reason(error: Exception) -> str:
    """Return the reason of a parser without what Python says about a setting of its own."""
    return str(error).partition("; use sys.")[0]


def _parse_toml(text: str) -> dict[str, Any]:
    if _LONG_KEY.search(text):
        raise ValueError(_TOO_DEEP)
    try:
        content = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    require_plain(content)
    return content


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not a number of JSON"
    raise ValueError(msg)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        msg = f"{text[:40]} is too large for a number"
        raise ValueError(msg)
    return value


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        msg = f"key {find_repeated(name for name, _ in pairs)!r} is repeated"
        raise ValueError(msg)
    return made
