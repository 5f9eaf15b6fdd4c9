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

    If the process was killed while writing the last line, that line is left out, and the next `append` replaces it.
    Reading changes nothing.

    Args:
        path: The file. The first `append` creates it and its folder.

    Raises:
        InputError: The file cannot be read or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        # Size of the file, and of its whole lines.
        self._size = self._whole = 0
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
            InputError: Another process has changed the file since it was read.
            OutputError: The event cannot be written.
        """
        line = json.dumps(event, sort_keys=True, allow_nan=False).encode() + b"\n"
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as handle:
                if handle.tell() != self._size:
                    msg = f"{self._path}: another process has changed it meanwhile"
                    raise InputError(msg, hint="wait for that process to end, then continue")
                if self._whole < self._size:
                    handle.truncate(self._whole)
                try:
                    _write_whole(handle, line)
                except OSError:
                    handle.truncate(self._whole)
                    self._size = self._whole
                    raise
        self._size = self._whole = self._whole + len(line)
        self._events.append(event)

    def remove(self) -> None:
        """Delete the file, after its events have become part of a result."""
        self._path.unlink(missing_ok=True)
        self._size = self._whole = 0
        self._events = []

    def _load(self) -> list[dict[str, Any]]:
        if not os.path.lexists(self._path):
            return []
        raw = read_bytes(self._path, JOURNAL_BYTES)
        self._size, self._whole = len(raw), raw.rfind(b"\n") + 1
        whole = raw[: self._whole]
        self._check_rest(raw[self._whole :], 1 + whole.count(b"\n"))
        events = []
        for number, line in enumerate(whole.splitlines(), start=1):
            event = parse_json_line(line, f"{self._path}, line {number}", "a journal event")
            if not isinstance(event, dict):
                msg = f"{self._path}, line {number}: not a journal event: {event!r}"
                raise InputError(msg)
            events.append(event)
        return events

    def _check_rest(self, rest: bytes, number: int) -> None:
        """Check that what follows the last whole line can be the beginning of one event, or is nothing."""
        # After a power cut, a file may end in zero bytes.
        text = rest.rstrip(b"\0").decode(errors="replace")
        if not text:
            return
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            end = len(text)
        if not text.startswith("{") or text[end:].strip():
            msg = f"{self._path}, line {number}: not a journal event: line feeds are missing or the line is damaged"
            raise InputError(msg)


def _write_whole(handle: io.FileIO, data: bytes) -> None:
    if handle.write(data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(handle.fileno())
