"""Lets only one job use a device at a time, among all processes of a user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

from natdeploy.core.device import Device
from natdeploy.errors import InputError
from natdeploy.files import writing
from natdeploy.io.home import home_folder


@contextlib.contextmanager
def lock_device(device: Device) -> Iterator[None]:
    """Keep other jobs away from a device inside the block. The lock belongs to the device's address, not to its name.

    Raises:
        InputError: Another job already uses the device. The message names its process.
        OutputError: The lock file cannot be written.
    """
    place = re.sub(r"[^A-Za-z0-9._-]", "_", f"{device.transport}-{device.address or 'here'}-{device.port or ''}")
    path = home_folder() / "locks" / f"{place}.lock"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a+", encoding="utf-8")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.seek(0)
            msg = f"{device.name} is busy: process {handle.read().strip() or 'unknown'} measures there"
            raise InputError(
                msg,
                hint="wait for that process to end, because two jobs at a time would distort each other's measurements",
            ) from error
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
