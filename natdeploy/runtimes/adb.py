"""Android devices behind adb, the Android Debug Bridge."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from natdeploy.errors import DeviceUnreachableError, InputError, NatdeployError
from natdeploy.runtimes.connection import make_not_installed_error

ANY = "any"
BASE = "/data/local/tmp/natdeploy"
_LIST_S = 20.0
_RESTART = "restart the adb server: run `adb kill-server`, then try again"
_PHONE = "unlock the phone, turn on USB debugging in its developer options, and check what `adb devices` lists"
_TRUST = "the phone does not trust this machine yet: confirm the USB debugging prompt on its screen"
_NO_PERMISSION = r"no permissions|insufficient permissions"
_NOT_ALLOWED = "this machine does not let your user open the phone's USB port"
_UDEV = (
    "sudo apt install android-sdk-platform-tools-common; sudo usermod -aG plugdev $USER; then log out and in, run "
    "`adb kill-server`, and plug the phone in again"
)
# What adb says of a phone, as a state or in an error; reason, where adb's words need one, and hint.
_TROUBLES = (
    (_NO_PERMISSION, _NOT_ALLOWED, _UDEV),
    (r"unauthorized|authorizing|failed to authenticate", _TRUST, _PHONE),
    (
        r"^(?:recovery|rescue|sideload|bootloader|fastboot)",
        "the phone has not started Android, but a mode for repairs",
        "start it: run `adb reboot`, and unlock it",
    ),
    (r"offline", "the phone does not answer", f"unplug it and plug it in again; {_PHONE}"),
    (r"not found|no devices|more than one device", "the phone is not connected any more", _PHONE),
    (r"connect to daemon|daemon not running|start daemon|server .*doesn't match", "", _RESTART),
    (r"closed|protocol fault|connect failed|timeout expired|still connecting|connection reset|^device\b", "", _PHONE),
)
# Errors of adb begin so. Those about a file that it copies are not about the phone.
_ERROR = re.compile(r"^(?:adb: (?:error: )?|error: |\* )(?!failed to copy|cannot stat|remote)(.+)$", re.MULTILINE)


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
        for told in _ERROR.finditer(stderr) if exit_code != 0 else ():
            trouble = _find_trouble(told[1])
            if trouble is not None:
                reason, hint = trouble
                said = told[0].strip() + (f" ({reason})" if reason else "")
                msg = f"the connection to {self.serial} was cut: {said}"
                return DeviceUnreachableError(msg, hint=_find_hint(self.serial, hint))
        return None

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
    _require_permission(states, wanted)
    if wanted == ANY:
        if len(states) > 1:
            msg = f"several Android devices are connected: {', '.join(states)}"
            raise InputError(msg, hint='in devices.toml, set the address to one of these serials instead of "any"')
        wanted = next(iter(states), wanted)
    if wanted not in states:
        msg = f"no device {wanted} is connected; adb lists: {', '.join(states)}"
        raise DeviceUnreachableError(
            msg if states else "no Android device is connected", hint=_find_hint(wanted, _PHONE)
        )
    if states[wanted] != "device":
        reason, hint = _find_trouble(states[wanted]) or ("", _PHONE)
        said = f"adb reports its state as {states[wanted]!r}"
        msg = f"{wanted} cannot be used: {f'{reason} ({said})' if reason else said}"
        raise DeviceUnreachableError(msg, hint=_find_hint(wanted, hint))
    return wanted


def _find_hint(serial: str, hint: str) -> str:
    """Return the hint for a phone; one over a network has an address for a serial, and cannot be plugged in."""
    if ":" in serial:
        return (
            f"run `adb disconnect {serial}` and `adb connect {serial}`; after a restart the phone needs its port anew"
        )
    return hint


def _require_permission(states: Mapping[str, str], wanted: str) -> None:
    """Check that the phone is not one that this machine keeps from its user: adb lists it, often without its serial."""
    usable = [serial for serial, state in states.items() if state == "device"]
    if wanted in usable or (wanted == ANY and usable):
        return
    refused = next((state for state in states.values() if re.search(_NO_PERMISSION, state)), None)
    if refused is not None:
        msg = f"adb lists a phone that cannot be used: {_NOT_ALLOWED} (adb says: {refused})"
        raise DeviceUnreachableError(msg, hint=_UDEV)


def _find_trouble(told: str) -> tuple[str, str] | None:
    """Return reason and hint for what adb says of a phone, or None if it says nothing of the phone."""
    return next(((reason, hint) for pattern, reason, hint in _TROUBLES if re.search(pattern, told)), None)


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
