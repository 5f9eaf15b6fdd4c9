"""Printing results to stdout: one JSON document, or lines and tables for people."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from natdeploy.cli.terminal import to_line, to_short_line
from natdeploy.errors import OutputError

_NO_LIMIT = 10_000


@contextlib.contextmanager
def clean_stdout() -> Iterator[None]:
    """Send everything that is printed meanwhile, also by C++ libraries, to stderr. Stdout is for the result."""
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
    # All that a terminal might act on is escaped in it.
    print_line(json.dumps(document, allow_nan=False))


def print_line(text: str = "") -> None:
    """Print a line to stdout.

    Raises:
        OutputError: stdout cannot be written, for example because a disk is full.
    """
    try:
        click.echo(to_line(text))
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        raise explain_stdout(error) from error


def explain_stdout(error: OSError) -> OutputError:
    """Return the error for a stdout that cannot be written."""
    return OutputError(f"cannot write to stdout: {'it is closed' if error.errno == errno.EBADF else error.strerror}")


def drop_stdout() -> None:
    """Discard what stdout still holds and all that follows, because it can no longer be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table without borders; columns of numbers are aligned to the right."""
    from rich import console, table
    from rich.text import Text

    made = table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for place, head in enumerate(heads):
        numeric = all(_is_number(row[place]) for row in rows)
        made.add_column(Text(head), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(Text(to_short_line(cell)) for cell in row))
    # Wide enough that nothing is cut off: a terminal wraps lines itself, and a file has no width.
    writer = console.Console(width=_NO_LIMIT, color_system=None)
    with writer.capture() as printed:
        writer.print(made)
    for line in printed.get().splitlines():
        print_line(line.rstrip())


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "").replace("-", "").isdigit()


def milliseconds(value: float | None) -> str:
    """Return a latency as text for people."""
    return "-" if value is None else f"{value:.4g} ms"
