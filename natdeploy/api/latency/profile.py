"""Building the latency table of a device."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.api.latency.results import ProfileResult
from natdeploy.api.latency.timers import make_timing_exporter, open_timer
from natdeploy.core.architecture import largest, smallest
from natdeploy.core.checked import check_fields, checked
from natdeploy.core.device import DEFAULT_TABLE, HOST, Deployment, Device, TableSelector, find_deployment
from natdeploy.core.device_identity import are_same_machine, describe_machine
from natdeploy.core.latency import CLASSIFIER_COUNTS, ESTIMATED, MEASURED, LatencyTable
from natdeploy.core.layers import walk
from natdeploy.core.ranges import AboveZero, Seed
from natdeploy.core.space import SearchSpace
from natdeploy.errors import DeviceUnreachableError, InputError
from natdeploy.files import require_writable
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import SpaceSelector, resolve_space, shipped_spaces
from natdeploy.io.table_store import find_table, resolve_table_file
from natdeploy.io.tables import read_table, replace_table, write_table
from natdeploy.ports import Reporter

if TYPE_CHECKING:
    from natdeploy.profilers.setup import ProfilingSetup

_EXCEEDED = 1.25
_RESUMABLE = "what was measured so far is kept: the same command continues after it"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ProfileOptions:
    """What a profile measures, and for how long.

    Args:
        fresh: Measure anew instead of adding to an existing table.
        recheck: Validate the table by whole networks again, even if it lacks nothing.
        measured_only: Never estimate.
        budget_s: Seconds that measuring may take; None for as long as it needs.

    Raises:
        InputError: A value has the wrong type, or the budget is not above 0.
    """

    fresh: bool = False
    recheck: bool = False
    measured_only: bool = False
    budget_s: AboveZero | None = None

    def __post_init__(self) -> None:
        check_fields(self)


DEFAULT_OPTIONS = ProfileOptions()


@checked
def profile(
    device: str = "host",
    *,
    supernet: str | SpaceSelector = "starter",
    selector: TableSelector = DEFAULT_TABLE,
    options: ProfileOptions = DEFAULT_OPTIONS,
    output: Path | None = None,
    seed: Seed = 0,
    context: Context | None = None,
) -> ProfileResult:
    """Build the latency table of a device, or add to it what it lacks for a search space.

    A device that cannot be reached gets a table estimated from its description.

    Args:
        device: Name of the device.
        supernet: Search space to cover, whole or in part.
        selector: How the device is used: runtime, precision, batch and threads.
        options: What is measured, and for how long.
        output: File or folder to write instead of the user's own table.
        seed: Seed of weights and of the order of measurements.
        context: Reporter and clock.

    Raises:
        InputError: A name or number is not valid, or there is a table of another provenance.
        DeviceUnreachableError: The device cannot be reached, and `options.measured_only` is set or its description has
            no numbers for an estimate.
        MissingRuntimeError: The runtime is not installed.
        OutputError: The table cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet)
    described = find_device(device)
    deployment = find_deployment(described, selector)
    place = _find_place(output, deployment, options)
    require_writable(place.path)
    if deployment.precision in described.slow_precisions:
        context.reporter.warn(f"{device} runs {deployment.precision} no faster: it has no fast arithmetic for it")
    started = context.clock.seconds()
    with contextlib.ExitStack() as stack:
        try:
            timer = stack.enter_context(open_timer(described, deployment, context))
        except DeviceUnreachableError as error:
            _keep_real_latencies(place, error)
            if options.measured_only:
                raise
            table = _estimate(space, described, deployment, place.existing, reason=error, context=context)
        else:
            from natdeploy.profilers.budget import Budget
            from natdeploy.profilers.setup import ProfilingSetup

            # The device is ours only now: another profile may have ended meanwhile.
            place = _find_place(output, deployment, options)
            setup = ProfilingSetup(
                timer=timer,
                exporter=make_timing_exporter(described, deployment),
                clock=context.clock,
                reporter=context.reporter,
                seed=seed,
                budget=None if options.budget_s is None else Budget(options.budget_s, context.clock),
                known_spaces=tuple(shipped_spaces()),
            )
            table = _measure(space, deployment, setup, place, options)
        if table != place.existing or place.source != place.path:
            _write(place, table, fresh=options.fresh, reporter=context.reporter)
        place.journal.unlink(missing_ok=True)
    covered = table.find_covered_resolutions(space, max(CLASSIFIER_COUNTS))
    seconds = round(context.clock.seconds() - started, 3)
    _warn_of_time(seconds, options.budget_s, context.reporter)
    return ProfileResult(
        table=place.path,
        content=table,
        supernet=space.source,
        resolutions=covered,
        range_ms=_predict_range(space.with_resolutions(covered), table) if covered else None,
        seconds=seconds,
    )


