"""`natdeploy pretrain`."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from natdeploy import api
from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_line
from natdeploy.cli.training_options import add_recipe_options, read_recipe
from natdeploy.cli.units import parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, TrainingResult, TrainingSettings

_WITH_RESUME = {"resume", "data", "json"}
_PLAIN = ("data", "output", "original", "weights", "threads")
_SETTINGS = ("epochs", "largest_only_epochs", "samples", "seed")
_WITH_LABELS = {
    *("largest_only_epochs", "label_smoothing", "distillation", "hard_label_weight"),
}


@click.command("pretrain", cls=Command)
@click.option("--data", default=None, help="Folder of images, digits, or the name of a published data set.")
@click.option("--supernet", default="starter", help="Search space: a name or a TOML file.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Initial weights: a file, packaged, or released (those of OFA).  [default: random]",
)
@click.option(
    "--from",
    "original",
    default="",
    help="Pretrained network that becomes the largest one and teaches all others: efficientnet-lite0, -lite1, -lite2, "
    "torchvision:mobilenet_v2, torchvision:mobilenet_v3_large, torchvision:efficientnet_b0, or a file of one of these "
    "layouts. --data is then a folder of pictures without labels. With --weights, of an earlier run with it, it only "
    "teaches.",
)
@options.width_option
@click.option("--resolutions", default=None, help="Input sizes, such as 32,40,48.  [default: the space's]")
@click.option("--epochs", type=int, default=api.PRETRAINING.epochs, help="Total number of epochs.")
@click.option(
    "--largest-only-epochs",
    type=int,
    default=api.PRETRAINING.largest_only_epochs,
    help="How many of them train the largest network alone at first.",
)
@add_recipe_options(api.PRETRAINING.recipe)
@click.option(
    "--samples", type=int, default=api.PRETRAINING.samples, help="Number of random subnets to test at the end."
)
@options.training_threads_option
@options.seed_option
@options.output_option
@options.resume_option
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> None:  # noqa: ANN401
    """Train a supernet: first its largest network, then all subnets, each distilled from the largest.

    With --from, a network that was pretrained elsewhere is the largest one, and no labels are needed. Fewer epochs and
    a lower learning rate are then the defaults.
    """
    resolutions = parse_resolutions(values["resolutions"])
    options.require_new_or_resumed(ctx, beside_resume=_WITH_RESUME)
    if values["original"]:
        options.refuse_beside(ctx, "--from distils from a pretrained network without labels", _WITH_LABELS)
        values = _replace_defaults(ctx, values, api.DISTILLATION)

    def work(context: Context) -> TrainingResult:
        if values["resume"] is not None:
            return api.resume_pretraining(values["resume"], data=options.find_given(ctx, "data"), context=context)
        settings = {name: values[name] for name in _SETTINGS}
        return api.pretrain(
            **{name: values[name] for name in _PLAIN},
            supernet=api.SpaceSelector(values["supernet"], resolutions, values["width"]),
            settings=api.TrainingSettings(recipe=read_recipe(values), **settings),
            context=context,
        )

    options.run_command(work, show, as_json=values["json"])


def _replace_defaults(ctx: click.Context, values: Mapping[str, Any], settings: TrainingSettings) -> dict[str, Any]:
    """Return the values of the options with those of `settings` in place of the defaults."""
    wanted = {**dataclasses.asdict(settings), **dataclasses.asdict(settings.recipe)}
    return {
        name: wanted[name] if name in wanted and ctx.get_parameter_source(name) is ParameterSource.DEFAULT else value
        for name, value in values.items()
    }


def show(result: TrainingResult) -> None:
    """Print training for people."""
    epochs = "1 epoch" if result.epochs == 1 else f"{result.epochs} epochs"
    print_line(f"{epochs}, {result.seconds:.0f} s; run: {result.run}")
    random = result.random_top1
    spread = f", {len(random)} random ones {min(random):.4f} to {max(random):.4f}" if random else ""
    what = (
        "agreement with the pretrained network on held-out pictures"
        if result.top1_source == "agreement"
        else f"top-1 on the {result.top1_source} images"
    )
    print_line(f"{what}: largest subnet {result.largest_top1:.4f}, smallest {result.smallest_top1:.4f}{spread}")
    print_line(f"weights: {result.weights}")
    print_line(f"next: {_next_command(result)}")


def _next_command(result: TrainingResult) -> str:
    """Return the search that starts from the weights. Pictures without classes are no data to search on."""
    here = Path.cwd()
    folder = Path(result.data)
    near = str(folder.relative_to(here)) if folder.is_relative_to(here) else result.data
    data = "FOLDER" if result.top1_source == "agreement" else shlex.quote(near)
    space = shlex.quote(result.supernet)
    return f"natdeploy search --data {data} --supernet {space} --weights {shlex.quote(str(result.weights))}"
