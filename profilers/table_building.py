"""Building a latency table: missing rows are measured, then the table is validated by whole networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.core.device import Deployment
from natdeploy.core.latency import MEASURED, LatencyTable, require_same_provenance
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.journal import Journal
from natdeploy.ports import Reporter
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.sessions import MeasurementSession, merge_sessions
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.sweep import choose_reference_networks, find_missing_places, measure_places
from natdeploy.profilers.whole_network_validation import (
    add_validation,
    find_quietest_reference_ms,
    measure_validation_networks,
)
from natdeploy.version import __version__

_NOISY_PERCENT = 4.0
_BUSY_SHARE = 0.25


def profile_device(
    space: SearchSpace,
    deployment: Deployment,
    setup: ProfilingSetup,
    *,
    existing: LatencyTable | None,
    journal: Path,
    fresh: bool = False,
    recheck: bool = False,
) -> LatencyTable:
    """Measure every layer of `space` that `existing` lacks, then validate the table by whole networks.

    Args:
        space: Space to cover, at all its widths and resolutions.
        deployment: Device and use that are measured.
        setup: The device, the exporter of its files, clock, reporter, seed and budget. A warning names what the budget
            does not reach.
        existing: Table to add to. A table of another machine or runtime version is ignored, with a warning.
        journal: File that keeps every finished session, so that the next call continues after it. Delete it when the
            table is written.
        fresh: Measure everything anew.
        recheck: Validate the table again even if no row is missing.

    Raises:
        InputError: The deployment cannot be measured layer by layer, or `existing` is of another provenance.
        DeviceUnreachableError: The device cannot be reached, or no longer; what was measured is in the journal.
        MissingRuntimeError: The runtime is not installed.
    """
    _check_deployment(deployment)
    reporter, timer = setup.reporter, setup.timer
    fingerprint = timer.fingerprint()
    kept = None if fresh else _usable(existing, fingerprint, reporter)
    journaled = _open_journal(journal, deployment, fingerprint, space, fresh=fresh)
    old = MeasurementSession(rows=dict(kept.rows) if kept else {}, reference_latency_ms=None)
    places = find_missing_places(space, merge_sessions([old, *journaled.sessions], None))
    if kept is not None and not places and not journaled.sessions and not recheck:
        return kept
    before = timer.conditions()
    if places:
        _say_how(before, setup)
        left_out = measure_places(space, places, journaled, setup)
        _warn_of_places(left_out, reporter)
    sessions = [old, *journaled.sessions]
    table = LatencyTable(
        deployment=deployment,
        provenance=MEASURED,
        method=setup.method,
        rows=merge_sessions(sessions, None),
        runtime_version=timer.version(),
        fingerprint=fingerprint,
        created=setup.clock.now().isoformat(timespec="seconds"),
        conditions=_conditions(setup, before),
    )
    table = _finish(space, table, sessions, setup)
    journaled.end()
    return table


def _finish(
    space: SearchSpace,
    table: LatencyTable,
    sessions: Sequence[MeasurementSession],
    setup: ProfilingSetup,
) -> LatencyTable:
    """Scale all sessions to the quietest one, and validate the table by whole networks."""
    if not setup.validation_networks:
        return dataclasses.replace(table, rows=merge_sessions(sessions, find_quietest_reference_ms(sessions, None)))
    checked = measure_validation_networks(space, table, setup)
    quietest_ms = find_quietest_reference_ms(sessions, checked)
    levelled = dataclasses.replace(
        table,
        rows=merge_sessions(sessions, quietest_ms),
        conditions={
            **table.conditions,
            "noise_floor_percent": checked.noise_percent,
            "unstable_networks": checked.unstable,
        },
    )
    setup.reporter.info(
        f"two timings of one network differ by {checked.noise_percent:.2f} %; "
        f"{checked.unstable} of {len(checked.measured_ms)} networks did not run steadily"
    )
    if checked.noise_percent > _NOISY_PERCENT:
        setup.reporter.warn(
            "the device did other work during the validation: --recheck repeats it without measuring layers"
        )
    return add_validation(levelled, checked, quietest_ms)


def _open_journal(
    path: Path, deployment: Deployment, fingerprint: str, space: SearchSpace, *, fresh: bool
) -> RowJournal:
    key = f"{deployment}; {fingerprint}"
    reference = repr(choose_reference_networks(space))
    try:
        journal = Journal(path)
    except InputError as error:
        raise InputError(error.message, hint="delete that file: its content is measured again") from error
    return RowJournal(journal, key=key, reference=reference, fresh=fresh)


def _say_how(before: dict[str, Any], setup: ProfilingSetup) -> None:
    """Say how the device is measured and what state it is in; warn if other work runs on it."""
    protocol = ", ".join(f"{name} {value}" for name, value in setup.timer.protocol().items())
    setup.reporter.info(f"{setup.method} on {setup.timer.fingerprint()}; {protocol}")
    setup.reporter.info("before: " + ", ".join(f"{name} {value}" for name, value in before.items()))
    warning = describe_load(before)
    if warning:
        setup.reporter.warn(warning)


def describe_load(conditions: Mapping[str, Any]) -> str | None:
    """Return a warning if other work runs on the device; None if it is idle, or if its load is not known.

    Args:
        conditions: Of the device, from a `natdeploy.ports.ModelTimer`.
    """
    load, cores = conditions.get("load_average"), conditions.get("cores") or 1
    if load is None or load <= _BUSY_SHARE * cores:
        return None
    return f"other work runs on the device (load average {load:g}): latencies come out noisy and too high"


def _warn_of_places(left_out: Sequence[tuple[float, int]], reporter: Reporter) -> None:
    if left_out:
        named = ", ".join(f"width {width:g} at {resolution}" for width, resolution in sorted(left_out))
        reporter.warn(
            f"the budget did not reach {named}: they are not in the table; the same command continues with them"
        )


def _usable(existing: LatencyTable | None, fingerprint: str, reporter: Reporter) -> LatencyTable | None:
    require_same_provenance(existing, MEASURED)
    if existing is None or existing.fingerprint == fingerprint:
        return existing
    reporter.warn(f"the existing table is of another machine or runtime ({existing.fingerprint}): it is measured anew")
    return None


def _check_deployment(deployment: Deployment) -> None:
    if deployment.batch != 1 or (deployment.precision != "fp32" and deployment.runtime != "tensorrt"):
        msg = f"{deployment} cannot be measured layer by layer: only batch 1 and fp32 can, with TensorRT any precision"
        raise InputError(msg)


def _conditions(setup: ProfilingSetup, before: dict[str, Any]) -> dict[str, Any]:
    return {
        "natdeploy": __version__,
        "before": before,
        "after": setup.timer.conditions(),
        "timing": setup.timer.protocol(),
        "seed": setup.seed,
    }
