"""`natdeploy search`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import milliseconds, print_line, print_table
from natdeploy.cli.training_options import NAMES, add_preset_recipe_options
from natdeploy.cli.units import (
    name_option,
    parse_accuracies,
    parse_count,
    parse_latency_limits,
    parse_names,
    parse_resolutions,
    parse_size,
)

if TYPE_CHECKING:
    from natdeploy.api import Choice, Context, DeviceLatency, SearchResult

# A search evaluates the weights that it trains, so it keeps no moving average of them.
_RECIPE = tuple(name for name in NAMES if name != "ema_decay")
_PRESET_VALUES = ("warmup_epochs", "adapt_epochs", "initial", "iterations", "candidates", "predictor", *_RECIPE)
_LIMITED = {"madds": parse_count, "params": parse_count, "size": parse_size}
_LATENCY = "latency:"
# The format that each runtime reads.
_FORMATS = {"onnxruntime": "onnx", "litert": "tflite", "tensorrt": "tensorrt"}
_WITH_RESUME = {"resume", "data", "json"}
_WITH_FROM = {
    *("from", "data", "device", "target_latency", "objectives", "prefer", "output", "json"),
    *(f"max_{name}" for name in _LIMITED),
}
_OF_TRAINING = {"data", "weights", "from_scratch", "preset", "threads", *_PRESET_VALUES} - {"predictor"}


@click.command("search", cls=Command)
@click.option(
    "--data",
    default="digits",
    help="Data set: digits, the name of a published data set, or a folder of images. With --resume or --from, the "
    "folder to which the images of the run have moved.",
)
@click.option(
    "--supernet",
    default=None,
    help="Supernet to adapt and search: a space's name or TOML file.  "
    "[default: lite for images of more than 64 pixels, else starter]",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Initial weights: a file, or `released` for those that OFA published.  "
    "[default: packaged weights, else random ones]",
)
@click.option("--from-scratch", is_flag=True, help="Start from random weights, even if there are packaged ones.")
@click.option(
    "--accuracy",
    multiple=True,
    help="Search without training: OFA's accuracy predictor, or a CSV of architectures with measured top-1. "
    "For several tasks, repeat the option as TASK=FILE.",
)
@options.classes_option
@options.width_option
@click.option(
    "--resolutions", default=None, help="Input sizes in pixels, such as 160,192,224.  [default: all of the supernet]"
)
@click.option("-d", "--device", multiple=True, help="Device whose latency counts. Repeatable.  [default: host]")
@click.option(
    "--target-latency",
    multiple=True,
    help="Latency limit, such as 20ms. With 15ms,20ms one network is selected for each limit. "
    "With DEVICE=20ms, repeated for several devices, all limits hold together.",
)
@click.option(
    "--objectives",
    default=None,
    help="Objectives of the search, separated by commas: top1, top1:TASK, madds, params, peak-memory, latency:DEVICE.  "
    "[default: all but peak-memory]",
)
@click.option("--max-madds", default=None, help="Limit on multiply-adds, such as 600M.")
@click.option("--max-params", default=None, help="Limit on parameters, such as 6M.")
@click.option("--max-size", default=None, help="Limit on the size of the fp32 weights, such as 5MB.")
@click.option(
    "--prefer",
    default="accuracy",
    help="Preference among the networks that keep all limits: accuracy, trade-off, or weights of objectives such as "
    "top1=2,madds=1.",
)
@click.option(
    "--preset",
    default=None,
    help="How thoroughly to train and search: quick, photos, paper, released or best.  "
    "[default: photos for a supernet of more than 64 pixels, else quick]",
)
@click.option(
    "--warmup-epochs", type=int, default=None, help="Epochs of training before the search.  [default: the preset's]"
)
@click.option(
    "--adapt-epochs", type=int, default=None, help="Epochs of training in each iteration.  [default: the preset's]"
)
@click.option("--initial", type=int, default=None, help="Networks evaluated at first.  [default: the preset's]")
@click.option("--iterations", type=int, default=None, help="Iterations of the search.  [default: the preset's]")
@click.option(
    "--candidates", type=int, default=None, help="Networks evaluated in each iteration.  [default: the preset's]"
)
@add_preset_recipe_options(_RECIPE)
@click.option(
    "--predictor", default=None, help="Accuracy predictor: auto, rbf, trees, ridge, gp or knn.  [default: the preset's]"
)
@click.option(
    "--from",
    type=click.Path(path_type=Path),
    default=None,
    help="Select from the networks of this finished run, for other devices or limits. Nothing is trained.",
)
@options.training_threads_option
@options.seed_option
@options.output_option
@options.resume_option
@options.json_option
@click.pass_context
def command(ctx: click.Context, /, **values: Any) -> None:  # noqa: ANN401
    """Train a supernet on your data while searching it, and select the most accurate network within a latency limit.

    Without --target-latency, the most accurate network is selected. With --accuracy, nothing is trained: the result is
    an architecture without weights, and `natdeploy extract` takes its weights from a supernet.
    """
    devices = tuple(values["device"])
    resolutions = parse_resolutions(values["resolutions"])
    objectives = parse_names(values["objectives"])
    named = tuple(name.removeprefix(_LATENCY) for name in objectives if name.startswith(_LATENCY))
    limits_ms = parse_latency_limits(tuple(values["target_latency"]), devices or named or ("host",))
    limits = {}
    for name, parse in _LIMITED.items():
        if values[f"max_{name}"] is not None:
            with name_option(f"--max-{name}"):
                limits[name] = parse(values[f"max_{name}"])
    accuracy = parse_accuracies(tuple(values["accuracy"]))
    _refuse_contradictions(ctx, values)
    moved = options.find_given(ctx, "data")

    def work(context: Context) -> SearchResult:
        from natdeploy import api

        if values["resume"] is not None:
            return api.resume(values["resume"], data=moved, context=context)
        # Latency limits and objectives name their devices. This machine counts besides them only if it is named too.
        used = devices or (() if any(limits_ms) or objectives else ("host",))
        goal = api.SearchGoal(
            devices=used,
            latency_limits_ms=limits_ms,
            objectives=objectives,
            limits=limits,
            prefer=values["prefer"],
            tasks=tuple(accuracy) if isinstance(accuracy, dict) else (),
        )
        if values["from"] is not None:
            return api.search_from(values["from"], goal=goal, output=values["output"], data=moved, context=context)
        common = {"goal": goal, "seed": values["seed"], "output": values["output"], "context": context}
        common["supernet"] = api.SpaceSelector(values["supernet"], resolutions, values["width"])
        if accuracy is not None:
            fitted = {name: values[name] for name in ("classes", "predictor") if values[name] is not None}
            return api.search_without_training(accuracy, **fitted, **common)
        changes = {name: values[name] for name in _PRESET_VALUES if values[name] is not None}
        return api.search(
            data=values["data"],
            weights="random" if values["from_scratch"] else values["weights"],
            preset=values["preset"],
            changes=changes,
            threads=values["threads"],
            **common,
        )

    options.run_command(work, show, as_json=values["json"])


def _refuse_contradictions(ctx: click.Context, values: Mapping[str, Any]) -> None:
    if values["resume"] is not None:
        options.refuse_beside(ctx, "--resume takes all options from the run", set(ctx.params) - _WITH_RESUME)
    if values["from"] is not None:
        options.refuse_beside(ctx, "--from selects without training", set(ctx.params) - _WITH_FROM)
    if values["accuracy"]:
        options.refuse_beside(ctx, "--accuracy searches without training", _OF_TRAINING)
    elif values["classes"] is not None:
        msg = "--classes is an option of --accuracy; otherwise the data determine it"
        raise click.UsageError(msg, ctx)
    if values["weights"] is not None and values["from_scratch"]:
        msg = "--from-scratch starts from random weights, so it cannot be used with --weights"
        raise click.UsageError(msg, ctx)


def show(result: SearchResult) -> None:
    """Print the result of a search as text."""
    show_front(result)
    for choice in result.choices:
        _show_choice(choice, result)
    print_line(f"{result.evaluations} {_evaluations(result)}, {result.seconds:.1f} s; run: {result.run}")
    print_line(f"report: {result.report}")
    print_line(f"next: {_next_command(result)}")


def _is_untrained(result: SearchResult) -> bool:
    return result.chosen.top1_source == "predicted"


def _evaluations(result: SearchResult) -> str:
    if _is_untrained(result):
        return "accuracies predicted"
    if not result.evaluations:
        return "new evaluations"
    return f"evaluations in {result.iterations} iteration{'' if result.iterations == 1 else 's'}"


def _next_command(result: SearchResult) -> str:
    if _is_untrained(result):
        return f"natdeploy extract {shlex.quote(str(result.subnet))} --supernet NAME --weights FILE"
    here = Path.cwd()
    subnet = result.subnet.relative_to(here) if result.subnet.is_relative_to(here) else result.subnet
    devices = list(result.chosen.latency_ms.items())
    if not devices:
        return f"natdeploy export {shlex.quote(str(subnet))}"
    device, latency = devices[0]
    where = "" if device == "host" else f" --device {shlex.quote(device)}"
    return f"natdeploy export {shlex.quote(str(subnet))} --format {_FORMATS[latency.runtime]}{where}"


def show_front(result: SearchResult) -> None:
    """Print the front."""
    devices = [name for name in result.front[0] if name.startswith("latency_ms:")]
    tasks = [name for name in result.front[0] if name.startswith("top1:")]
    columns = [f"ms {name[11:]}{_mark(result.chosen.latency_ms[name[11:]])}" for name in devices]
    accuracies = ["top-1", *(f"top-1 {name.removeprefix('top1:')}" for name in tasks)]
    heads = ["row", "r", "depths", *accuracies, "MAdds (M)", "params (M)", *columns]
    rows = [
        [
            str(row["row"]),
            str(row["resolution"]),
            str(row["depths"]),
            f"{row['top1']:.4f}",
            *(f"{row[name]:.4f}" for name in tasks),
            f"{row['madds'] / 1e6:.2f}",
            f"{row['params'] / 1e6:.3f}",
            *(f"{row[name]:.4g}" for name in devices),
        ]
        for row in result.front
    ]
    source = "predicted" if _is_untrained(result) else "on validation images"
    source += ", the mean over the tasks" if tasks else ""
    print_line(f"front of {result.front_size} architectures (top-1 {source}, latency predicted):")
    print_table(heads, rows)


def _show_choice(choice: Choice, result: SearchResult) -> None:
    asked = [f"{ms:.4g} ms on {device}" for device, ms in choice.target_ms.items()]
    asked += [f"at most {limit}" for limit in result.described_limits]
    by = "" if result.prefer == "accuracy" else f", by {result.prefer}"
    print_line(f"choice for {', '.join(asked)}{by}:" if asked else f"choice without a target{by}:")
    print_line(
        f"  top-1 {choice.top1:.4f} {_source(choice)}, "
        f"{choice.madds / 1e6:.2f} M MAdds, {choice.params / 1e6:.3f} M params, "
        f"{4 * choice.params / 1e6:.2f} MB as fp32"
    )
    if choice.top1_by_task:
        print_line("  " + ", ".join(f"{task} {top1:.4f}" for task, top1 in choice.top1_by_task.items()))
    for device, latency in choice.latency_ms.items():
        compared = choice.compared_with.get(device)
        note = f"; its {compared} was compared with the target" if compared else ""
        print_line(
            f"  {device}: predicted {milliseconds(latency.predicted)}{_mark(latency)}, "
            f"upper bound {milliseconds(latency.upper)}, measured {milliseconds(latency.measured)}{note}"
        )
        if latency.measured is not None:
            print_line(f"    {describe_level(latency)}")
    print_line(f"  {choice.subnet}")


def describe_level(latency: DeviceLatency) -> str:
    """Return what a measured latency was before it was levelled."""
    if latency.level is None:
        return "not levelled: the speed of the device when its table was made is not known"
    return f"levelled: it ran {milliseconds(latency.raw)}, at {latency.level:.2f} of the speed when its table was made"


def _source(choice: Choice) -> str:
    if choice.validation_top1 is None:
        return choice.top1_source
    return f"on the {choice.top1_source} images ({choice.validation_top1:.4f} validation)"


def _mark(latency: DeviceLatency) -> str:
    return " (estimated)" if latency.provenance == "estimated" else ""
