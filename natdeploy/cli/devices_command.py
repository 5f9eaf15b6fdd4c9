"""`natdeploy devices`."""

from __future__ import annotations

import click

from natdeploy.cli import options
from natdeploy.cli.output import print_json, print_table


@click.command("devices")
@options.json_option
def command(json: bool) -> None:  # noqa: FBT001
    """List the known devices: what they are, whether they can be reached, and which latency tables there are."""
    from natdeploy import api
    from natdeploy.api.results import jsonable

    states = api.devices()
    if json:
        print_json({"ok": True, "devices": jsonable(states)})
        return
    rows = [
        [
            state.name,
            state.kind,
            state.runtime,
            "reachable" if state.reachable else "not connected",
            ", ".join(state.tables) or "none",
        ]
        for state in states
    ]
    print_table(["device", "kind", "runtime", "state", "latency tables"], rows)
