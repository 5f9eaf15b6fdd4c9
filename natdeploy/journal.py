"""An append-only journal of events, which loses nothing when the process is killed."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path
from typing import Any

from natdeploy.documents import parse_json_line
from natdeploy.errors import InputError
from natdeploy.files import writing
from natdeploy.readers import JOURNAL_BYTES, read_bytes


class Journal:
    """Append-only file of JSON events, one per line. `append` returns when the event is on the disk.

    If the process was killed while writing the last line, opening the journal again drops that line.

    Args:
        path: The file. The first `append` creates it and its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._events = self._load()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far, oldest first."""
        return list(self._events)

    def append(self, event: dict[str, Any]) -> None:
        """Add one event.

        Raises:
            OutputError: The event cannot be written.
        """
        line = json.dumps(event, sort_keys=True, allow_nan=False).encode() + b"\n"
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as handle:
                start = handle.tell()
                try:
                    _write_whole(handle, line)
                except OSError:
                    handle.truncate(start)
                    raise
        self._events.append(event)

    def remove(self) -> None:
        """Delete the file, after its events have become part of a result."""
        self._path.unlink(missing_ok=True)
        self._events = []

    def _load(self) -> list[dict[str, Any]]:
        if not os.path.lexists(self._path):
            return []
        raw = read_bytes(self._path, JOURNAL_BYTES)
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            with writing(self._path), self._path.open("rb+") as handle:
                handle.truncate(len(whole))
        events = []
        for number, line in enumerate(whole.splitlines(), start=1):
            event = parse_json_line(line, f"{self._path}, line {number}", "a journal event")
            if not isinstance(event, dict):
                msg = f"{self._path}, line {number}: not a journal event: {event!r}"
                raise InputError(msg)
            events.append(event)
        return events


def _write_whole(handle: io.FileIO, data: bytes) -> None:
    if handle.write(data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(handle.fileno())
