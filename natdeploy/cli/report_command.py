"""`natdeploy report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.search_command import show

if TYPE_CHECKING:
    from natdeploy.api import Context, SearchResult


@click.command("report", cls=Command)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", default=None, help="Folder to which the images of the run have moved.")
@options.json_option
def command(run: Path, data: str | None, json: bool) -> None:  # noqa: FBT001
    """Write the report and the other results of a finished RUN again."""

    def work(context: Context) -> SearchResult:
        from natdeploy import api

        return api.report(run, data=data, context=context)

    options.run_command(work, show, as_json=json)
