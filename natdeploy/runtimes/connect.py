"""Opens the connections to devices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from natdeploy.core.device import Device
from natdeploy.errors import DeviceUnreachableError

if TYPE_CHECKING:
    from natdeploy.runtimes.connection import Connection


class Connections:
    """Opens connections to devices, and aborts those that are open when another thread says so."""

    def __init__(self) -> None:
        self._open: list[Connection] = []

    @contextlib.contextmanager
    def open(self, device: Device) -> Iterator[Connection]:
        """Connect to a device as `connect` does, and close the connection at the end."""
        with connect(device) as connection:
            self._open.append(connection)
            try:
                yield connection
            finally:
                self._open.remove(connection)

    def abort(self) -> None:
        """Abort every open connection, so that what waits for a device fails."""
        for connection in tuple(self._open):
            connection.abort()


def connect(device: Device, *, patience_s: float = 30.0) -> Connection:
    """Open a connection to a device. The device has `patience_s` seconds to answer.

    Raises:
        DeviceUnreachableError: The device cannot be reached, or its address is unknown.
        MissingRuntimeError: The program that connects, `ssh` or `adb`, is not installed on this machine.
        OutputError: The device has no space left.
    """
    from natdeploy.runtimes.adb import AdbLink, find_serial
    from natdeploy.runtimes.connection import Connection, LocalLink
    from natdeploy.runtimes.ssh import SshLink

    if device.transport == "local":
        return Connection(device.name, LocalLink(), patience_s=patience_s)
    if device.address is None:
        raise make_not_connected_error(device)
    if device.transport == "adb":
        return Connection(device.name, AdbLink(serial=find_serial(device.address)), patience_s=patience_s)
    return Connection(device.name, SshLink(device.address, device.port), patience_s=patience_s)


def make_not_connected_error(device: Device) -> DeviceUnreachableError:
    """Return the error for a device whose address is unknown."""
    example = "user@host" if device.transport == "ssh" else "SERIAL"
    msg = f"{device.name} is not connected: its {device.transport} address is unknown"
    hint = f'write [{device.name}] and address = "{example}" into devices.toml, or measure here with --device host'
    return DeviceUnreachableError(msg, hint=hint)
