"""Locks among all processes: one job at a time uses a device or writes into a run folder."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock

from natdeploy.core.device import Device
from natdeploy.errors import InputError
from natdeploy.files import writing
from natdeploy.io.home import home_folder
from natdeploy.temporary import remove_stale

_RUN_LOCK = ".lock"
_RUN_FOLDERS = ("checkpoint", "latency_tables")


@contextlib.contextmanager
def lock_device(device: Device, *, patience_s: float = 0.0) -> Iterator[None]:
    """Keep other jobs away from a device inside the block. The lock belongs to the device's address, not to its name.

    Args:
        device: The device.
        patience_s: Seconds to wait for the end of another job.

    Raises:
        InputError: Another job already uses the device. The message names its process.
        OutputError: The lock file cannot be written.
    """

    def refuse(holder: str) -> InputError:
        msg = f"{device.name} is busy: {holder} measures there"
        hint = "wait for that process to end, because two jobs at a time would distort each other's measurements"
        return InputError(msg, hint=hint)

    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{device.transport}-{device.address or 'here'}-{device.port or ''}")
    with _hold(home_folder() / "locks" / f"{name}.lock", refuse, patience_s):
        yield


@contextlib.contextmanager
def hold_run(path: Path) -> Iterator[None]:
    """Keep other commands from writing into a run folder inside the block, and remove what a kill has left in it.

    Args:
        path: The folder. It is created if there is none.

    Raises:
        InputError: Another command writes into it, which the message names, or a part of it is a link.
        OutputError: The folder cannot be written.
    """

    def refuse(holder: str) -> InputError:
        return InputError(f"{path}: {holder} is working on this run", hint="wait for that process to end")

    folders = (path, *(path / name for name in _RUN_FOLDERS))
    for folder in folders:
        _require_no_links(folder)
    with _hold(path / _RUN_LOCK, refuse):
        for folder in folders:
            remove_stale(folder)
        yield


def _require_no_links(folder: Path) -> None:
    """Check that what is written into a run stays in it: one from elsewhere could have other files changed."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.is_symlink():
            msg = f"{entry}: is a link, but a run folder must hold its own files"
            raise InputError(msg, hint="replace the link by what it leads to")


@contextlib.contextmanager
def _hold(path: Path, refuse: Callable[[str], InputError], patience_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` inside the block; if another process does, raise what `refuse` returns."""
    # Opening a lock may empty its file, so the process that holds it is written into another one.
    holder = path.with_name(f"{path.name}.pid")
    lock = filelock.FileLock(path, timeout=patience_s)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise refuse(_read_holder(holder)) from error
    try:
        with writing(holder):
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
