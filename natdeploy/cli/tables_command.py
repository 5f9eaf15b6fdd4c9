"""`natdeploy tables`."""

from __future__ import annotations

import click

from natdeploy.cli import options
from natdeploy.cli.output import print_json, print_line, print_table


@click.group("tables")
def command() -> None:
    """Work with latency tables."""


@command.command("list")
@options.json_option
def list_command(json: bool) -> None:  # noqa: FBT001
    """List the latency tables of this machine's user, and the packaged ones."""
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
            state.device,
            f"{state.runtime}-{state.precision}-b{state.batch}-t{state.threads}",
            f"{state.provenance}{', packaged' if state.packaged else ''}",
            str(state.rows),
            "-" if state.mape_percent is None else f"{state.mape_percent:.2f}",
            str(state.path),
        ]
        for state in states
    ]
    print_table(["device", "table", "provenance", "rows", "MAPE %", "file"], rows)
