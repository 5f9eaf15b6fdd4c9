"""`natdeploy pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.output import print_line
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, TrainingResult

_WITH_RESUME = {"resume", "json"}


@click.command("pretrain")
@click.option("--data", default=None, help="Folder of images, digits, or the name of a published data set.")
@click.option("--supernet", default="starter", help="Search space.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Weights to go on from: a file, packaged or released.  [default: random ones]",
)
@options.width_option
@click.option("--resolutions", default=None, help="Input sizes, such as 32,40,48.  [default: the space's]")
@click.option("--epochs", type=int, default=60, help="Epochs in all.")
@click.option(
    "--largest-only-epochs", type=int, default=30, help="Epochs of the largest network alone, at the beginning."
)
@click.option("--batch-size", type=int, default=128, help="Images in a step.")
@click.option("--lr", type=float, default=0.2, help="Peak learning rate.")
@click.option("--weight-decay", type=float, default=5e-5, help="Weight decay.")
@click.option("--label-smoothing", type=float, default=0.1, help="Label smoothing.")
@click.option("--subnets", type=int, default=2, help="Subnets of each step beside the largest; one is the smallest.")
@click.option("--ema-decay", type=float, default=0.998, help="Decay of the moving average of the weights; 0 for none.")
@click.option("--samples", type=int, default=20, help="Random subnets to test at the end.")
@options.training_threads_option
@options.seed_option
@options.output_option
@options.resume_option
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> None:  # noqa: ANN401
    """Train a supernet, as a rule from nothing: first its largest network, then all, each distilled from it."""
    resolutions = parse_resolutions(values["resolutions"])
    options.require_new_or_resumed(ctx, beside_resume=_WITH_RESUME)

    def work(context: Context) -> TrainingResult:
        from natdeploy import api

        if values["resume"] is not None:
            return api.resume_pretraining(values["resume"], context=context)
        plain = {name: value for name, value in values.items() if name not in {*_WITH_RESUME, "resolutions"}}
        return api.pretrain(**plain, resolutions=resolutions, context=context)

    options.run_command(work, show, as_json=values["json"])


def show(result: TrainingResult) -> None:
    """Print training for people."""
    print_line(f"{result.epochs} epochs, {result.seconds:.0f} s; run: {result.run}")
    random = result.random_top1
    spread = f", {len(random)} random ones {min(random):.4f} to {max(random):.4f}" if random else ""
    print_line(
        f"top-1 on the {result.top1_source} images: largest subnet {result.largest_top1:.4f}, "
        f"smallest {result.smallest_top1:.4f}{spread}"
    )
    print_line(f"weights: {result.weights}")
    print_line(f"next: natdeploy search --data FOLDER --weights {result.weights}")
