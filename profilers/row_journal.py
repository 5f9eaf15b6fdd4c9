"""The journal of a profile: a kill loses no finished session."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import OPS, Layer
from natdeploy.errors import InputError
from natdeploy.journal import Journal
from natdeploy.profilers.sessions import MeasurementSession

_START, _ROWS, _END = "start", "rows", "end"


def read_journaled_fingerprint(path: Path, deployment: Deployment) -> str | None:
    """Return the fingerprint of the machine whose unfinished profile is in a journal, or None if there is none.

    Raises:
        InputError: The file is no journal.
    """
    events = Journal(path).events
    key, prefix = str(events[0].get("key", "")) if events else "", f"{deployment}; "
    unfinished = bool(events) and events[-1].get("kind") != _END
    return key.removeprefix(prefix) if unfinished and key.startswith(prefix) else None


class RowJournal:
    """The measurement sessions of one deployment on one machine, in a journal.

    The sessions of an interrupted profile are used again if they are of the same deployment and machine. A fresh
    profile uses only those of another fresh profile that did not reach its end.

    Args:
        journal: The file.
        key: Identity of the deployment and the machine.
        references: The reference networks. Sessions with other ones have no reference latency.
        fresh: Whether everything is measured anew.

    Raises:
        InputError: An event in the file is not one of a profile.
    """

    def __init__(self, journal: Journal, *, key: str, references: Sequence[tuple[Layer, ...]], fresh: bool) -> None:
        self._journal = journal
        self.references = list(references)
        self._reference = repr(self.references)
        self._start = {"kind": _START, "key": key, "fresh": fresh}
        try:
            if not self._continues():
                journal.remove()
            self._sessions = [self._read(event) for event in journal.events if event["kind"] == _ROWS]
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{journal.path}: not the journal of a profile: {error!r:.200}"
            raise InputError(msg, hint="delete the file; what it holds is then measured again") from error

    @property
    def sessions(self) -> list[MeasurementSession]:
        """The sessions so far, oldest first."""
        return list(self._sessions)

    def append(self, session: MeasurementSession) -> None:
        """Keep a session; it is on the disk when this returns."""
        if not self._journal.events:
            self._journal.append(self._start)
        rows = [
            {"layer": dataclasses.asdict(layer), "stats": dataclasses.asdict(stats)}
            for layer, stats in session.rows.items()
        ]
        self._journal.append(
            {
                "kind": _ROWS,
                "reference": self._reference,
                "reference_latency_ms": session.reference_latency_ms,
                "rows": rows,
            }
        )
        self._sessions.append(session)

    def end(self) -> None:
        """Record that the profile is complete."""
        if self._journal.events:
            self._journal.append({"kind": _END})

    def _continues(self) -> bool:
        events = self._journal.events
        if not events or events[0].get("key") != self._start["key"]:
            return False
        ended = events[-1]["kind"] == _END
        return not self._start["fresh"] or (bool(events[0]["fresh"]) and not ended)

    def _read(self, event: dict[str, Any]) -> MeasurementSession:
        rows = dict(_read_row(row) for row in event["rows"])
        reference_latency_ms = event["reference_latency_ms"]
        if reference_latency_ms is not None and not (_is_number(reference_latency_ms) and reference_latency_ms > 0):
            msg = f"reference_latency_ms is {reference_latency_ms!r}"
            raise ValueError(msg)
        return MeasurementSession(
            rows=rows, reference_latency_ms=reference_latency_ms if event["reference"] == self._reference else None
        )


def _read_row(row: Mapping[str, Any]) -> tuple[Layer, LatencyStats]:
    layer, stats = Layer(**row["layer"]), LatencyStats(**row["stats"])
    sizes = (layer.in_size, layer.in_channels, layer.out_channels, layer.kernel, layer.stride)
    if layer.op not in OPS or any(type(size) is not int or size < 1 for size in sizes):
        msg = f"there is no such layer as {layer}"
        raise ValueError(msg)
    if not all(_is_number(value) for value in row["stats"].values()):
        msg = f"a latency is no number: {stats}"
        raise ValueError(msg)
    return layer, stats


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
