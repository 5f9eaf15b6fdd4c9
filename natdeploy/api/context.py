"""What every piece of work needs: a clock, a reporter, and a way to devices."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime

from natdeploy.ports import Clock, Reporter
from natdeploy.runtimes.connect import Connections


class SystemClock:
    """The machine's clock; implements `natdeploy.ports.Clock`."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""
        return datetime.now(UTC)

    def seconds(self) -> float:
        """Return a monotonic time in seconds."""
        return time.perf_counter()


class SilentReporter:
    """Says nothing; implements `natdeploy.ports.Reporter`."""

    def info(self, message: str) -> None:
        """Drop the message."""

    def warn(self, message: str) -> None:
        """Drop the message."""

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Drop the news."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What work is done with.

    Args:
        reporter: Where to tell how it goes.
        clock: Source of time.
        connections: Opens connections to devices, and can abort them from another thread.
    """

    reporter: Reporter = dataclasses.field(default_factory=SilentReporter)
    clock: Clock = dataclasses.field(default_factory=SystemClock)
    connections: Connections = dataclasses.field(default_factory=Connections)
