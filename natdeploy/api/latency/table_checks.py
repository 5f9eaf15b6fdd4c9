"""Looking at latency tables: what they say of themselves, and what is wrong with them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from natdeploy.api.latency.results import CheckResult, TableResult
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.core.table_checks import (
    ERROR,
    TableFinding,
    check_measurements,
    check_rows,
    find_copied_rows,
    find_missing_rows,
    find_probable_places,
)
from natdeploy.errors import InputError
from natdeploy.io.devices import find_device, load_devices
from natdeploy.io.measurements import read_measurements
from natdeploy.io.spaces import resolve_space
from natdeploy.io.table_store import choose_table, list_tables
from natdeploy.io.tables import RowError, read_table, scan_table


def check_table(
    table: str | Path,
    *,
    supernet: str | None = None,
    resolutions: tuple[int, ...] | None = None,
    measurements: Path | None = None,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
) -> CheckResult:
    """Look for what is wrong with a latency table: rows that are missing, impossible, copied or without sense.

    Args:
        table: A table's file, or a device.
        supernet: Search space whose layers must all be there; by default those that the table seems meant for.
        resolutions: Input sizes that stand in for the space's own.
        measurements: Whole-network latencies to look at too.
        runtime: Runtime of a device's table, like the next three.
        precision: Precision.
        batch: Images in one call.
        threads: Threads of the runtime.

    Raises:
        InputError: There is no such table, its header is not valid, or the measurements are not.
    """
    path = locate_table(table, runtime=runtime, precision=precision, batch=batch, threads=threads)
    content, errors = scan_table(path)
    findings = [*_of_rows(errors), *_missing(content, supernet, resolutions), *check_rows(content)]
    findings += find_copied_rows(content, read_tables_of_others(content.deployment.device))
    if measurements is not None:
        findings += _of_measurements(content, supernet, measurements)
    return CheckResult(table=path, findings=tuple(findings))


def show_table(
    table: str | Path,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    rows: bool = False,
) -> TableResult:
    """Return a latency table, given as its file or as a device.

    Raises:
        InputError: There is no such table, or it is not valid.
    """
    path = locate_table(table, runtime=runtime, precision=precision, batch=batch, threads=threads)
    content = read_table(path)
    sizes = sorted({resolution for _, _, resolution in find_probable_places(content)})
    return TableResult(table=path, content=content, resolutions=tuple(sizes), with_rows=rows)


def locate_table(
    table: str | Path,
    *,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
) -> Path:
    """Return the file of a table that is given as a file or as a device.

    Raises:
        InputError: There is no such file and no such device, or options are given beside a file.
    """
    options = {"runtime": runtime, "precision": precision, "batch": batch, "threads": threads}
    given = [name for name, value in options.items() if value is not None]
    path = Path(table)
    if str(table) not in load_devices():
        if not path.is_file():
            msg = f"{table}: no such file, and no device of that name"
            raise InputError(msg, hint="see: natdeploy tables list, natdeploy devices")
        if given:
            msg = f"--{given[0]} chooses among a device's tables: {table} is a file"
            raise InputError(msg)
        return path
    return choose_table(
        find_device(str(table)), runtime=runtime, precision=precision, batch=batch, threads=threads
    ).path


def read_tables_of_others(device: str) -> dict[str, LatencyTable]:
    """Return the tables of all devices but this one; those that cannot be read are for a check of their own."""
    found = {}
    for stored in list_tables():
        if stored.deployment.device != device:
            with contextlib.suppress(InputError):
                found[str(stored.deployment)] = scan_table(stored.path)[0]
    return found


def _of_rows(errors: list[RowError]) -> list[TableFinding]:
    explanations = {
        "not-positive": "a latency is zero or negative",
        "not-a-number": "a latency is not a finite number",
        "repeated-row": "a layer has several rows",
        "unreadable-row": "a row cannot be read",
    }
    return [
        TableFinding(
            code=code,
            severity=ERROR,
            explanation=explanation,
            rows=tuple(error.message for error in errors if error.finding == code),
        )
        for code, explanation in explanations.items()
        if any(error.finding == code for error in errors)
    ]


def _missing(content: LatencyTable, supernet: str | None, resolutions: tuple[int, ...] | None) -> list[TableFinding]:
    if supernet is None and resolutions is None:
        return find_missing_rows(content, find_probable_places(content))
    if supernet is None:
        spaces = {space.name for space, _, _ in find_probable_places(content)}
        wanted = [resolve_space(name, resolutions) for name in sorted(spaces)]
    else:
        wanted = [resolve_space(supernet, resolutions)]
    return find_missing_rows(content, _places(wanted))


def _places(spaces: list[SearchSpace]) -> list[tuple[SearchSpace, float, int]]:
    return [(space, width, size) for space in spaces for width in space.widths for size in space.resolutions]


def _of_measurements(content: LatencyTable, supernet: str | None, path: Path) -> list[TableFinding]:
    if supernet is None:
        names = {space.name for space, _, _ in find_probable_places(content)}
        supernet = names.pop() if len(names) == 1 else "nat"
    measured = read_measurements(path, resolve_space(supernet))
    return check_measurements(content, [entry.layers for entry in measured], [entry.latency_ms for entry in measured])
