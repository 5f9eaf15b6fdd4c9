"""Android devices behind adb, the Android Debug Bridge."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

from natdeploy.errors import DeviceUnreachableError, InputError, NatdeployError
from natdeploy.runtimes.connection import make_not_installed_error

ANY = "any"
BASE = "/data/local/tmp/natdeploy"
_LIST_S = 20.0
_RESTART = "restart the adb server: run `adb kill-server`, then try again"
_PHONE = "unlock the phone, turn on USB debugging in its developer options, and check what `adb devices` lists"
_STATES = {
    "unauthorized": "the phone does not trust this machine yet: confirm the USB debugging prompt on its screen",
    "offline": "the phone does not answer: unplug it and plug it in again",
}
_LOST = re.compile(
    r"^(?:adb: )?(?:error: )(?:device .*(?:not found|offline|unauthorized)|no devices|closed|protocol fault).*",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdbLink:
    """A link to an Android device; implements `natdeploy.runtimes.connection.Link`.

    Args:
        serial: Serial number of the device, as `adb devices` lists it.
    """

    serial: str

    @property
    def base(self) -> str:
        """Parent of the temporary folder on the device. Android lets programs run from there."""
        return BASE

    def make_opening_command(self, line: str) -> list[str]:
        """Return the arguments that run a shell line."""
        return self._make_command("shell", line)

    def make_command(self, line: str) -> list[str]:
        """Return the arguments that run a shell line."""
        return self._make_command("shell", line)

    def make_push_command(self, source: Path, target: str) -> list[str]:
        """Return the arguments that copy a file to the device."""
        return self._make_command("push", str(source), target)

    def interpret_failure(self, exit_code: int, stderr: str) -> NatdeployError | None:
        """Return the error if adb itself failed, None otherwise."""
        told = _LOST.search(stderr)
        if exit_code == 0 or told is None:
            return None
        return DeviceUnreachableError(f"the connection to {self.serial} was cut: {told[0]}", hint=_PHONE)

    def close(self) -> None:
        """Do nothing: the adb server keeps running."""

    def _make_command(self, *arguments: str) -> list[str]:
        return ["adb", "-s", self.serial, *arguments]


def find_serial(wanted: str) -> str:
    """Return the serial of a connected Android device.

    Args:
        wanted: Serial number, or `any` for the only connected device.

    Raises:
        MissingRuntimeError: adb is not installed.
        DeviceUnreachableError: The device is not connected, or it refuses adb.
        InputError: `wanted` is `any`, but several devices are connected. The message lists them.
    """
    states = _list_devices()
    if wanted == ANY:
        if len(states) > 1:
            msg = f"several Android devices are connected: {', '.join(states)}"
            raise InputError(msg, hint='in devices.toml, set the address to one of these serials instead of "any"')
        wanted = next(iter(states), wanted)
    if wanted not in states:
        msg = f"no device {wanted} is connected; adb lists: {', '.join(states)}"
        raise DeviceUnreachableError(msg if states else "no Android device is connected", hint=_PHONE)
    if states[wanted] != "device":
        msg = f"{wanted} cannot be used: {_STATES.get(states[wanted], f'adb reports its state as {states[wanted]!r}')}"
        raise DeviceUnreachableError(msg, hint=_PHONE)
    return wanted


def _list_devices() -> dict[str, str]:
    """Return the state of each connected device by its serial."""
    arguments = ["adb", "devices"]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_LIST_S, check=False)
    except FileNotFoundError as error:
        raise make_not_installed_error(arguments[0]) from error
    except subprocess.TimeoutExpired as error:
        msg = f"adb did not answer within {_LIST_S:g} s"
        raise DeviceUnreachableError(msg, hint=_RESTART) from error
    if done.returncode != 0:
        msg = f"adb cannot list the devices: {done.stderr.strip()}"
        raise DeviceUnreachableError(msg, hint=_RESTART)
    lines = done.stdout.partition("List of devices attached")[2].splitlines()
    return {serial: state for serial, _, state in (line.partition("\t") for line in lines) if state}
