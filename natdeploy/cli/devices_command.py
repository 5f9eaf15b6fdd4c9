"""`natdeploy devices`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_json, print_table

if TYPE_CHECKING:
    from natdeploy.api import DeviceTable


@click.command("devices", cls=Command)
@click.option("--check", is_flag=True, help="Try to reach every device that has an address.")
@options.json_option
def command(check: bool, json: bool) -> None:  # noqa: FBT001
    """List the known devices: what they are, whether they can be reached, and their latency tables."""
    from natdeploy import api
    from natdeploy.api.results import jsonable

    states = api.devices(check=check)
    if json:
        print_json({"ok": True, "devices": jsonable(states)})
        return
    rows = [
        [
            state.name,
            state.kind or "-",
            "-" if state.runtime is None else f"{state.runtime}-{state.precision}-t{state.threads}",
            state.state if state.problem is None else f"{state.state}: {state.problem}",
            ", ".join(map(_describe, state.tables)) or "none",
        ]
        for state in states
    ]
    print_table(["device", "kind", "default", "state", "latency tables"], rows)


def _describe(table: DeviceTable) -> str:
    batch = "" if table.batch == 1 else f"-b{table.batch}"
    origin = table.provenance or f"damaged: {table.problem}"
    packaged = ", packaged" if table.packaged else ""
    return f"{table.runtime}-{table.precision}{batch}-t{table.threads} ({origin}{packaged})"