def _predict_range(space: SearchSpace, table: LatencyTable) -> tuple[float, float]:
    ends = (smallest(space), largest(space))
    low, high = (table.predict(walk(space, end, max(CLASSIFIER_COUNTS))).latency_ms for end in ends)
    return low, high


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a table is written, and the table that is added to.

    Args:
        path: File to write.
        source: File of the existing table; None if there is none.
        existing: The existing table.
        packaged: Whether the existing table comes with natdeploy.
    """

    path: Path
    source: Path | None
    existing: LatencyTable | None
    packaged: bool

    @property
    def journal(self) -> Path:
        """File that keeps what is measured until the table is written."""
        return self.path.with_suffix(".journal.jsonl")


def _find_place(output: Path | None, deployment: Deployment, options: ProfileOptions) -> _Place:
    path = resolve_table_file(output, deployment)
    stored = None if output is not None or options.fresh else find_table(deployment)
    source = path if path.exists() and not options.fresh else stored.path if stored else None
    existing = _read_existing(source, deployment, recheck=options.recheck)
    return _Place(path=path, source=source, existing=existing, packaged=stored is not None and stored.packaged)


def _read_existing(source: Path | None, deployment: Deployment, *, recheck: bool) -> LatencyTable | None:
    existing = read_table(source) if source is not None else None
    if existing is not None and existing.deployment != deployment:
        msg = f"{source}: holds the table of another deployment: {existing.deployment}"
        hint = "choose another file with --output, or a folder: every deployment has a file of its own in it"
        raise InputError(msg, hint=hint)
    if recheck and (existing is None or existing.provenance != MEASURED):
        msg = f"there is no measured table of {deployment} to validate again"
        raise InputError(msg, hint=f"make one with: natdeploy profile --device {shlex.quote(deployment.device)}")
    return existing


def _keep_real_latencies(place: _Place, reason: DeviceUnreachableError) -> None:
    """Refuse to go on if an estimate would replace a table of real latencies, even one to be measured anew."""
    for path in (place.path, place.source):
        if path is not None and path.exists() and read_table(path).provenance != ESTIMATED:
            hint = _join_hints(reason.hint, f"its table of real latencies stays as it is: {path}")
            raise DeviceUnreachableError(reason.message, hint=hint) from reason


def _measure(
    space: SearchSpace, deployment: Deployment, setup: ProfilingSetup, place: _Place, options: ProfileOptions
) -> LatencyTable:
    from natdeploy.profilers.table_building import profile_device

    fingerprint = setup.timer.fingerprint()
    _require_own_table(place, deployment, fingerprint, fresh=options.fresh)
    existing = place.existing
    if place.packaged and existing is not None and existing.provenance == ESTIMATED:
        existing = None
    try:
        return profile_device(
            space,
            deployment,
            setup,
            existing=existing,
            journal=place.journal,
            fresh=options.fresh,
            recheck=options.recheck,
        )
    except DeviceUnreachableError as error:
        raise DeviceUnreachableError(error.message, hint=_join_hints(error.hint, _RESUMABLE)) from error


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
        msg = f"{reason.message}; its description has no [roofline] numbers to estimate from, it can only be measured"
        raise DeviceUnreachableError(msg, hint=reason.hint) from reason
    context.reporter.warn(f"{reason.message}; its latencies are estimated from its description, nothing is run")
    return estimate_table(space, device, deployment, existing, clock=context.clock)


def _require_own_table(place: _Place, deployment: Deployment, fingerprint: str, *, fresh: bool) -> None:
    """Check that what was measured on another machine is not replaced; `host` is whichever machine this is.

    Raises:
        InputError: The table, or the journal of an unfinished profile, is of another machine.
    """
    from natdeploy.profilers.row_journal import read_journaled_fingerprint

    if fresh or deployment.device == HOST:
        return
    known = {place.journal: read_journaled_fingerprint(place.journal, deployment)}
    if place.existing is not None and place.source == place.path:
        known[place.path] = place.existing.fingerprint
    for path, other in known.items():
        if other is not None and not are_same_machine(other, fingerprint):
            what = f"it was measured on another machine ({describe_machine(other)})"
            msg = f"{path}: {what} than the one that answers as {deployment.device} ({describe_machine(fingerprint)})"
            hint = (
                f'describe this one under a name of its own in devices.toml (like = "{deployment.device}"); or replace '
                "the other's table by --fresh, which keeps it as .bak"
            )
            raise InputError(msg, hint=hint)


def _write(place: _Place, table: LatencyTable, *, fresh: bool, reporter: Reporter) -> None:
    replaced = place.existing is not None and place.existing.fingerprint != table.fingerprint
    if (fresh or replaced) and place.path.exists():
        reporter.info(f"the table that was there is kept: {replace_table(place.path, table, fresh=fresh)}")
    else:
        write_table(place.path, table, fresh=fresh)


def _warn_of_time(seconds: float, budget_s: float | None, reporter: Reporter) -> None:
    if budget_s is not None and seconds > _EXCEEDED * budget_s:
        reporter.warn(
            f"this took {seconds:.0f} s instead of {budget_s:g} s: one resolution and the validation always run"
        )


def _join_hints(*hints: str | None) -> str:
    return "; ".join(hint for hint in hints if hint)
