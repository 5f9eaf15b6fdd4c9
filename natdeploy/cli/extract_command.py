"""`natdeploy extract`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_line
from natdeploy.cli.units import parse_latency_limits

if TYPE_CHECKING:
    from natdeploy.api import Context, ExtractResult

# Stands for the only device of a run, whose name only the run knows.
_ONLY = ""


@click.command("extract", cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--row", type=click.IntRange(min=0), default=None, help="Row of the run's archive.csv or front.csv.")
@click.option(
    "--target-latency",
    multiple=True,
    help="Latency limit, such as 20ms (for the only device of the run) or DEVICE=20ms; instead of --row.",
)
@click.option(
    "--supernet",
    default=None,
    help="Supernet of the weights: name or TOML file. Without it, --weights are those of the network itself.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Weights: a file, or `released` for those that OFA published.  [default: the supernet's packaged weights]",
)
@options.width_option
@options.resolution_option
@options.classes_option
@click.option(
    "--data",
    default=None,
    help="Data set for the subnet's BatchNorm statistics; of a run, the folder to which its images have moved.",
)
@options.output_option
@options.json_option
def command(source: Path, row: int | None, target_latency: tuple[str, ...], **values: Any) -> None:  # noqa: ANN401
    """Take a subnet with its weights from a supernet or a finished run. Nothing is trained.

    SOURCE is one of three: a run folder, with --row or --target-latency; an architecture, with --supernet and, unless
    its packaged weights are meant, --weights; or a network such as the NAT authors' net.config, with its own --weights.
    """
    wanted = parse_latency_limits(target_latency, (_ONLY,))
    if len(wanted) > 1 or (wanted and row is not None):
        msg = "give one --row or one --target-latency"
        raise click.UsageError(msg, click.get_current_context())
    if source.is_dir():
        of_others = {"supernet", "weights", "width", "resolution", "classes"}
        options.refuse_beside(click.get_current_context(), f"{source} is a run, which has its own supernet", of_others)
    if not source.is_dir() and (wanted or row is not None):
        msg = f"--row and --target-latency select from a run folder, and {source} is not one"
        raise click.UsageError(msg, click.get_current_context())
    if not source.is_dir() and values["supernet"] is None and values["weights"] is None:
        msg = (
            f"{source} is not a run folder; an architecture needs --supernet, and --weights if there are no packaged "
            "ones; a network with its own weights needs --weights only"
        )
        raise click.UsageError(msg, click.get_current_context())

    def work(context: Context) -> ExtractResult:
        from natdeploy import api

        if source.is_dir():
            limits_ms = wanted[0].get(_ONLY, wanted[0]) if wanted else None
            return api.extract_from_run(
                source,
                row=row,
                latency_limits_ms=limits_ms,
                output=values["output"],
                data=values["data"],
                context=context,
            )
        place = {"data": values["data"], "output": values["output"], "context": context}
        completion = {name: values[name] for name in ("weights", "width", "resolution", "classes")}
        if values["supernet"] is not None:
            return api.extract(source, supernet=values["supernet"], **completion, **place)
        return api.extract_network(api.SubnetSource(source, **completion), **place)

    options.run_command(work, show, as_json=values["json"])


def show(result: ExtractResult) -> None:
    """Print an extracted subnet as text."""
    choice = result.architecture
    described = "of no search space" if choice is None else f"r {choice['r']}, w {choice['w']:g}, d {choice['d']}"
    print_line(f"{result.subnet}: {described}")
    if result.validation_top1 is not None:
        print_line(f"top-1 {result.validation_top1:.4f} on validation images")
    print_line(f"next: natdeploy export {shlex.quote(str(result.subnet))} --format tflite")
