"""Options that several commands share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from natdeploy.cli.output import clean_stdout, print_json
from natdeploy.cli.progress import make_reporter
from natdeploy.temporary import gather_temporary_files

Command = Callable[..., Any]

json_option = click.option("--json", is_flag=True, help="Print one JSON document instead of text.")
seed_option = click.option("--seed", type=click.IntRange(min=0, max=2**32 - 1), default=0, help="Random seed.")
device_option = click.option("-d", "--device", default="host", help="Device; `natdeploy devices` lists them.")
width_option = click.option("--width", type=float, default=None, help="Width multiplier of the supernet.")
resolution_option = click.option(
    "--resolution",
    type=click.IntRange(min=32, max=4096),
    default=None,
    help="Input size in pixels, if the file of the subnet does not state it.",
)
classes_option = click.option(
    "--classes",
    type=click.IntRange(min=2, max=100_000),
    default=None,
    help="Number of classes, if the subnet has no task.  [default: 1000]",
)
own_weights_option = click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="Weight file for a net.config or a bare architecture.",
)
training_threads_option = click.option(
    "--threads", type=click.IntRange(min=1, max=256), default=None, help="Threads for training.  [default: all cores]"
)


def find_given(ctx: click.Context, name: str) -> Any:  # noqa: ANN401
    """Return the value of an option if it is on the command line; None otherwise."""
    given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    return ctx.params[name] if given else None


resume_option = click.option(
    "--resume", type=click.Path(path_type=Path), default=None, help="Run folder of an interrupted run to resume."
)
output_option = click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=None, help="File or folder to write to."
)


def table_options(command: Command) -> Command:
    """Add the options that select a latency table; the command gets them as `selector`."""
    options = [
        click.option("--runtime", default=None, help="Inference runtime.  [default: the device's]"),
        click.option("--precision", default=None, help="Numeric precision.  [default: the device's]"),
        click.option("--batch", type=click.IntRange(min=1), default=None, help="Images per call.  [default: 1]"),
        click.option(
            "--threads",
            type=click.IntRange(min=1, max=256),
            default=None,
            help="Threads of the runtime.  [default: the device's]",
        ),
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), with_selector(command))


def with_selector(command: Command) -> Command:
    """Give a command its options of a latency table as one `natdeploy.api.TableSelector`, called `selector`."""

    @functools.wraps(command)
    def call(
        *,
        runtime: str | None = None,
        precision: str | None = None,
        batch: int | None = None,
        threads: int | None = None,
        **values: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        from natdeploy import api

        selector = api.TableSelector(runtime=runtime, precision=precision, batch=batch, threads=threads)
        return command(selector=selector, **values)

    return call


def subnet_options(command: Command) -> Command:
    """Add the options that complete a bare architecture.

    The command gets them, its argument `subnet` and its `--weights`, if it has this option, as one
    `natdeploy.api.SubnetSource`, called `subnet`.
    """

    @functools.wraps(command)
    def with_source(*, subnet: Path, supernet: str | None, **values: Any) -> Any:  # noqa: ANN401
        from natdeploy import api

        names = ("weights", "width", "resolution", "classes")
        completion = {name: values.pop(name) for name in names if name in values}
        return command(subnet=api.SubnetSource(subnet, supernet=supernet, **completion), **values)

    options = [
        click.option(
            "--supernet",
            default=None,
            help="Space of a bare architecture: a name or a TOML file.  [default: the one that contains it]",
        ),
        width_option,
        resolution_option,
        classes_option,
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), with_source)


def require_new_or_resumed(ctx: click.Context, *, beside_resume: Collection[str]) -> None:
    """Require `--data` and `--output` for a new training run. A resumed one may have only `beside_resume`.

    Raises:
        click.UsageError: An option is missing, or must not be given.
    """
    if ctx.params["resume"] is not None:
        refuse_beside(ctx, "--resume takes all options from the run", set(ctx.params) - set(beside_resume))
    elif ctx.params["data"] is None or ctx.params["output"] is None:
        msg = "needs --data and --output, or --resume"
        raise click.UsageError(msg, ctx)


def refuse_beside(ctx: click.Context, why: str, names: Collection[str]) -> None:
    """Refuse the options `names` on the command line.

    Raises:
        click.UsageError: One of them was given. The message names it and begins with `why`.
    """
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if name in names and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            msg = f"{why}, so {parameter.opts[-1]} cannot be used with it"
            raise click.UsageError(msg, ctx)


def run_command(work: Callable[[Any], Any], show: Callable[[Any], None], *, as_json: bool) -> Any:  # noqa: ANN401
    """Do the work of a command, print its result and return it. Progress goes to stderr.

    Of several processes that `torchrun` started, only the first prints.

    Args:
        work: Takes the `natdeploy.api.Context` and returns a result with `to_json`.
        show: Prints the result as text.
        as_json: Print the JSON document instead.
    """
    from natdeploy.api.context import Context

    reporter = make_reporter()
    try:
        with clean_stdout(), gather_temporary_files():
            result = work(Context(reporter=reporter))
    finally:
        close = getattr(reporter, "close", None)
        if close is not None:
            close()
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        return result
    if as_json:
        print_json(result.to_json())
    else:
        show(result)
    return result
