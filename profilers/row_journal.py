"""The journal of a profile: what has been measured survives a kill."""

from __future__ import annotations

import dataclasses
from typing import Any

from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer
from natdeploy.files import Journal

Rows = dict[Layer, LatencyStats]
_START, _ROWS, _END = "start", "rows", "end"


class RowJournal:
    """Rows in a journal, kept for one target on one machine.

    Rows of an earlier, interrupted profile are taken over if they are of the same target and machine. A fresh profile
    takes over only those of a fresh profile that did not reach its end.

    Args:
        journal: The file.
        key: What tells targets and machines apart.
        fresh: Whether everything is measured anew.
    """

    def __init__(self, journal: Journal, *, key: str, fresh: bool) -> None:
        self._journal = journal
        self._start = {"kind": _START, "key": key, "fresh": fresh}
        if not self._continues():
            journal.remove()

    @property
    def rows(self) -> Rows:
        """The rows so far."""
        events = [event for event in self._journal.events if event["kind"] == _ROWS]
        return {Layer(**row["layer"]): LatencyStats(**row["stats"]) for event in events for row in event["rows"]}

    def append(self, rows: Rows) -> None:
        """Keep rows; they are on the disk when this returns."""
        if not self._journal.events:
            self._journal.append(self._start)
        self._journal.append({"kind": _ROWS, "rows": [_plain(layer, stats) for layer, stats in rows.items()]})

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


def _plain(layer: Layer, stats: LatencyStats) -> dict[str, Any]:
    return {"layer": dataclasses.asdict(layer), "stats": dataclasses.asdict(stats)}
