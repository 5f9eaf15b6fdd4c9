"""Why a device lets natdeploy log in, but runs no command: read from what its login printed."""

from __future__ import annotations

import re

from natdeploy.errors import DeviceUnreachableError

_START_UP_FILE = (
    "`ssh ADDRESS true` (for a phone `adb shell true`) must end at once: a start-up file of the shell there, such as "
    "~/.bashrc, must not wait, end or start another shell unless it is interactive"
)
_SHOWN = 200
# What a login prints that runs no command, and what to do. Other texts come from a start-up file.
_KNOWN = (
    (r"(?i)password", "its account needs a new password", "log in once by hand, and set one"),
    (
        r"(?i)please login as the user",
        "it wants another user",
        "name that user in the address in devices.toml",
    ),
    (
        r"(?i)account is (?:currently )?not available|sftp connections only|allows? (?:only )?sftp|restricted shell",
        "its account may not run commands",
        "name another user in the address in devices.toml",
    ),
    (
        r"(?i)is not recognized as (?:an internal|the name of)",
        "it runs Windows, whose shell does not know sh",
        "natdeploy measures Linux over ssh; on a Windows computer, log in to an ssh server inside WSL",
    ),
)


def make_login_error(printed: str) -> DeviceUnreachableError:
    """Return the error of a device whose login ended before a command began.

    Args:
        printed: What it printed on stdout and stderr.
    """
    told = f"it printed {_shorten(printed)}" if printed.strip() else "it printed nothing"
    for pattern, reason, hint in _KNOWN:
        if re.search(pattern, printed):
            return DeviceUnreachableError(f"{reason}: {told}", hint=hint)
    return DeviceUnreachableError(f"its login shell does not run commands: {told}", hint=_START_UP_FILE)


def make_silence_error(patience_s: float, printed: str) -> DeviceUnreachableError:
    """Return the error of a device that did not begin a command in time.

    Args:
        patience_s: Seconds that it had.
        printed: What it printed in the meantime.
    """
    msg = f"no answer within {patience_s:g} s"
    if not printed.strip():
        return DeviceUnreachableError(msg)
    return DeviceUnreachableError(f"{msg}; its login shell printed {_shorten(printed)}", hint=_START_UP_FILE)


def _shorten(text: str) -> str:
    return repr(" ".join(text.split())[:_SHOWN])
