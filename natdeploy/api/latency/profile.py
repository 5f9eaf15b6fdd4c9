"""Building the latency table of a device."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.api.latency.results import ProfileResult
from natdeploy.api.latency.timers import (
    make_exporter,
    open_timer,
)
from natdeploy.core.device import Deployment, Device
from natdeploy.core.latency import CLASSIFIER_COUNTS, ESTIMATED, MEASURED, LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import DeviceUnreachableError, InputError
from natdeploy.files import require_writable
from natdeploy.io.devices import find_deployment, find_device
from natdeploy.io.spaces import resolve_space
from natdeploy.io.table_store import find_table, resolve_table_file
from natdeploy.io.tables import read_table, replace_table, write_table
from natdeploy.ports import Reporter

if TYPE_CHECKING:
    from natdeploy.profilers.setup import ProfilingSetup

_EXCEEDED = 1.25
_GOES_ON = "what is measured so far is kept: the same command goes on behind it"


def profile(
    device: str = "host",
    *,
    supernet: str = "starter",
    resolutions: tuple[int, ...] | None = None,
    width: float | None = None,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    fresh: bool = False,
    recheck: bool = False,
    measured_only: bool = False,
    budget_s: float | None = None,
    output: Path | None = None,
    seed: int = 0,
    context: Context | None = None,
) -> ProfileResult:
    """Build the latency table of a device, or add to it what it lacks for a search space.

    A device that cannot be reached gets an estimated table from its description.

    Args:
        device: Name of the device.
        supernet: Search space to cover.
        resolutions: Input sizes to cover; the space's own where None.
        width: The only width to cover; all of the space's where None.
        runtime: Runtime; the device's default where None, as for the next three.
        precision: Precision.
        batch: Images in one call.
        threads: Threads of the runtime.
        fresh: Measure anew instead of adding to an existing table.
        recheck: Run whole networks against the table again, even where it lacks nothing.
        measured_only: Never estimate.
        budget_s: Seconds that measuring may take; as long as it needs where None.
        output: File to write instead of the user's own table.
        seed: Seed of weights and of the order of measurements.
        context: Reporter and clock.

    Raises:
        InputError: A name or number is not valid, or a table of another provenance is there.
        DeviceUnreachableError: The device cannot be reached, and `measured_only` is set or it has no figures to
            estimate from.
        MissingRuntimeError: The runtime is not installed.
        OutputError: The table cannot be written.
    """
    from natdeploy.profilers.setup import ProfilingSetup

    context = context or Context()
    space = resolve_space(supernet, resolutions, width)
    described = find_device(device)
    deployment = find_deployment(described, runtime=runtime, precision=precision, batch=batch, threads=threads)
    path = resolve_table_file(output, deployment)
    stored = None if output is not None or fresh else find_table(deployment)
    source = path if path.exists() and not fresh else stored.path if stored else None
    existing = _existing(source, deployment, recheck=recheck)
    require_writable(path)
    if deployment.precision in described.slow_precisions:
        context.reporter.warn(
            f"{device} does not run {deployment.precision} any faster: it has no fast arithmetic for it"
        )
    started = context.clock.seconds()
    with contextlib.ExitStack() as stack:
        try:
            timer = stack.enter_context(open_timer(described, deployment, context))
        except DeviceUnreachableError as error:
            kept = path if _is_measured(path) else source
            if kept is not None and _is_measured(kept):
                stays = f"its table of real latencies stays as it is: {kept}"
                hint = "; ".join(part for part in (error.hint, stays) if part)
                raise DeviceUnreachableError(error.message, hint=hint) from error
            if measured_only:
                raise
            table = _estimate(space, described, deployment, existing, reason=error, context=context)
        else:
            if stored is not None and stored.packaged and existing is not None and existing.provenance == ESTIMATED:
                existing = None
            setup = ProfilingSetup(
                timer=timer,
                exporter=make_exporter(described, deployment),
                clock=context.clock,
                reporter=context.reporter,
                seed=seed,
            )
            table = _measure(
                space,
                deployment,
                setup,
                existing,
                journal=_journal(path),
                fresh=fresh,
                recheck=recheck,
                budget_s=budget_s,
            )
    if table != existing or source != path:
        _write(path, table, fresh=fresh, reporter=context.reporter)
    _journal(path).unlink(missing_ok=True)
    covered = table.find_covered_resolutions(space, max(CLASSIFIER_COUNTS))
    seconds = round(context.clock.seconds() - started, 3)
    _warn_of_time(seconds, budget_s, context.reporter)
    return ProfileResult(table=path, content=table, resolutions=covered, seconds=seconds)


def _existing(source: Path | None, deployment: Deployment, *, recheck: bool) -> LatencyTable | None:
    existing = read_table(source) if source is not None else None
    if existing is not None and existing.deployment != deployment:
        msg = f"{source}: holds the table of another deployment: {existing.deployment}"
        raise InputError(
            msg, hint="choose another file with --output, or a folder: every deployment has its place in it"
        )
    if recheck and (existing is None or existing.provenance != MEASURED):
        msg = f"there is no measured table of {deployment} whose check could be repeated"
        raise InputError(msg, hint=f"make one with: natdeploy profile --device {deployment.device}")
    return existing


def _write(path: Path, table: LatencyTable, *, fresh: bool, reporter: Reporter) -> None:
    if fresh and path.exists():
        reporter.info(f"the table that was there is kept: {replace_table(path, table, fresh=True)}")
    else:
        write_table(path, table, fresh=fresh)


def _warn_of_time(seconds: float, budget_s: float | None, reporter: Reporter) -> None:
    if budget_s is not None and seconds > _EXCEEDED * budget_s:
        reporter.warn(
            f"this took {seconds:.0f} s instead of {budget_s:g} s: one resolution and the check are always measured"
        )


def _measure(
    space: SearchSpace,
    deployment: Deployment,
    setup: ProfilingSetup,
    existing: LatencyTable | None,
    *,
    journal: Path,
    fresh: bool,
    recheck: bool,
    budget_s: float | None,
) -> LatencyTable:
    from natdeploy.profilers.budget import Budget
    from natdeploy.profilers.table_building import profile_device

    budget = None if budget_s is None else Budget(budget_s, setup.clock)
    try:
        return profile_device(
            space, deployment, setup, existing=existing, journal=journal, fresh=fresh, recheck=recheck, budget=budget
        )
    except DeviceUnreachableError as error:
        hint = "; ".join(part for part in (error.hint, _GOES_ON) if part)
        raise DeviceUnreachableError(error.message, hint=hint) from error


def _journal(path: Path) -> Path:
    return path.with_suffix(".journal.jsonl")


def _estimate(
    space: SearchSpace,
    device: Device,
    deployment: Deployment,
    existing: LatencyTable | None,
    *,
    reason: DeviceUnreachableError,
    context: Context,
) -> LatencyTable:
    from natdeploy.profilers.roofline import estimate_table

    if device.roofline is None:
        msg = f"{reason.message}; its description has no [roofline] figures to estimate from, it can only be measured"
        raise DeviceUnreachableError(msg, hint=reason.hint) from reason
    context.reporter.warn(f"{reason.message}; its latencies are estimated from its description, nothing is run")
    return estimate_table(space, device, deployment, existing, clock=context.clock)


def _is_measured(path: Path) -> bool:
    """Tell whether a table is there that an estimate must not replace, even where it is to be measured anew."""
    return path.exists() and read_table(path).provenance != ESTIMATED
