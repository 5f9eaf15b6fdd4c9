"""Building a latency table: missing rows are measured, then the table is validated by whole networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from natdeploy.core.device import Deployment
from natdeploy.core.latency import MEASURED, LatencyTable, require_same_provenance
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.journal import Journal
from natdeploy.ports import Reporter
from natdeploy.profilers.references import Reference, ReferencePlace, choose_reference_place, read_reference
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.sessions import MeasurementSession, merge_sessions
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.sweep import find_missing_places, measure_places
from natdeploy.profilers.whole_network_validation import (
    ValidationRun,
    add_validation,
    find_quietest_reference_ms,
    measure_validation_networks,
)
from natdeploy.version import __version__

_NOISY_PERCENT = 4.0


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
    known = read_reference(kept, (space, *setup.known_spaces)) if kept is not None else None
    place = known.place if known is not None else choose_reference_place(space)
    journaled = _open_journal(journal, deployment, fingerprint, place, fresh=fresh)
    old = MeasurementSession(
        rows=dict(kept.rows) if kept else {}, reference_latency_ms=known.latency_ms if known else None
    )
    places = find_missing_places(space, merge_sessions([old, *journaled.sessions], None))
    if kept is not None and not places and not journaled.sessions and not recheck:
        return kept
    before = timer.conditions()
    if places:
        _say_how(before, setup)
        left_out = measure_places(space, places, journaled, setup)
        _warn_of_places(left_out, reporter)
    sessions = _Sessions(old=old, new=journaled.sessions, place=place)
    table = LatencyTable(
        deployment=deployment,
        provenance=MEASURED,
        method=setup.method,
        rows=merge_sessions(sessions.all, None),
        runtime_version=timer.version(),
        fingerprint=fingerprint,
        created=setup.clock.now().isoformat(timespec="seconds"),
        conditions=_conditions(setup, before),
    )
    table = _finish(space, table, sessions, setup)
    journaled.end()
    return table


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Sessions:
    """The measurement sessions of a table, those of the existing table first, and the place of their references."""

    old: MeasurementSession
    new: Sequence[MeasurementSession]
    place: ReferencePlace

    @property
    def all(self) -> list[MeasurementSession]:
        return [self.old, *self.new]

    def find_level_ms(self, checked: ValidationRun | None) -> float | None:
        """Return the reference latency that everything is scaled to: the table's, or that of the quietest session."""
        return self.old.reference_latency_ms or find_quietest_reference_ms(self.new, checked)

    def describe(self, level_ms: float | None) -> dict[str, Any]:
        """Return the conditions of a table at a level."""
        return {} if level_ms is None else Reference(place=self.place, latency_ms=level_ms).to_conditions()


def _finish(
    space: SearchSpace,
    table: LatencyTable,
    sessions: _Sessions,
    setup: ProfilingSetup,
) -> LatencyTable:
    """Scale all sessions to one level, and validate the table by whole networks."""
    references = sessions.place.make_networks()
    checked = measure_validation_networks(space, table, references, setup) if setup.validation_networks else None
    level_ms = sessions.find_level_ms(checked)
    levelled = dataclasses.replace(
        table,
        rows=merge_sessions(sessions.all, level_ms),
        conditions={**table.conditions, **sessions.describe(level_ms), **(checked.conditions if checked else {})},
    )
    if checked is None:
        return levelled
    _say_how_it_went(checked, setup.reporter)
    return add_validation(levelled, checked, level_ms)


def _say_how_it_went(checked: ValidationRun, reporter: Reporter) -> None:
    """Say how far the figures of the check can be trusted."""
    count = len(checked.measured_ms)
    reporter.info(f"two timings of one network differ by {checked.noise_percent:.2f} %")
    if checked.unstable:
        reporter.info(
            f"{checked.unstable} of {count} networks did not run steadily: single runs differ by more than 5 %. The "
            "table holds medians, which differ as said; a single run in use varies more"
        )
    if checked.disturbance is None:
        reporter.info("how busy the device was meanwhile is not known: it does not tell")
    elif checked.disturbance.is_notable:
        reporter.warn(f"{checked.disturbance}; --recheck repeats the check without measuring layers")
    else:
        reporter.info(str(checked.disturbance))
    if checked.noise_percent > _NOISY_PERCENT:
        reporter.warn(
            "two timings of one network differ so much that the table's errors are mostly noise: --recheck repeats the "
            "check without measuring layers"
        )


def _open_journal(
    path: Path, deployment: Deployment, fingerprint: str, place: ReferencePlace, *, fresh: bool
) -> RowJournal:
    key = f"{deployment}; {fingerprint}"
    try:
        journal = Journal(path)
    except InputError as error:
        raise InputError(error.message, hint="delete that file: its content is measured again") from error
    return RowJournal(journal, key=key, references=place.make_networks(), fresh=fresh)


def _say_how(before: dict[str, Any], setup: ProfilingSetup) -> None:
    """Say how the device is measured and what state it is in."""
    protocol = ", ".join(f"{name} {value}" for name, value in setup.timer.protocol().items())
    setup.reporter.info(f"{setup.method} on {setup.timer.fingerprint()}; {protocol}")
    setup.reporter.info("before: " + ", ".join(f"{name} {value}" for name, value in before.items()))


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
