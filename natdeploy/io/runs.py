"""Reads and writes the run folder of a search: config, journal, checkpoint, tables, archive, front and report."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import tomli_w

from natdeploy.documents import read_csv_rows, read_toml
from natdeploy.errors import InputError, InterruptedWorkError
from natdeploy.files import atomic_path, write_text, writing
from natdeploy.journal import Journal

FORMAT = "natdeploy.run/1"
# What a run that was interrupted before `start` may have left.
_LOCK = re.compile(r"\.lock(\.pid)?")
_LEFT = re.compile(
    rf"{_LOCK.pattern}|checkpoint|latency_tables|(journal|images)\.jsonl|(archive|front)\.csv|report\.html|subnet(-\d+)?\.(json|safetensors)"
    r"|\.natdeploy-tmp-\w+"
)


class RunFolder:
    """The folder of a run.

    Args:
        path: The folder.
        config: Resolved config, as in `run.toml`.
    """

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self.path, self.config = path, dict(config)
        self._journal = Journal(path / "journal.jsonl")

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any]) -> RunFolder:
        """Create the folder of a new run. It becomes a valid run when `start` writes the config.

        Raises:
            InputError: `path` contains a run already, or other files.
            OutputError: The folder cannot be written.
        """
        require_new_run(path, resumable=not {"surrogate_search", "reselection"} & set(config))
        with writing(path):
            (path / "checkpoint").mkdir(parents=True, exist_ok=True)
        return cls(path, config)

    def start(self) -> None:
        """Write the config. Call this after all other initial files are written: from now on the run can be resumed.

        Raises:
            OutputError: The file cannot be written.
        """
        write_text(self.path / "run.toml", tomli_w.dumps({"format": FORMAT, **self.config}))

    @contextlib.contextmanager
    def resumable(self, command: str, lost: str) -> Iterator[None]:
        """Turn an interruption into an error whose hint is the command that resumes this run.

        Before `start`, there is nothing to resume: the interruption stays as it is.

        Args:
            command: Command of the run, such as `search`.
            lost: What the interruption loses.

        Raises:
            InterruptedWorkError: The user interrupted the work.
        """
        try:
            yield
        except KeyboardInterrupt as error:
            if not (self.path / "run.toml").exists():
                raise
            msg = f"interrupted; {lost}"
            hint = f"go on with: natdeploy {command} --resume {shlex.quote(str(self.path))}"
            raise InterruptedWorkError(msg, hint=hint) from error

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run folder.

        Raises:
            InputError: The folder is not a run folder, or its config is damaged.
        """
        require_run(path)
        source = path / "run.toml"
        config = read_toml(source)
        found = config.pop("format", None)
        if found != FORMAT:
            msg = f"{source}: format is {found!r}, expected {FORMAT!r}"
            raise InputError(msg)
        return cls(path, config)

    @property
    def checkpoint(self) -> Path:
        """Checkpoint file with supernet, optimizer and number of epochs."""
        return self.path / "checkpoint" / "supernet.pt"

    @property
    def tables(self) -> Path:
        """Folder with copies of the latency tables, made when the run started."""
        return self.path / "latency_tables"

    @property
    def journal(self) -> Path:
        """File of the journal."""
        return self._journal.path

    @property
    def all_events(self) -> list[dict[str, Any]]:
        """The events of all kinds, oldest first: one for each line of the journal."""
        return self._journal.events

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one kind, oldest first."""
        return [event for event in self._journal.events if event.get("event") == kind]

    def record(self, kind: str, event: dict[str, Any]) -> None:
        """Append an event to the journal. The event is on the disk when this method returns."""
        self._journal.append({"event": kind, **event})

    def write_csv(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows to `<name>.csv` atomically."""
        import pandas as pd

        with atomic_path(self.path / f"{name}.csv") as temporary:
            pd.DataFrame(list(rows)).to_csv(temporary, index=False, float_format="%.6g")

    def read_csv(self, name: str) -> list[dict[str, str]]:
        """Read the rows of `<name>.csv`, as text by column name.

        Raises:
            InputError: The file is missing because the search has not ended, or it is damaged.
        """
        source = self.path / f"{name}.csv"
        if not os.path.lexists(source):
            msg = f"{source}: no such file: the search has not ended"
            raise InputError(msg, hint=f"continue it with: natdeploy search --resume {shlex.quote(str(self.path))}")
        return [row for row, _ in read_csv_rows(source, _require_names)]

    def write_report(self, html: str) -> Path:
        """Write `report.html` atomically and return its path."""
        path = self.path / "report.html"
        write_text(path, html)
        return path


def _require_names(names: Sequence[str], path: Path) -> None:
    if not names or len(set(names)) < len(names):
        msg = f"{path}, line 1: the columns have no names, or one of them twice"
        raise InputError(msg)


def require_run(path: Path) -> None:
    """Check that a folder is a run.

    Raises:
        InputError: It is none.
    """
    if not path.exists():
        msg = f"{path}: no such folder"
        raise InputError(msg)
    if not os.path.lexists(path / "run.toml"):
        msg = f"{path}: not a run folder: it has no run.toml"
        raise InputError(msg, hint=_find_run_near(path))


def _find_run_near(path: Path) -> str | None:
    """Return a hint to the run that a path lies in, or to the newest one in it."""
    inner = sorted(found.parent for found in path.glob("*/run.toml")) if path.is_dir() else []
    if os.path.lexists(path.parent / "run.toml"):
        return f"name the run folder: {path.parent}"
    return f"name a run folder, such as {inner[-1]}" if inner else None


def require_new_run(path: Path, *, resumable: bool = True) -> None:
    """Check that a folder can become a run. Call this before long work.

    Args:
        path: The folder. It may have what a run left that was interrupted before it could be resumed.
        resumable: Whether a run that is there can be resumed by the same command.

    Raises:
        InputError: The folder contains a run already, or other files.
    """
    if (path / "run.toml").exists():
        msg = f"{path}: contains a run already"
        hint = f"continue it with --resume {shlex.quote(str(path))}, or choose" if resumable else "choose"
        raise InputError(msg, hint=f"{hint} another --output")
    entries = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    known = _LEFT if "checkpoint" in entries else _LOCK
    others = [name for name in entries if not known.fullmatch(name)]
    if others:
        msg = f"{path}: it holds other files, such as {others[0]}"
        raise InputError(msg, hint="name a folder with --output that does not exist or is empty")


def require_checkpoint(run: RunFolder) -> None:
    """Check that a run has a checkpoint of its supernet.

    Raises:
        InputError: The checkpoint is missing.
    """
    if not run.checkpoint.is_file():
        msg = f"{run.checkpoint}: no such file, so the run has no weights"
        raise InputError(msg)


def make_run_path(now: datetime, seed: int) -> Path:
    """Create the folder `runs/<UTC time>-s<seed>` under the current directory and return its path.

    If there is such a folder, a number is appended.

    Raises:
        OutputError: It cannot be created.
    """
    path, number = Path("runs") / f"{now:%Y%m%dT%H%M%SZ}-s{seed}", 1
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _make_folder(_add_number(path, number)):
            number += 1
    return _add_number(path, number)


def _add_number(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.name}-{number}")


def _make_folder(path: Path) -> bool:
    """Create a folder; tell whether it is new. Another search may take the same name at the same time."""
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True
