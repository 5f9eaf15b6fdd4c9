"""How commands report progress on stderr: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUIET_S = 5.0


class PlainReporter:
    """Prints a few lines to stderr; implements `natdeploy.ports.Reporter`."""

    def __init__(self) -> None:
        self._stage, self._started, self._said = "", 0.0, 0.0

    def info(self, message: str) -> None:
        """Print a message."""
        click.echo(message, err=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        click.echo(f"warning: {message}", err=True)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Print how far a stage is, every few seconds and at its end."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started, self._said = stage, now, now
        if done < total and now - self._said < _QUIET_S:
            return
        self._said = now
        left = (now - self._started) / done * (total - done) if done else 0.0
        eta = f", about {left:.0f} s left" if done < total and done else ""
        click.echo(f"{stage}: {done}/{total}{', ' + detail if detail else ''}{eta}", err=True)


class BarReporter:
    """Shows a progress bar with the remaining time on a terminal; implements `natdeploy.ports.Reporter`."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""

    def info(self, message: str) -> None:
        """Print a message."""
        self._console.print(message, markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Update the bar."""
        if self._bar is None or stage != self._stage:
            self.close()
            self._bar, self._stage = self._new_bar(), stage
            self._task = self._bar.add_task(stage, total=total, detail="")
            self._bar.start()
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total, detail=detail)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Stop the bar and leave it as it is."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _new_bar(self) -> Progress:
        from rich import progress

        return progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[detail]}"),
            console=self._console,
        )


def make_reporter() -> PlainReporter | BarReporter:
    """Return a progress bar if stderr is a terminal, otherwise plain lines."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return PlainReporter() if plain else BarReporter()
