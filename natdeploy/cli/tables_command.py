"""`natdeploy tables`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Group
from natdeploy.cli.output import print_json, print_line, print_table
from natdeploy.cli.table_text import print_header
from natdeploy.cli.tables_making import calibrate_command, fit_command, import_command
from natdeploy.cli.units import parse_resolutions
from natdeploy.errors import CheckFailedError

if TYPE_CHECKING:
    from natdeploy.api import CheckResult, Context, TableResult, TableSelector

_SHOWN = 10


@click.group("tables", cls=Group)
def command() -> None:
    """Work with latency tables."""


@command.command("list")
@options.json_option
def list_command(json: bool) -> None:  # noqa: FBT001
    """List the user's own latency tables and the packaged ones."""
    from natdeploy import api
    from natdeploy.api.results import jsonable

    states = api.tables()
    if json:
        print_json({"ok": True, "tables": jsonable(states)})
        return
    if not states:
        print_line("no latency tables yet; make one with: natdeploy profile")
        return
    rows = [
        [
            state.device or "-",
            "-" if state.runtime is None else f"{state.runtime}-{state.precision}-b{state.batch}-t{state.threads}",
            f"{state.provenance or 'damaged'}{', packaged' if state.packaged else ''}",
            str(state.rows),
            "-" if state.mape_percent is None else f"{state.mape_percent:.2f}",
            str(state.path),
        ]
        for state in states
    ]
    print_table(["device", "table", "provenance", "rows", "MAPE %", "file"], rows)
    for state in states:
        if state.problem is not None:
            print_line(f"damaged: {state.problem}")


@command.command("show", short_help="Show a table and how far it can be trusted.")
@click.argument("table")
@options.table_options
@click.option("--rows", is_flag=True, help="Show the rows too.")
@options.json_option
def show_command(table: str, selector: TableSelector, rows: bool, json: bool) -> None:  # noqa: FBT001
    """Show what TABLE, a file or a device, is of and how far it can be trusted."""

    def work(context: Context) -> TableResult:  # noqa: ARG001
        from natdeploy import api

        return api.show_table(table, selector=selector, rows=rows)

    options.run_command(work, _show, as_json=json)


@command.command("check", short_help="Look for what is wrong with a table.")
@click.argument("table")
@options.table_options
@click.option(
    "--supernet",
    default=None,
    help="Search space to cover: a name or a TOML file.  [default: what the table seems to be for]",
)
@click.option("--resolutions", default=None, help="Input sizes to cover.  [default: the space's]")
@click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    default=None,
    help="CSV of whole-network latencies to check as well.",
)
@options.json_option
def check_command(  # noqa: PLR0917
    table: str,
    selector: TableSelector,
    supernet: str | None,
    resolutions: str | None,
    measurements: Path | None,
    json: bool,  # noqa: FBT001
) -> None:
    """Look for what is wrong with TABLE, a file or a device; exit code 1 if an error is found."""
    sizes = parse_resolutions(resolutions)
    results: list[CheckResult] = []

    def work(context: Context) -> CheckResult:  # noqa: ARG001
        from natdeploy import api

        results.append(
            api.check_table(table, supernet=supernet, resolutions=sizes, measurements=measurements, selector=selector)
        )
        return results[0]

    options.run_command(work, _show_check, as_json=json)
    if results[0].passed:
        return
    if json:
        raise click.exceptions.Exit(CheckFailedError.exit_code)
    msg = f"{results[0].table} has errors"
    raise CheckFailedError(msg, hint="measure these layers again, or take the table from a better source")


for made in (import_command, fit_command, calibrate_command):
    command.add_command(made)


def _show(result: TableResult) -> None:
    print_header(result)
    if not result.with_rows:
        return
    rows = [
        [described, f"{stats.median_ms:.5g}", f"{stats.p10_ms:.5g}", f"{stats.p90_ms:.5g}", str(stats.runs)]
        for described, stats in result.described_rows()
    ]
    print_line()
    print_table(["layer", "median ms", "p10 ms", "p90 ms", "runs"], rows)


def _show_check(result: CheckResult) -> None:
    print_line(f"{result.table}: {len(result.findings) or 'no'} finding{'' if len(result.findings) == 1 else 's'}")
    for finding in result.findings:
        print_line(f"{finding.severity}: {finding.code}: {finding.explanation}")
        for row in finding.rows[:_SHOWN]:
            print_line(f"  {row}")
        if len(finding.rows) > _SHOWN:
            print_line(f"  and {len(finding.rows) - _SHOWN} more")
