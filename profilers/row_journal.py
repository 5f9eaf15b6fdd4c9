"""The journal of a profile: what has been measured survives a kill."""

from __future__ import annotations

import dataclasses
from typing import Any

from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer
from natdeploy.files import Journal
from natdeploy.profilers.drift import Pass

_START, _ROWS, _END = "start", "rows", "end"


class RowJournal:
    """Passes of measurements in a journal, kept for one deployment on one machine.

    The passes of an interrupted profile are used again if they are of the same deployment and machine. A fresh profile
    uses only those of another fresh profile that did not reach its end.

    Args:
        journal: The file.
        key: What tells deployments and machines apart.
        reference: What tells reference networks apart.
        fresh: Whether everything is measured anew.
    """

    def __init__(self, journal: Journal, *, key: str, reference: str, fresh: bool) -> None:
        self._journal = journal
        self._reference = reference
        self._start = {"kind": _START, "key": key, "fresh": fresh}
        if not self._continues():
            journal.remove()

    @property
    def passes(self) -> list[Pass]:
        """The passes so far, oldest first."""
        return [self._read(event) for event in self._journal.events if event["kind"] == _ROWS]

    def append(self, measured: Pass) -> None:
        """Keep a pass; it is on the disk when this returns."""
        if not self._journal.events:
            self._journal.append(self._start)
        rows = [
            {"layer": dataclasses.asdict(layer), "stats": dataclasses.asdict(stats)}
            for layer, stats in measured.rows.items()
        ]
        self._journal.append({"kind": _ROWS, "reference": self._reference, "level_ms": measured.level_ms, "rows": rows})

    def end(self) -> None:
        """Note that the profile is complete."""
        if self._journal.events:
            self._journal.append({"kind": _END})

    def _continues(self) -> bool:
        events = self._journal.events
        if not events or events[0].get("key") != self._start["key"]:
            return False
        ended = events[-1]["kind"] == _END
        return not self._start["fresh"] or (bool(events[0]["fresh"]) and not ended)

    def _read(self, event: dict[str, Any]) -> Pass:
        rows = {Layer(**row["layer"]): LatencyStats(**row["stats"]) for row in event["rows"]}
        return Pass(rows=rows, level_ms=event["level_ms"] if event["reference"] == self._reference else None)
