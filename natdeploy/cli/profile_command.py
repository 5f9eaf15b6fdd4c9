"""`natdeploy profile`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.output import print_line
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, ProfileResult


@click.command("profile")
@options.device_option
@click.option("--supernet", default="starter", help="Search space to cover.")
@click.option("--resolutions", default=None, help="Input sizes, such as 160,192,224.  [default: the space's]")
@options.width_option
@options.table_options
@click.option("--fresh", is_flag=True, help="Measure anew instead of adding what is missing.")
@click.option("--measured-only", is_flag=True, help="Never estimate: fail when the device cannot be reached.")
@options.output_option
@options.seed_option
@options.json_option
def command(  # noqa: PLR0917
    device: str,
    supernet: str,
    resolutions: str | None,
    width: float | None,
    runtime: str | None,
    precision: str | None,
    batch: int | None,
    threads: int | None,
    fresh: bool,  # noqa: FBT001
    measured_only: bool,  # noqa: FBT001
    output: Path | None,
    seed: int,
    json: bool,  # noqa: FBT001
) -> None:
    """Measure a device: build its per-layer latency table, or add to it what it lacks.

    A device that is not connected gets a table estimated from its description.
    """
    sizes = parse_resolutions(resolutions)

    def work(context: Context) -> ProfileResult:
        from natdeploy import api

        return api.profile(
            device,
            supernet=supernet,
            resolutions=sizes,
            width=width,
            runtime=runtime,
            precision=precision,
            batch=batch,
            threads=threads,
            fresh=fresh,
            measured_only=measured_only,
            output=output,
            seed=seed,
            context=context,
        )

    options.run_command(work, show, as_json=json)


def show(result: ProfileResult) -> None:
    """Print a profile for people."""
    table = result.content
    print_line(f"{table.target}: {table.provenance} by {table.method}, {len(table.rows)} rows")
    print_line(f"resolutions {', '.join(map(str, result.resolutions))}; {result.seconds:.1f} s")
    checked = table.validation
    if checked is None:
        print_line("never compared with a network that was really run")
    else:
        print_line(
            f"error over {checked.networks} whole networks: MAPE {checked.mape_percent:.2f} %, "
            f"max {checked.max_error_percent:.2f} %, within 5 %: {100 * checked.within_5_percent:.0f} %, "
            f"Kendall tau {checked.kendall_tau:.3f}"
        )
    print_line(f"table: {result.table}")
    print_line("next: natdeploy search --target-latency 20ms" + _device_option(table.target.device))


def _device_option(device: str) -> str:
    return "" if device == "host" else f" --device {device}"
