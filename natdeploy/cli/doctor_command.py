"""`natdeploy doctor`."""

from __future__ import annotations

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_json, print_line, print_table
from natdeploy.version import __version__


@click.command("doctor", cls=Command)
@options.json_option
def command(json: bool) -> None:  # noqa: FBT001
    """Show what is installed, missing and broken; exit code 1 if something is broken."""
    from natdeploy import api
    from natdeploy.api.results import jsonable

    findings = api.doctor()
    broken = any(finding.state == "broken" for finding in findings)
    if json:
        print_json({"ok": not broken, "natdeploy": __version__, "findings": jsonable(findings)})
    else:
        print_line(f"natdeploy {__version__}")
        rows = [[finding.what, finding.state, finding.detail, finding.needed_for] for finding in findings]
        print_table(["what", "state", "detail", "needed for"], rows)
    if broken:
        raise click.exceptions.Exit(1)
