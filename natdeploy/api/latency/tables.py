"""Making latency tables without profiling: imported, fitted to whole networks, or corrected by a few of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.latency.results import TableResult
from natdeploy.api.latency.table_checks import check_measured, locate_table, read_tables_of_others
from natdeploy.core.checked import check_fields, checked
from natdeploy.core.device import DEFAULT_TABLE, Deployment, TableSelector, find_deployment
from natdeploy.core.latency import ESTIMATED, LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.core.table_checks import ERROR, TableFinding, check_rows, find_copied_rows, find_probable_places
from natdeploy.errors import CheckFailedError, require_known
from natdeploy.files import require_writable
from natdeploy.io.devices import find_device, load_devices
from natdeploy.io.foreign_tables import FOREIGN_FORMATS
from natdeploy.io.measurements import Measurement, list_resolutions, read_measurements
from natdeploy.io.spaces import SpaceSelector, resolve_space, shipped_spaces
from natdeploy.io.table_store import resolve_table_file
from natdeploy.io.tables import read_table, replace_table, require_replaceable
from natdeploy.version import __version__


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TableOutput:
    """The file that a table is written to.

    Args:
        path: File or folder; None for the user's own table of the deployment.
        fresh: Replace a table of another provenance too.
    """

    path: Path | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


OWN_TABLE = TableOutput()


@checked
def import_table(
    source: Path,
    *,
    format: str,  # noqa: A002, the option's name
    device: str,
    supernet: str,
    selector: TableSelector = DEFAULT_TABLE,
    output: TableOutput = OWN_TABLE,
    context: Context | None = None,
) -> TableResult:
    """Import a latency table of once-for-all or of NSGANetV2.

    Args:
        source: OFA's folder of YAML files or one of them; NSGANetV2's one file.
        format: `ofa` or `nsganet`.
        device: Device that the table is of.
        supernet: Search space that the table was made for.
        selector: Runtime, precision, batch and threads that it was measured with.
        output: The file to write.
        context: Reporter and clock.

    Raises:
        InputError: A file, key or number is not valid, a layer is missing or unknown, or there is a table of another
            provenance; the message names file, line and reason.
        CheckFailedError: Its rows are those of another device's table.
        OutputError: The table cannot be written.
    """
    context = context or Context()
    require_known("format", format, FOREIGN_FORMATS)
    space = resolve_space(supernet)
    deployment = find_deployment(find_device(device), selector)
    foreign = FOREIGN_FORMATS[format](source, space)
    table = LatencyTable(
        deployment=deployment,
        provenance="imported",
        method=foreign.method,
        rows=foreign.rows,
        created=context.clock.now().isoformat(timespec="seconds"),
        conditions={"natdeploy": __version__, "source": source.name, "supernet": supernet, **foreign.notes},
        folded=foreign.folded,
    )
    return _store(table, foreign.resolutions, output, context)


@checked
def fit_table(
    measurements: Path,
    *,
    device: str = "host",
    supernet: str | SpaceSelector = "nat",
    selector: TableSelector = DEFAULT_TABLE,
    output: TableOutput = OWN_TABLE,
    context: Context | None = None,
) -> TableResult:
    """Fit a latency table to measurements of whole networks alone.

    Args:
        measurements: CSV with `latency_ms` and `encoding` or `architecture`, and with `classes` if they are not 1000.
        device: Device that the networks were measured on.
        supernet: Search space of the networks. The table covers the selected resolutions, each of which must be
            measured, or all measured ones.
        selector: Runtime, precision, batch and threads of the measurements.
        output: The file to write.
        context: Reporter and clock.

    Raises:
        CheckFailedError: The measurements cannot be latencies of the device in milliseconds.
        InputError: The measurements are not valid, too few, or lack a resolution; or there is a table of another
            provenance.
        OutputError: The table cannot be written.
    """
    from natdeploy.profilers import network_tables

    context = context or Context()
    deployment = find_deployment(find_device(device), selector)
    measured, space = _read_measurements(measurements, supernet, context)
    _require_writable(output, deployment, "fitted")
    _report(check_measured(measured, deployment), context)
    table = network_tables.fit_table(
        space,
        deployment,
        [entry.layers for entry in measured],
        [entry.latency_ms for entry in measured],
        reporter=context.reporter,
        clock=context.clock,
    )
    return _store(table, space.resolutions, output, context)


@checked
def calibrate_table(
    measurements: Path,
    *,
    source: str | Path,
    device: str = "host",
    supernet: str = "nat",
    selector: TableSelector = DEFAULT_TABLE,
    output: TableOutput = OWN_TABLE,
    context: Context | None = None,
) -> TableResult:
    """Turn another device's latency table into one of `device`, by ten or more networks that were measured there.

    Args:
        measurements: As for `fit_table`.
        source: The other table: its file or its device.
        device: Device that the networks were measured on.
        supernet: Search space of the networks.
        selector: Runtime, precision, batch and threads of the measurements.
        output: The file to write.
        context: Reporter and clock.

    Raises:
        CheckFailedError: The measurements cannot be latencies of the device in milliseconds.
        CoverageError: The other table does not cover a measured network.
        InputError: The measurements are not valid or too few, there is no such table, or there is one of another
            provenance.
        OutputError: The table cannot be written.
    """
    from natdeploy.profilers import network_tables

    context = context or Context()
    deployment = find_deployment(find_device(device), selector)
    same_batch = TableSelector(batch=selector.batch) if str(source) in load_devices() else DEFAULT_TABLE
    other = read_table(locate_table(source, same_batch))
    measured, _ = _read_measurements(measurements, supernet, context)
    _require_writable(output, deployment, "calibrated")
    _report(check_measured(measured, deployment), context)
    if other.provenance == ESTIMATED:
        context.reporter.warn(f"the latencies of {other.deployment} are estimated: nothing was run there")
    table = network_tables.calibrate_table(
        other,
        deployment,
        [entry.layers for entry in measured],
        [entry.latency_ms for entry in measured],
        clock=context.clock,
    )
    sizes = sorted({resolution for _, _, resolution in find_probable_places(table, shipped_spaces())})
    return _store(table, tuple(sizes), output, context)


def _read_measurements(
    path: Path, supernet: str | SpaceSelector, context: Context
) -> tuple[list[Measurement], SearchSpace]:
    """Return the measured networks, and their space with the selected resolutions or with the measured ones."""
    selector = SpaceSelector(supernet) if isinstance(supernet, str) else supernet
    whole = resolve_space(dataclasses.replace(selector, resolutions=None, width=None))
    measured = read_measurements(path, whole, context.reporter)
    covered = dataclasses.replace(selector, resolutions=selector.resolutions or list_resolutions(measured))
    return measured, resolve_space(covered)


def _require_writable(output: TableOutput, deployment: Deployment, provenance: str) -> None:
    """Check before the work that its result can be written."""
    path = resolve_table_file(output.path, deployment)
    require_replaceable(path, provenance, fresh=output.fresh)
    require_writable(path)


def _report(findings: Sequence[TableFinding], context: Context) -> None:
    """Warn of what was found.

    Raises:
        CheckFailedError: It is an error.
    """
    for finding in findings:
        if finding.severity == ERROR:
            msg = f"the table is not written: {finding}"
            raise CheckFailedError(msg)
        context.reporter.warn(str(finding))


def _store(table: LatencyTable, resolutions: tuple[int, ...], output: TableOutput, context: Context) -> TableResult:
    from natdeploy.profilers.plausibility import check_plausibility

    others = read_tables_of_others(table.deployment.device)
    findings = [
        *check_rows(table),
        *check_plausibility(table, find_device(table.deployment.device)),
        *find_copied_rows(table, others),
    ]
    _report(findings, context)
    path = resolve_table_file(output.path, table.deployment)
    replaced = replace_table(path, table, fresh=output.fresh)
    return TableResult(table=path, content=table, resolutions=resolutions, replaced=replaced, findings=tuple(findings))
