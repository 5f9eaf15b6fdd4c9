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
_RESTART = "start its server anew: adb kill-server"
_PHONE = "unlock the phone, switch USB debugging on in its developer options, and see what `adb devices` lists"
_STATES = {
    "unauthorized": "the phone does not trust this machine yet: confirm its question about USB debugging",
    "offline": "the phone does not answer: plug it in again",
}
_LOST = re.compile(
    r"^(?:adb: )?(?:error: )(?:device .*(?:not found|offline|unauthorized)|no devices|closed|protocol fault).*",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdbLink:
    """An Android device; implements `natdeploy.runtimes.connection.Link`.

    Args:
        serial: Its serial, as `adb devices` lists it.
    """

    serial: str

    @property
    def base(self) -> str:
        """Folder on the device in which the temporary one is made; programs may run there."""
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
        """Return what went wrong where adb itself failed."""
        told = _LOST.search(stderr)
        if exit_code == 0 or told is None:
            return None
        return DeviceUnreachableError(f"the connection to {self.serial} was cut: {told[0]}", hint=_PHONE)

    def close(self) -> None:
        """Do nothing: adb's server stays, as it always does."""

    def _make_command(self, *arguments: str) -> list[str]:
        return ["adb", "-s", self.serial, *arguments]


def find_serial(wanted: str) -> str:
    """Return the serial of a connected Android device.

    Args:
        wanted: Its serial, or `any` for the only device that is connected.

    Raises:
        MissingRuntimeError: adb is not installed.
        DeviceUnreachableError: The device is not connected, or it does not let adb in.
        InputError: Any device is wanted, but several are connected; the message names them.
    """
    states = _list_devices()
    if wanted == ANY:
        if len(states) > 1:
            msg = f"several Android devices are connected: {', '.join(states)}"
            raise InputError(msg, hint='write the serial of one as its address in devices.toml instead of "any"')
        wanted = next(iter(states), wanted)
    if wanted not in states:
        msg = f"{wanted} is not among the devices that adb lists ({', '.join(states)})"
        raise DeviceUnreachableError(msg if states else "no Android device is connected", hint=_PHONE)
    if states[wanted] != "device":
        msg = f"{wanted} cannot be used: {_STATES.get(states[wanted], f'adb calls it {states[wanted]!r}')}"
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
        msg = f"adb does not answer within {_LIST_S:g} s"
        raise DeviceUnreachableError(msg, hint=_RESTART) from error
    if done.returncode != 0:
        msg = f"adb lists no devices: {done.stderr.strip()}"
        raise DeviceUnreachableError(msg, hint=_RESTART)
    lines = done.stdout.partition("List of devices attached")[2].splitlines()
    return {serial: state for serial, _, state in (line.partition("\t") for line in lines) if state}
