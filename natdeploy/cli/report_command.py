"""`natdeploy report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_line
from natdeploy.cli.search_command import show

if TYPE_CHECKING:
    from natdeploy.api import ComparisonResult, Context, FiguresResult, SearchResult


@click.command("report", cls=Command)
@click.argument("runs", metavar="RUN...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--data", default=None, help="Folder to which the images of the run have moved.")
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder for the figures of the run's report, as SVG and PNG files.",
)
@options.output_option
@options.json_option
def command(
    runs: tuple[Path, ...],
    data: str | None,
    figures: Path | None,
    output: Path | None,
    json: bool,  # noqa: FBT001
) -> None:
    """Write the report and the other results of a finished RUN again, or one page that compares several runs.

    The page about several runs is made of their reports. It goes to --output, or to report.html in the current folder.
    """
    context = click.get_current_context()
    if len(runs) > 1:
        options.refuse_beside(context, "several runs are compared by their reports", {"data", "figures"})
        options.run_command(lambda _: _compare(runs, output), _show_comparison, as_json=json)
        return
    options.refuse_beside(context, "the report of a single run is in its folder", {"output"})
    if figures is not None:
        options.refuse_beside(context, "--figures draws what the report has", {"data"})
        options.run_command(lambda _: _draw(runs[0], figures), _show_figures, as_json=json)
        return
    options.run_command(lambda context: _report(runs[0], data, context), show, as_json=json)


def _report(run: Path, data: str | None, context: Context) -> SearchResult:
    from natdeploy import api

    return api.report(run, data=data, context=context)


def _compare(runs: tuple[Path, ...], output: Path | None) -> ComparisonResult:
    from natdeploy import api

    return api.compare_runs(runs, output=output or Path("report.html"))


def _draw(run: Path, folder: Path) -> FiguresResult:
    from natdeploy import api

    return api.draw_figures(run, folder)


def _show_comparison(result: ComparisonResult) -> None:
    print_line(f"report: {result.report}")


def _show_figures(result: FiguresResult) -> None:
    for path in result.figures:
        print_line(str(path))
