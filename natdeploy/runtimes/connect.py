"""Opening the connection to a device that its description names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natdeploy.core.device import Device
from natdeploy.errors import DeviceUnreachableError

if TYPE_CHECKING:
    from natdeploy.runtimes.connection import Connection


def connect(device: Device, *, patience_s: float = 30.0) -> Connection:
    """Open a connection to a device, which has `patience_s` seconds to answer.

    Raises:
        DeviceUnreachableError: It cannot be reached, or nobody has said where it is.
        MissingRuntimeError: The program that connects is not installed.
        OutputError: The device is full.
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
    """Return the error of a device of which nobody has said where it is."""
    example = "user@host" if device.transport == "ssh" else "SERIAL"
    msg = f"{device.name} is not connected: no {device.transport} address of it is known"
    hint = f'write [{device.name}] and address = "{example}" into devices.toml, or measure here with --device host'
    return DeviceUnreachableError(msg, hint=hint)
