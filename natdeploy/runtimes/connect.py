"""Opens the connection to a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natdeploy.core.device import Device
from natdeploy.errors import DeviceUnreachableError

if TYPE_CHECKING:
    from natdeploy.runtimes.connection import Connection


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
