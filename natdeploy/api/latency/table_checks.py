"""Looking at latency tables: what they contain, and what is wrong with them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from natdeploy.api.latency.results import CheckResult, TableResult
from natdeploy.core.checked import checked
from natdeploy.core.device import DEFAULT_TABLE, Deployment, Device, TableSelector
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
from natdeploy.io.measurements import Measurement, read_measurements, require_conditions
from natdeploy.io.spaces import SpaceSelector, resolve_space, shipped_spaces
from natdeploy.io.table_store import choose_table, find_contradiction, list_tables
from natdeploy.io.tables import RowError, read_table, scan_table

_ROW_ERRORS = {
    "not-positive": "a latency is zero or negative",
    "not-a-number": "a latency is not a finite number",
    "repeated-row": "a layer has several rows",
    "unreadable-row": "a row cannot be read",
}


@checked
def check_table(
    table: str | Path,
    *,
    supernet: str | None = None,
    resolutions: tuple[int, ...] | None = None,
    measurements: Path | None = None,
    selector: TableSelector = DEFAULT_TABLE,
) -> CheckResult:
    """Look for what is wrong with a latency table: rows that are missing, impossible, copied or implausible.

    Args:
        table: A table's file, or a device.
        supernet: Search space that the table must cover; None for those that it seems to be meant for.
        resolutions: Input sizes that the table must cover; None for those of the space.
        measurements: Whole-network latencies to check as well.
        selector: Which of a device's tables is meant.

    Raises:
        InputError: There is no such table, its header is not valid, or the measurements are not.
    """
    path = locate_table(table, selector)
    from natdeploy.profilers.plausibility import check_plausibility

    content, errors = scan_table(path)
    findings = [
        *_find_contradiction(path, content),
        *_report_row_errors(errors),
        *_find_missing(content, supernet, resolutions),
        *check_rows(content),
        *(check_plausibility(content, _find_described(content.deployment)) if content.rows else ()),
    ]
    findings += find_copied_rows(content, read_tables_of_others(content.deployment.device))
    if measurements is not None:
        findings += _check_measurements(content, supernet, measurements)
    return CheckResult(table=path, findings=tuple(findings))


@checked
def show_table(table: str | Path, *, selector: TableSelector = DEFAULT_TABLE, rows: bool = False) -> TableResult:
    """Return a latency table.

    Args:
        table: A table's file, or a device.
        selector: Which of a device's tables is meant.
        rows: Whether the JSON document of the result holds the rows.

    Raises:
        InputError: There is no such table, or it is not valid.
    """
    path = locate_table(table, selector)
    content = read_table(path)
    contradiction = find_contradiction(path, content.deployment)
    if contradiction is not None:
        msg = f"{path}: {contradiction}"
        raise InputError(msg)
    sizes = sorted({resolution for _, _, resolution in find_probable_places(content, shipped_spaces())})
    return TableResult(table=path, content=content, resolutions=tuple(sizes), with_rows=rows)


def locate_table(table: str | Path, selector: TableSelector = DEFAULT_TABLE) -> Path:
    """Return the file of a table that is given as a file or as a device.

    Raises:
        InputError: There is no such file and no such device, or a file is given together with a selector.
    """
    path = Path(table)
    if str(table) not in load_devices():
        if not path.is_file():
            msg = f"{table}: no such file, and no device of that name"
            raise InputError(msg, hint="see: natdeploy tables list, natdeploy devices")
        for name in selector.given:
            msg = f"--{name} chooses among a device's tables: {table} is a file"
            raise InputError(msg)
        return path
    return choose_table(find_device(str(table)), selector).path


def read_tables_of_others(device: str) -> dict[str, LatencyTable]:
    """Return the tables of all devices but this one, by their deployment; tables that cannot be read are left out."""
    found = {}
    for stored in list_tables():
        if stored.deployment.device != device:
            with contextlib.suppress(InputError):
                found[str(stored.deployment)] = scan_table(stored.path)[0]
    return found


def _find_contradiction(path: Path, content: LatencyTable) -> list[TableFinding]:
    contradiction = find_contradiction(path, content.deployment)
    if contradiction is None:
        return []
    return [TableFinding(code="other-deployment", severity=ERROR, explanation=contradiction)]


def _report_row_errors(errors: list[RowError]) -> list[TableFinding]:
    return [
        TableFinding(
            code=code,
            severity=ERROR,
            explanation=explanation,
            rows=tuple(error.message for error in errors if error.finding == code),
        )
        for code, explanation in _ROW_ERRORS.items()
        if any(error.finding == code for error in errors)
    ]


def _find_missing(
    content: LatencyTable, supernet: str | None, resolutions: tuple[int, ...] | None
) -> list[TableFinding]:
    if supernet is None and resolutions is None:
        return find_missing_rows(content, find_probable_places(content, shipped_spaces()))
    if supernet is None:
        spaces = {space.name for space, _, _ in find_probable_places(content, shipped_spaces())}
        wanted = [resolve_space(SpaceSelector(name, resolutions)) for name in sorted(spaces)]
    else:
        wanted = [resolve_space(SpaceSelector(supernet, resolutions))]
    return find_missing_rows(content, _list_places(wanted))


def _list_places(spaces: list[SearchSpace]) -> list[tuple[SearchSpace, float, int]]:
    return [(space, width, size) for space in spaces for width in space.widths for size in space.resolutions]


def _check_measurements(content: LatencyTable, supernet: str | None, path: Path) -> list[TableFinding]:
    if supernet is None:
        names = {space.name for space, _, _ in find_probable_places(content, shipped_spaces())}
        supernet = names.pop() if len(names) == 1 else "nat"
    measured = read_measurements(path, resolve_space(supernet))
    networks, times_ms = [entry.layers for entry in measured], [entry.latency_ms for entry in measured]
    return [*check_measurements(content, networks, times_ms), *check_measured(measured, content.deployment)]


def check_measured(measured: Sequence[Measurement], deployment: Deployment) -> list[TableFinding]:
    """Check whether measurements of whole networks can be latencies of a deployment, in milliseconds.

    Raises:
        InputError: Their file says that they are of another deployment.
    """
    from natdeploy.profilers.plausibility import Expectation, check_networks

    require_conditions(measured, deployment)
    return check_networks(
        [entry.layers for entry in measured],
        [entry.latency_ms for entry in measured],
        [entry.place for entry in measured],
        Expectation(deployment=deployment, device=_find_described(deployment)),
    )


def _find_described(deployment: Deployment) -> Device | None:
    """Return the description of a deployment's device; None if this machine does not know it."""
    return load_devices().get(deployment.device)
