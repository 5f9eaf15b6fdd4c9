"""`natdeploy adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.pretrain_command import show
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, TrainingResult

_WITH_RESUME = {"resume", "json"}
_RENAMED = {"resolutions", "from_population"}


@click.command("adapt")
@click.option("--data", default=None, help="Folder of images, digits, or the name of a published data set.")
@click.option("--supernet", default="starter", help="Search space.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Weights to start from: a file, or released, those of OFA.  [default: those packaged]",
)
@click.option(
    "--from-population",
    type=click.Path(path_type=Path),
    default=None,
    help="Train for the architectures of this CSV, such as a run's archive.csv.  [default: for all alike]",
)
@options.width_option
@click.option("--resolutions", default=None, help="Input sizes, such as 32,40,48.  [default: the space's]")
@click.option("--epochs", type=int, default=20, help="Epochs.")
@click.option("--batch-size", type=int, default=32, help="Images in a step.")
@click.option("--lr", type=float, default=0.1, help="Peak learning rate.")
@click.option("--weight-decay", type=float, default=1e-4, help="Weight decay.")
@click.option("--label-smoothing", type=float, default=0.1, help="Label smoothing.")
@click.option("--subnets", type=int, default=2, help="Subnets of each step beside the largest.")
@click.option(
    "--distillation/--no-distillation",
    default=True,
    help="Have subnets learn from the largest network, or from the labels alone.",
)
@click.option("--hard-label-weight", type=float, default=0.0, help="Weight of the labels beside the largest's answers.")
@click.option("--cutmix", type=float, default=0.0, help="Probability that the images of a batch are mixed.")
@click.option("--sandwich/--no-sandwich", default=False, help="Always have the smallest subnet among those of a step.")
@click.option("--ema-decay", type=float, default=0.0, help="Decay of the moving average of the weights; 0 for none.")
@click.option("--samples", type=int, default=20, help="Random subnets to evaluate at the end.")
@options.training_threads_option
@options.seed_option
@options.output_option
@options.resume_option
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> None:  # noqa: ANN401
    """Train a supernet on a task without searching: random subnets, by default each distilled from the largest.

    With several GPUs: torchrun --nproc-per-node N -m natdeploy adapt OPTIONS
    """
    resolutions = parse_resolutions(values["resolutions"])
    options.require_new_or_resumed(ctx, beside_resume=_WITH_RESUME)

    def work(context: Context) -> TrainingResult:
        from natdeploy import api

        if values["resume"] is not None:
            return api.resume_adaptation(values["resume"], context=context)
        plain = {name: value for name, value in values.items() if name not in {*_WITH_RESUME, *_RENAMED}}
        return api.adapt(**plain, population=values["from_population"], resolutions=resolutions, context=context)

    options.run_command(work, show, as_json=values["json"])
