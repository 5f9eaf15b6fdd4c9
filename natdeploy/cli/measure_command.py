"""`natdeploy measure`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import milliseconds, print_line

if TYPE_CHECKING:
    from natdeploy.api import Context, MeasureResult, SubnetSource, TableSelector


@click.command("measure", cls=Command)
@click.argument("subnet", metavar="SUBNET|FILE", type=click.Path(path_type=Path))
@options.device_option
@click.option("--runtime", default=None, help="Runtime.  [default: the file's, or the device's]")
@click.option("--threads", type=click.IntRange(min=1, max=256), default=None, help="Threads.  [default: the device's]")
@options.subnet_options
@options.seed_option
@options.json_option
@options.with_selector
def command(
    subnet: SubnetSource,
    device: str,
    selector: TableSelector,
    seed: int,
    json: bool,  # noqa: FBT001
) -> None:
    """Run a subnet or an exported .onnx, .tflite or .engine file as a whole, and time it."""

    def work(context: Context) -> MeasureResult:
        from natdeploy import api

        return api.measure(subnet, device, selector=selector, seed=seed, context=context)

    options.run_command(work, show, as_json=json)


def show(result: MeasureResult) -> None:
    """Print a measurement for people."""
    stats = result.stats
    print_line(
        f"{milliseconds(stats.median_ms)} on {result.device} with {result.runtime} "
        f"(p10 {milliseconds(stats.p10_ms)}, p90 {milliseconds(stats.p90_ms)}, {stats.runs} runs)"
    )
    if result.levelled_ms is None:
        print_line(f"compare it with no prediction; {result.level}")
    else:
        print_line(f"{milliseconds(result.levelled_ms)} levelled, to compare with predictions: {result.level}")
    if result.disturbance is None:
        print_line("how busy the device was meanwhile is not known: it does not tell")
    else:
        print_line(str(result.disturbance))
