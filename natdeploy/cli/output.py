"""Printing results to stdout: one JSON document, or lines and tables for people."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from natdeploy.errors import OutputError


@contextlib.contextmanager
def clean_stdout() -> Iterator[None]:
    """Send everything that the work prints, libraries in C++ included, to stderr: stdout is for the result."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def print_json(document: Any) -> None:  # noqa: ANN401
    """Print the one JSON document of a command.

    Raises:
        OutputError: stdout cannot be written.
    """
    print_line(json.dumps(document, allow_nan=False))


def print_line(text: str = "") -> None:
    """Print a line to stdout.

    Raises:
        OutputError: stdout cannot be written, on a full disk for instance.
    """
    try:
        click.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        msg = f"cannot write to stdout: {error.strerror or error}"
        raise OutputError(msg) from error


def drop_stdout() -> None:
    """Send what stdout still holds, and all that follows, nowhere: it cannot be written any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns of numbers go to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(len(cell) for cell in (head, *column)) for head, column in zip(heads, columns, strict=True)]
    numeric = [
        all(cell.replace(".", "").replace("-", "").isdigit() or cell == "-" for cell in column) for column in columns
    ]
    for row in [heads, *rows]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        print_line("  ".join(cells).rstrip())


def milliseconds(value: float | None) -> str:
    """Return a latency for people."""
    return "-" if value is None else f"{value:.4g} ms"
