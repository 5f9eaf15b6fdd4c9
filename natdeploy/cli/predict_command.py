"""`natdeploy predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import milliseconds, print_line

if TYPE_CHECKING:
    from natdeploy.api import Context, PredictResult, SubnetSource, TableSelector


@click.command("predict", cls=Command)
@click.argument("subnet", type=click.Path(path_type=Path))
@options.device_option
@options.table_options
@options.subnet_options
@options.json_option
def command(
    subnet: SubnetSource,
    device: str,
    selector: TableSelector,
    json: bool,  # noqa: FBT001
) -> None:
    """Predict the latency of SUBNET by a latency table of a device; nothing is run."""

    def work(context: Context) -> PredictResult:
        from natdeploy import api

        return api.predict(subnet, device, selector=selector, context=context)

    options.run_command(work, show, as_json=json)


def show(result: PredictResult) -> None:
    """Print a prediction for people."""
    predicted = result.prediction
    print_line(f"{milliseconds(predicted.latency_ms)} on {result.device} with {result.runtime} ({result.provenance})")
    if predicted.coverage is not None:
        print_line(
            f"between {milliseconds(predicted.lower_ms)} and {milliseconds(predicted.upper_ms)}; "
            f"at most the latter with {100 * predicted.coverage:.0f} % coverage"
        )
