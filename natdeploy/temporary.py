"""Temporary folders of which nothing stays: the next one that is made removes those of processes that were killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from natdeploy.errors import OutputError

_NAME = "natdeploy-tmp-"
_VARIABLE = "TMPDIR"
_ANY = re.compile(rf"\.?{_NAME}\w+")


@contextlib.contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Create an empty folder that only this user can read, and remove it at the end of the block.

    Its name cannot be guessed. It is locked during the block, so a folder without a lock was left by a process that was
    killed, and is removed.

    Args:
        parent: Where it is created, as a hidden folder. None: where the system keeps temporary files.

    Raises:
        OutputError: The system's folder of temporary files cannot be written.
        OSError: `parent` cannot be written.
    """
    if parent is None:
        with _writing_temporary_files():
            place = Path(tempfile.gettempdir())
            folder, lock = _make_locked(place, _NAME)
    else:
        place = parent
        folder, lock = _make_locked(place, f".{_NAME}")
    try:
        remove_stale(place)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def gather_temporary_files() -> Iterator[None]:
    """Keep all temporary files of this process in one folder during the block, also those of libraries and children.

    Libraries leave some when they end, and all of theirs when they are killed.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = str(stack.enter_context(temporary_folder()))
        except OutputError:  # what needs temporary files will say so
            folder = None
        former, variable = tempfile.tempdir, os.environ.get(_VARIABLE)
        if folder is not None:
            tempfile.tempdir = os.environ[_VARIABLE] = folder
        try:
            yield
        finally:
            tempfile.tempdir = former
            os.environ.pop(_VARIABLE, None)
            if variable is not None:
                os.environ[_VARIABLE] = variable


def remove_stale(parent: Path) -> None:
    """Remove the temporary folders in `parent` that processes of this user left when they were killed."""
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _ANY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _remove_unlocked(Path(entry.path))


@contextlib.contextmanager
def _writing_temporary_files() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"cannot write temporary files: {error.strerror or error}"
        raise OutputError(msg, hint="free some space there, or set TMPDIR to another folder") from error


def _make_locked(parent: Path, prefix: str) -> tuple[Path, int]:
    """Return a new folder and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Until it is locked, the folder looks like one that was left, and another process may remove it.
        with contextlib.suppress(FileNotFoundError):
            lock = _open_folder(folder)
            with contextlib.suppress(OSError):  # some network disks have no locks, and then nothing is removed there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _remove_unlocked(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is in use, of another user, or gone by now
        lock = _open_folder(folder)
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _open_folder(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
