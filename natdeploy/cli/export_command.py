"""`natdeploy export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import milliseconds, print_line
from natdeploy.cli.units import parse_batch

if TYPE_CHECKING:
    from natdeploy.api import Context, ExportResult, SubnetSource
    from natdeploy.api.exporting.results import Parity


@click.command("export", cls=Command)
@click.argument("subnet", type=click.Path(path_type=Path))
@click.option("-f", "--format", multiple=True, default=("onnx",), help="onnx, tflite or tensorrt; repeatable.")
@options.device_option
@click.option("--precision", default="fp32", help="fp32, fp16 or int8.")
@click.option(
    "--calibration",
    metavar="NAME|FOLDER",
    default=None,
    help="Images from which int8 ranges are computed.  [default: train images of the subnet's task]",
)
@click.option(
    "--normalize-inside", is_flag=True, help="The file takes pixels between 0 and 255 and normalizes them itself."
)
@click.option("--softmax-inside", is_flag=True, help="The file returns probabilities instead of logits.")
@click.option("--batch", default="1", help="Images per call, or dynamic (onnx).")
@click.option("--opset", type=int, default=None, help="ONNX operator set (onnx).  [default: 17]")
@click.option("--int8-input", is_flag=True, help="The file takes int8 values instead of float32 (tflite).")
@click.option("--no-build", is_flag=True, help="Write only what the device needs to build its engine (tensorrt).")
@options.subnet_options
@options.own_weights_option
@options.output_option
@options.seed_option
@options.json_option
def command(
    subnet: SubnetSource,
    format: tuple[str, ...],  # noqa: A002, the option's name
    output: Path | None,
    seed: int,
    json: bool,  # noqa: FBT001
    **how: Any,  # noqa: ANN401
) -> None:
    """Write SUBNET as a file, check that the file computes the same, and write its manifest beside it."""

    def work(context: Context) -> ExportResult:
        from natdeploy import api

        return api.export(
            subnet,
            format,
            options=api.ExportOptions(**{**how, "batch": parse_batch(how["batch"])}),
            output=output,
            seed=seed,
            context=context,
        )

    options.run_command(work, show, as_json=json)


def show(result: ExportResult) -> None:
    """Print exports for people."""
    for exported in result.exports:
        parity, accuracy, delegation = exported.parity, exported.accuracy, exported.delegation
        print_line(f"{exported.format} {exported.precision}: {exported.artifact} ({exported.size_bytes / 1e6:.2f} MB)")
        print_line(f"  {_compared(parity)}")
        if accuracy is not None:
            print_line(
                f"  top-1 on {accuracy.images} validation images: {accuracy.before:.4f} of the subnet, "
                f"{accuracy.after:.4f} of the file"
            )
        if delegation is not None:
            print_line(f"  {delegation}")
        plain = exported.fp32_latency_ms
        fp32 = "" if plain is None else f" (fp32: {milliseconds(plain)})"
        where = "this machine" if exported.device == "host" else exported.device
        measured = exported.latency_ms
        latency = "latency not measured" if measured is None else f"{milliseconds(measured)} on {where}"
        print_line(f"  {latency}{fp32}; manifest {exported.manifest}")
        for path in exported.extra_files:
            print_line(f"  {path}")


def _compared(parity: Parity) -> str:
    if parity.passed is None:
        return f"not compared with the subnet: {parity.reason}"
    return (
        f"checked against the subnet on {parity.inputs} images: max error {parity.max_abs_error:.2e} "
        f"({parity.relative_error:.1e} of the largest output), cosine {parity.cosine:.7f}, "
        f"top-1 agreement {100 * parity.top1_agreement:.0f} %"
    )
