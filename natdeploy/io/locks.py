"""Lets only one job use a device at a time, among all processes of a user."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import filelock

from natdeploy.core.device import Device
from natdeploy.errors import InputError
from natdeploy.files import writing
from natdeploy.io.home import home_folder


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
    name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{device.transport}-{device.address or 'here'}-{device.port or ''}")
    path = home_folder() / "locks" / f"{name}.lock"
    # Opening a lock empties its file, so the process that holds it is written into another one.
    holder = path.with_suffix(".pid")
    lock = filelock.FileLock(path, timeout=patience_s)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            process = holder.read_text(encoding="utf-8") if holder.exists() else "unknown"
            msg = f"{device.name} is busy: process {process} measures there"
            hint = "wait for that process to end, because two jobs at a time would distort each other's measurements"
            raise InputError(msg, hint=hint) from error
    try:
        with writing(holder):
            holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
