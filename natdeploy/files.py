"""Writes files without ever leaving them half-written: atomic replacement and an append-only journal."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from natdeploy.errors import InputError, NatdeployError, OutputError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, and rename it to `target` if the block ends without an error.

    The temporary file has the suffix of `target`, because some writers depend on it. If the block
    raises an error, the temporary file is removed and an existing `target` stays unchanged.

    Raises:
        OutputError: The folder cannot be created or written, or the disk is full.
    """
    target = Path(target)
    temporary: Path | None = None
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".tmp-{os.getpid()}-{target.name}")
            temporary.touch()
            yield temporary
            temporary.replace(target)
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn an `OSError` raised while writing `target` into an `OutputError` that names `target`."""
    try:
        yield
    except NatdeployError:
        raise
    except OSError as error:
        in_the_way = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "a file has the name of a folder that is needed" if in_the_way else error.strerror or error
        msg = f"cannot write {target}: {reason}"
        raise OutputError(msg, hint="choose another place with --output, or free some space") from error


def require_writable(target: Path) -> None:
    """Check that `target` can be written. Call this before long work whose result goes there.

    Raises:
        OutputError: The folder of `target` cannot be created or written.
    """
    target = Path(target)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=target.parent).close()


def write_text(target: Path, text: str) -> None:
    """Write `text` (UTF-8) to `target` atomically.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_text(source: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        InputError: The file is missing, unreadable or not UTF-8.
    """
    try:
        return Path(source).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        msg = f"{source}: no such file"
        raise InputError(msg) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a UTF-8 text file"
        msg = f"{source}: cannot be read: {reason}"
        raise InputError(msg) from error


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
        if not self._path.exists():
            return []
        try:
            raw = self._path.read_bytes()
        except OSError as error:
            msg = f"{self._path}: cannot be read: {error.strerror}"
            raise InputError(msg) from error
        whole = raw[: raw.rfind(b"\n") + 1]
        if len(whole) < len(raw):
            with writing(self._path), self._path.open("rb+") as handle:
                handle.truncate(len(whole))
        events = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                event = json.loads(line)
            except ValueError as error:
                msg = f"{self._path}, line {number}: not a journal event: {error}"
                raise InputError(msg) from error
            if not isinstance(event, dict):
                msg = f"{self._path}, line {number}: not a journal event: {event!r}"
                raise InputError(msg)
            events.append(event)
        return events


def _write_whole(handle: io.FileIO, data: bytes) -> None:
    if handle.write(data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(handle.fileno())
