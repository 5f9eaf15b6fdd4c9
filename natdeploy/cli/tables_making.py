"""`natdeploy tables import`, `fit` and `calibrate`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.table_text import print_header
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, TableResult

_supernet = click.option("--supernet", default="nat", help="Search space of the networks: a name or a TOML file.")
_measurements = click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV of whole networks: latency_ms, and encoding or architecture (JSON); classes if they are not 1000.",
)


def _output_options(command: options.Command) -> options.Command:
    """Add the options of the file to write; the command gets them as one `natdeploy.api.TableOutput`."""

    @functools.wraps(command)
    def call(*, output: Path | None, fresh: bool, **values: Any) -> Any:  # noqa: ANN401
        from natdeploy import api

        return command(output=api.TableOutput(path=output, fresh=fresh), **values)

    fresh_option = click.option("--fresh", is_flag=True, help="Replace a table of another provenance.")
    return fresh_option(options.output_option(call))


@click.command("import", cls=Command, short_help="Import a table of once-for-all or NSGANetV2.")
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--format", required=True, help="ofa (a folder of YAML files) or nsganet (one file).")
@click.option("-d", "--device", required=True, help="Device that the table is of.")
@click.option("--supernet", required=True, help="Search space that the table was made for: a name or a TOML file.")
@options.table_options
@_output_options
@options.json_option
def import_command(source: Path, json: bool, **how: Any) -> None:  # noqa: FBT001, ANN401
    """Import the latency table at PATH, after it is checked against the layers of a search space.

    An imported table that already exists is replaced, and kept as .bak beside it.
    """

    def work(context: Context) -> TableResult:
        from natdeploy import api

        return api.import_table(source, context=context, **how)

    options.run_command(work, print_header, as_json=json)


@click.command("fit", cls=Command, short_help="Fit a table to whole networks that were measured.")
@_measurements
@options.device_option
@_supernet
@click.option("--resolutions", default=None, help="Input sizes to cover.  [default: all that were measured]")
@options.table_options
@_output_options
@options.json_option
def fit_command(
    measurements: Path,
    supernet: str,
    resolutions: str | None,
    json: bool,  # noqa: FBT001
    **how: Any,  # noqa: ANN401
) -> None:
    """Fit a per-layer table to at least 20 whole networks that were measured on a device."""
    sizes = parse_resolutions(resolutions)

    def work(context: Context) -> TableResult:
        from natdeploy import api

        space = api.SpaceSelector(supernet, sizes)
        return api.fit_table(measurements, supernet=space, context=context, **how)

    options.run_command(work, print_header, as_json=json)


@click.command("calibrate", cls=Command, short_help="Correct another device's table by networks measured on this one.")
@click.option("--from", "source", required=True, help="Table to correct: a file, or a device.")
@_measurements
@options.device_option
@_supernet
@options.table_options
@_output_options
@options.json_option
def calibrate_command(measurements: Path, json: bool, **how: Any) -> None:  # noqa: FBT001, ANN401
    """Turn another device's table into one of this device, by at least ten networks that were measured on it."""

    def work(context: Context) -> TableResult:
        from natdeploy import api

        return api.calibrate_table(measurements, context=context, **how)

    options.run_command(work, print_header, as_json=json)
