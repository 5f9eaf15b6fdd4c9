"""Devices behind ssh: the system's own client, so that its configuration, agent, jump hosts and known hosts hold.

Only `sh` is asked of the device: files go there through a command's input, since small boards often have no sftp.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from natdeploy.errors import DeviceUnreachableError, NatdeployError

_OWN_FAILURE = 255
_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=6",
    "ControlPersist=no",
    "ClearAllForwardings=yes",
    "RemoteCommand=none",
)
# ssh goes its own way when the open connection is gone; it must not, since the folder is gone with it.
_ONLY_SHARED = ("ControlMaster=no", "ProxyJump=none", "ProxyCommand=exit 255")


class SshLink:
    """A device that an ssh server runs on; implements `natdeploy.runtimes.connection.Link`.

    All commands share the connection of the first one.

    Args:
        address: `host` or `user@host`, as ssh understands it.
        port: Port of the server; ssh's own choice where None.
    """

    def __init__(self, address: str, port: int | None = None) -> None:
        self._address = address
        self._port = port
        # The path of a socket has little room, so the folder must not lie deep.
        self._control = Path(tempfile.mkdtemp(prefix="nd-", dir="/tmp"))

    @property
    def base(self) -> str:
        """Folder of natdeploy's own on the device for temporary ones: none."""
        return ""

    def make_opening_command(self, line: str) -> list[str]:
        """Return the arguments that open the connection and run a shell line."""
        return self._make_ssh_command(line, "ControlMaster=yes")

    def make_command(self, line: str) -> list[str]:
        """Return the arguments that run a shell line over the open connection."""
        return self._make_ssh_command(line, *_ONLY_SHARED)

    def make_push_command(self, source: Path, target: str) -> None:
        """Return None: files go through commands."""

    def interpret_failure(self, exit_code: int, stderr: str) -> NatdeployError | None:
        """Return what went wrong where ssh itself failed."""
        if exit_code != _OWN_FAILURE:
            return None
        for pattern, reason, hint in self._list_known_failures():
            if re.search(pattern, stderr):
                return DeviceUnreachableError(reason, hint=hint)
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        return DeviceUnreachableError(f"the connection was cut: {lines[-1]}" if lines else "the connection was cut")

    def close(self) -> None:
        """Remove the socket's folder."""
        shutil.rmtree(self._control, ignore_errors=True)

    def _make_ssh_command(self, line: str, *options: str) -> list[str]:
        stated = [part for option in (*options, *_OPTIONS) for part in ("-o", option)]
        port = [] if self._port is None else ["-p", str(self._port)]
        return ["ssh", "-T", "-S", str(self._control / "socket"), *stated, *port, "--", self._address, line]

    def _list_known_failures(self) -> tuple[tuple[str, str, str], ...]:
        port = "" if self._port is None else f" -p {self._port}"
        login = f"ssh{port} {self._address}"
        host = self._address.rpartition("@")[2]
        entry = host if self._port in {None, 22} else f"[{host}]:{self._port}"
        where = f"{host}, port {self._port}" if self._port else host
        return (
            (
                "REMOTE HOST IDENTIFICATION HAS CHANGED",
                f"the host key of {where} is not the known one: another machine answers, or it was installed anew",
                f"if it was installed anew, forget the old key: ssh-keygen -R '{entry}'; then log in once: {login}",
            ),
            (
                "Host key verification failed",
                f"the host key of {where} is not known yet",
                f"log in once with: {login}; and compare the key with that of the device",
            ),
            (
                r"Permission denied|Too many authentication failures",
                f"{self._address} refuses the login",
                f"natdeploy never asks for a password; allow your key with: ssh-copy-id{port} {self._address}",
            ),
            (
                "Connection refused",
                f"{where} refuses the connection: no ssh server listens there",
                "start the device's ssh server, and check address and port in devices.toml",
            ),
            (
                "Could not resolve hostname",
                f"no host is called {host}",
                "check the address in devices.toml; an IP address does too",
            ),
            (
                r"[Tt]imed out|No route to host|Network is unreachable|Timeout, server",
                f"{where} does not answer",
                "check that the device is switched on and in the same network",
            ),
        )
