"""A reporter that keeps what it is told, and a clock that is moved by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What a reporter is told of progress: `done` of `total` steps of `stage` are done."""

    stage: str
    done: int
    total: int
    detail: str


class RecordingReporter:
    """Keeps what it is told; implements `natdeploy.ports.Reporter`.

    Args:
        on_step: Is called with each step of progress; what it raises stops the work, as Ctrl-C would.

    Attributes:
        said: Messages and warnings, in order.
        warnings: Warnings alone.
        steps: Steps of progress.
    """

    def __init__(self, on_step: Callable[[Step], object] = lambda _: None) -> None:
        self._on_step = on_step
        self.said: list[str] = []
        self.warnings: list[str] = []
        self.steps: list[Step] = []

    @property
    def details(self) -> list[str]:
        """What the steps that have a detail say."""
        return [step.detail for step in self.steps if step.detail]

    def info(self, message: str) -> None:
        """Keep a message."""
        self.said.append(message)

    def warn(self, message: str) -> None:
        """Keep a warning."""
        self.said.append(message)
        self.warnings.append(message)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Keep a step."""
        step = Step(stage=stage, done=done, total=total, detail=detail)
        self.steps.append(step)
        self._on_step(step)


class FakeClock:
    """A clock that only `advance` moves; implements `natdeploy.ports.Clock`.

    Args:
        time_s: What `seconds` begins with.
    """

    def __init__(self, time_s: float = 0.0) -> None:
        self.time_s = time_s

    def now(self) -> datetime:
        """Return a date that moves with the clock."""
        return _START + timedelta(seconds=self.time_s)

    def seconds(self) -> float:
        """Return the time."""
        return self.time_s

    def advance(self, seconds: float) -> None:
        """Let time go by."""
        self.time_s += seconds
