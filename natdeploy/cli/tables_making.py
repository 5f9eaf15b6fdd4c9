"""`natdeploy tables import`, `fit` and `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.table_text import print_header
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, TableResult

_supernet = click.option("--supernet", default="nat", help="Search space of the networks.")
_fresh = click.option("--fresh", is_flag=True, help="Replace a table of another provenance.")
_measurements = click.option(
    "--measurements",
    type=click.Path(path_type=Path),
    required=True,
    help="CSV of whole networks: latency_ms, and encoding or architecture (JSON); classes where not 1000.",
)


@click.command("import")
@click.argument("source", metavar="PATH", type=click.Path(path_type=Path))
@click.option("--format", "kind", required=True, help="ofa (a folder of YAML files) or nsganet (one file).")
@click.option("-d", "--device", required=True, help="Device that the table is of.")
@click.option("--supernet", required=True, help="Search space that the table was made for.")
@options.table_options
@_fresh
@options.output_option
@options.json_option
def import_command(  # noqa: PLR0917
    source: Path,
    kind: str,
    device: str,
    supernet: str,
    runtime: str | None,
    precision: str | None,
    batch: int | None,
    threads: int | None,
    fresh: bool,  # noqa: FBT001
    output: Path | None,
    json: bool,  # noqa: FBT001
) -> None:
    """Take over the latency table at PATH, once it is checked against the layers of a search space.

    An imported table that is there already is replaced, and kept as .bak beside it.
    """

    def work(context: Context) -> TableResult:
        from natdeploy import api

        return api.import_table(
            source,
            format=kind,
            device=device,
            supernet=supernet,
            runtime=runtime,
            precision=precision,
            batch=batch,
            threads=threads,
            fresh=fresh,
            output=output,
            context=context,
        )

    options.run_command(work, print_header, as_json=json)


@click.command("fit")
@_measurements
@options.device_option
@_supernet
@click.option("--resolutions", default=None, help="Input sizes to cover.  [default: all that were measured]")
@options.table_options
@_fresh
@options.output_option
@options.json_option
def fit_command(  # noqa: PLR0917
    measurements: Path,
    device: str,
    supernet: str,
    resolutions: str | None,
    runtime: str | None,
    precision: str | None,
    batch: int | None,
    threads: int | None,
    fresh: bool,  # noqa: FBT001
    output: Path | None,
    json: bool,  # noqa: FBT001
) -> None:
    """Fit a per-layer table to whole networks that were measured on a device; 20 of them at least."""
    sizes = parse_resolutions(resolutions)

    def work(context: Context) -> TableResult:
        from natdeploy import api

        return api.fit_table(
            measurements,
            device=device,
            supernet=supernet,
            resolutions=sizes,
            runtime=runtime,
            precision=precision,
            batch=batch,
            threads=threads,
            fresh=fresh,
            output=output,
            context=context,
        )

    options.run_command(work, print_header, as_json=json)


@click.command("calibrate")
@click.option("--from", "source", required=True, help="Table to correct: a file, or a device.")
@_measurements
@options.device_option
@_supernet
@options.table_options
@_fresh
@options.output_option
@options.json_option
def calibrate_command(  # noqa: PLR0917
    source: str,
    measurements: Path,
    device: str,
    supernet: str,
    runtime: str | None,
    precision: str | None,
    batch: int | None,
    threads: int | None,
    fresh: bool,  # noqa: FBT001
    output: Path | None,
    json: bool,  # noqa: FBT001
) -> None:
    """Turn another device's table into one of this device, by ten or more networks that were measured on it."""

    def work(context: Context) -> TableResult:
        from natdeploy import api

        return api.calibrate_table(
            measurements,
            source=source,
            device=device,
            supernet=supernet,
            runtime=runtime,
            precision=precision,
            batch=batch,
            threads=threads,
            fresh=fresh,
            output=output,
            context=context,
        )

    options.run_command(work, print_header, as_json=json)
