"""`natdeploy demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import export_command, options, profile_command, search_command
from natdeploy.cli.command import Command
from natdeploy.cli.output import milliseconds, print_line

if TYPE_CHECKING:
    from natdeploy.api import Context, DemoResult


@click.command("demo", cls=Command)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("demo"), help="Folder for the results.")
@options.seed_option
@options.json_option
def command(output: Path, seed: int, json: bool) -> None:  # noqa: FBT001
    """Run every step on bundled data: profile this machine, search within a latency limit, export, check, measure."""

    def work(context: Context) -> DemoResult:
        from natdeploy import api

        return api.demo(output, seed=seed, context=context)

    options.run_command(work, show, as_json=json)


def show(result: DemoResult) -> None:
    """Print the results of the demo as text."""
    profile_command.show(result.profile)
    print_line()
    search_command.show(result.search)
    print_line()
    export_command.show(result.exports)
    print_line()
    latency = result.search.chosen.latency_ms["host"]
    target_ms = result.search.chosen.target_ms["host"]
    print_line(
        f"target {milliseconds(target_ms)}: chosen subnet predicted {milliseconds(latency.predicted)}, "
        f"measured {milliseconds(latency.measured)}; without the target {milliseconds(result.untargeted_ms)} measured"
    )
    print_line(f"subnet:   {result.search.subnet}")
    for exported in result.exports.exports:
        print_line(f"{exported.format + ':':<9} {exported.artifact}")
    print_line(f"report:   {result.search.report}")
