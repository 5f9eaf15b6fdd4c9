"""How commands report progress on stderr: a progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from natdeploy.cli.terminal import to_short_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# A stage prints a line every 5 s at first, and later every minute, so that the log of a long run stays short.
_FIRST_PAUSE_S, _LAST_PAUSE_S, _PAUSE_SHARE = 5.0, 60.0, 0.1


class PlainReporter:
    """Prints a few lines to stderr; implements `natdeploy.ports.Reporter`."""

    def __init__(self) -> None:
        self._stage, self._started_s, self._said_s, self._first = "", 0.0, 0.0, 0

    def info(self, message: str) -> None:
        """Print a message."""
        click.echo(to_short_line(message), err=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        click.echo(f"warning: {to_short_line(message)}", err=True)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Print how far a stage is, every few seconds and at its end."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started_s, self._said_s, self._first = stage, now, now, done
        elapsed_s = now - self._started_s
        pause_s = min(max(_FIRST_PAUSE_S, elapsed_s * _PAUSE_SHARE), _LAST_PAUSE_S)
        if done < total and now - self._said_s < pause_s:
            return
        self._said_s = now
        parts = [f"{stage}: {done}/{total}", detail]
        if self._first < done < total:
            parts.append(format_remaining(elapsed_s / (done - self._first) * (total - done)))
        click.echo(to_short_line(", ".join(filter(None, parts))), err=True)


def format_remaining(seconds: float) -> str:
    """Return the estimated time to the end as text."""
    return f"about {seconds:.0f} s left" if seconds < 120 else f"about {seconds / 60:.0f} min left"


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
        self._console.print(to_short_line(message), markup=False, soft_wrap=True)

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._console.print(f"warning: {to_short_line(message)}", style="yellow", markup=False, soft_wrap=True)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Update the bar."""
        if self._bar is None or stage != self._stage:
            self.close()
            self._bar, self._stage = self._new_bar(), stage
            self._task = self._bar.add_task(to_short_line(stage), total=total, detail="")
            self._bar.start()
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total, detail=to_short_line(detail))
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
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[detail]}", markup=False),
            console=self._console,
        )


def make_reporter() -> PlainReporter | BarReporter:
    """Return a progress bar if stderr is a terminal, otherwise plain lines."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM") == "dumb"
    return PlainReporter() if plain else BarReporter()
