"""`natdeploy export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from natdeploy.cli import options
from natdeploy.cli.output import milliseconds, print_line

if TYPE_CHECKING:
    from natdeploy.api import Context, ExportResult


@click.command("export")
@click.argument("subnet", type=click.Path(path_type=Path))
@click.option("-f", "--format", multiple=True, default=("onnx",), help="onnx or tflite; repeatable.")
@options.subnet_options
@options.own_weights_option
@options.output_option
@options.seed_option
@options.json_option
def command(  # noqa: PLR0917
    subnet: Path,
    format: tuple[str, ...],  # noqa: A002, the option's name
    supernet: str | None,
    width: float | None,
    classes: int | None,
    weights: Path | None,
    output: Path | None,
    seed: int,
    json: bool,  # noqa: FBT001
) -> None:
    """Write SUBNET as a file that is checked to compute the same, with its manifest beside it."""

    def work(context: Context) -> ExportResult:
        from natdeploy import api

        return api.export(
            subnet,
            format,
            output=output,
            supernet=supernet,
            width=width,
            classes=classes,
            weights=weights,
            seed=seed,
            context=context,
        )

    options.run_command(work, show, as_json=json)


def show(result: ExportResult) -> None:
    """Print exports for people."""
    for exported in result.exports:
        parity = exported.parity
        print_line(f"{exported.format}: {exported.artifact} ({exported.size_bytes / 1e6:.2f} MB)")
        print_line(
            f"  same as the subnet on {parity.inputs} images: max error {parity.max_abs_error:.2e} "
            f"({parity.relative_error:.1e} of the largest logit), cosine {parity.cosine:.7f}, "
            f"top-1 agreement {100 * parity.top1_agreement:.0f} %"
        )
        print_line(f"  {milliseconds(exported.latency_ms)} on this machine; manifest {exported.manifest}")
