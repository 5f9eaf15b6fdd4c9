"""`natdeploy profile`."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from natdeploy.cli import options
from natdeploy.cli.command import Command
from natdeploy.cli.output import print_line
from natdeploy.cli.table_text import describe_errors
from natdeploy.cli.units import parse_budget_s, parse_resolutions

if TYPE_CHECKING:
    from natdeploy.api import Context, ProfileResult, ProfilesResult


_DEFAULT_SPACE = "starter"
_FLAGS = ("fresh", "recheck", "measured_only")


@click.command("profile", cls=Command)
@click.option(
    "-d",
    "--device",
    multiple=True,
    default=("host",),
    help="Device; see `natdeploy devices`. Repeat it to profile several at once.",
)
@click.option("--supernet", default=_DEFAULT_SPACE, help="Search space to cover: a name or a TOML file.")
@click.option("--resolutions", default=None, help="Input sizes, such as 160,192,224.  [default: the space's]")
@options.width_option
@options.table_options
@click.option("--fresh", is_flag=True, help="Measure anew instead of adding what is missing.")
@click.option("--recheck", is_flag=True, help="Validate the table by whole networks again.")
@click.option("--measured-only", is_flag=True, help="Never estimate: fail if the device cannot be reached.")
@click.option("--budget", default=None, help="Time that measuring may take, such as 90s or 2m.  [default: no limit]")
@options.output_option
@options.seed_option
@options.json_option
def command(
    device: tuple[str, ...],
    output: Path | None,
    json: bool,  # noqa: FBT001
    **values: Any,  # noqa: ANN401
) -> None:
    """Measure a device: build its per-layer latency table, or add to it what it lacks.

    A device that is not connected gets a table estimated from its description.
    """
    if values["fresh"] and values["recheck"]:
        msg = "--fresh measures and checks everything again, so --recheck cannot be used with it"
        raise click.UsageError(msg)
    sizes = parse_resolutions(values["resolutions"])
    budget_s = None if values["budget"] is None else parse_budget_s(values["budget"])

    def profile(name: str, context: Context) -> ProfileResult:
        from natdeploy import api

        return api.profile(
            name,
            supernet=api.SpaceSelector(values["supernet"], sizes, values["width"]),
            selector=values["selector"],
            options=api.ProfileOptions(budget_s=budget_s, **{flag: values[flag] for flag in _FLAGS}),
            output=output,
            seed=values["seed"],
            context=context,
        )

    if len(device) == 1:
        options.run_command(lambda context: profile(device[0], context), show, as_json=json)
        return
    if output is not None and not output.is_dir():
        msg = f"--output {output}: several devices need a folder that exists"
        raise click.UsageError(msg)
    result = options.run_command(lambda context: _profile_all(device, profile, context), show_all, as_json=json)
    if result.failures:
        raise click.exceptions.Exit(result.failures[0].error.exit_code)


def show(result: ProfileResult) -> None:
    """Print a profile for people."""
    table = result.content
    print_line(f"{table.deployment}: {table.provenance} by {table.method}, {len(table.rows)} rows")
    print_line(f"resolutions {', '.join(map(str, result.resolutions))}; {result.seconds:.1f} s")
    if table.validation is None:
        print_line("never compared with a network that was really run")
    else:
        print_line(describe_errors("networks spread over the range", table.validation))
    if table.random_validation is not None:
        print_line(describe_errors("random networks", table.random_validation))
    if table.latency_correction is not None:
        share = 100 * (table.latency_correction.upper_ratio - 1)
        print_line(
            f"upper bound: {share:+.1f} % of the prediction, {100 * table.latency_correction.coverage:.0f} % coverage"
        )
    print_line(f"table: {result.table}")
    if result.range_ms is not None:
        low, high = result.range_ms
        print_line(f"networks of {result.supernet} take {low:.3g} to {high:.3g} ms (1000 classes)")
        print_line(f"next: natdeploy search{_space_option(result)} --target-latency {math.sqrt(low * high):.2g}ms")


def show_all(result: ProfilesResult) -> None:
    """Print the profiles of several devices for people."""
    from natdeploy.api import DeviceFailure

    for profile in result.profiles:
        if isinstance(profile, DeviceFailure):
            print_line(f"{profile.device}: failed: {profile.error.message}")
            if profile.error.hint:
                print_line(f"  {profile.error.hint}")
        else:
            show(profile)
        print_line()


def _profile_all(
    devices: tuple[str, ...], profile: Callable[[str, Context], ProfileResult], context: Context
) -> ProfilesResult:
    from natdeploy import api

    return api.profile_devices(devices, profile, context=context)


def _space_option(result: ProfileResult) -> str:
    """Return the options of a search that the table is of, where they are not the default."""
    device = result.content.deployment.device
    space = "" if result.supernet == _DEFAULT_SPACE else f" --supernet {shlex.quote(result.supernet)}"
    return space + ("" if device == "host" else f" --device {shlex.quote(device)}")
