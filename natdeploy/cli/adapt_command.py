"""`natdeploy adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy import api
from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.pretrain_command import show
from natdeploy.cli.training_options import add_recipe_options, read_recipe
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, TrainingResult

_WITH_RESUME = {"resume", "data", "json"}
_PLAIN = ("data", "output", "weights", "threads")
_SETTINGS = ("epochs", "samples", "seed")


@click.command("adapt", cls=Command)
@click.option("--data", default=None, help="Folder of images, digits, or the name of a published data set.")
@click.option(
    "--supernet",
    default=None,
    help="Search space: a name or a TOML file.  [default: lite for images of more than 64 pixels, else starter]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Initial weights: a file, packaged, or released (those of OFA).  [default: packaged]",
)
@click.option(
    "--from-population",
    type=click.Path(path_type=Path),
    default=None,
    help="CSV of architectures to train for, such as a run's archive.csv.  [default: all alike]",
)
@options.width_option
@click.option("--resolutions", default=None, help="Input sizes, such as 32,40,48.  [default: the space's]")
@click.option("--epochs", type=int, default=api.ADAPTATION.epochs, help="Number of epochs.")
@add_recipe_options(api.ADAPTATION.recipe)
@click.option(
    "--samples", type=int, default=api.ADAPTATION.samples, help="Number of random subnets to evaluate at the end."
)
@options.training_threads_option
@options.seed_option
@options.output_option
@options.resume_option
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> None:  # noqa: ANN401
    """Train a supernet on a task without a search: random subnets, by default each distilled from the largest.

    With several GPUs: torchrun --nproc-per-node N -m natdeploy adapt OPTIONS
    """
    resolutions = parse_resolutions(values["resolutions"])
    options.require_new_or_resumed(ctx, beside_resume=_WITH_RESUME)

    def work(context: Context) -> TrainingResult:
        if values["resume"] is not None:
            return api.resume_adaptation(values["resume"], data=options.find_given(ctx, "data"), context=context)
        return api.adapt(
            **{name: values[name] for name in _PLAIN},
            supernet=api.SpaceSelector(values["supernet"], resolutions, values["width"]),
            population=values["from_population"],
            settings=api.TrainingSettings(recipe=read_recipe(values), **{name: values[name] for name in _SETTINGS}),
            context=context,
        )

    options.run_command(work, show, as_json=values["json"])
