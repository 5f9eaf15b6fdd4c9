"""A reporter that records its calls, and a clock that tests move."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One progress report: `done` of `total` steps of `stage` are done."""

    stage: str
    done: int
    total: int
    detail: str


class RecordingReporter:
    """Records every call; implements `natdeploy.ports.Reporter`.

    Args:
        on_step: Called with each progress report. An error that it raises stops the work, as Ctrl-C would.

    Attributes:
        said: Messages and warnings, in order.
        warnings: Warnings only.
        steps: Progress reports.
    """

    def __init__(self, on_step: Callable[[Step], object] = lambda _: None) -> None:
        self._on_step = on_step
        self.said: list[str] = []
        self.warnings: list[str] = []
        self.steps: list[Step] = []

    @property
    def details(self) -> list[str]:
        """Details of the progress reports that have one."""
        return [step.detail for step in self.steps if step.detail]

    def info(self, message: str) -> None:
        """Record a message."""
        self.said.append(message)

    def warn(self, message: str) -> None:
        """Record a warning."""
        self.said.append(message)
        self.warnings.append(message)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Record a progress report."""
        step = Step(stage=stage, done=done, total=total, detail=detail)
        self.steps.append(step)
        self._on_step(step)


class FakeClock:
    """A clock that moves only by `advance`; implements `natdeploy.ports.Clock`.

    Args:
        time_s: Initial value of `seconds`.
    """

    def __init__(self, time_s: float = 0.0) -> None:
        self.time_s = time_s

    def now(self) -> datetime:
        """Return a date that advances with the clock."""
        return _START + timedelta(seconds=self.time_s)

    def seconds(self) -> float:
        """Return the time in seconds."""
        return self.time_s

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self.time_s += seconds
