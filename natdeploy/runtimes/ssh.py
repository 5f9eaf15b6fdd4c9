"""Devices reached with the system's own ssh client.

The configuration, agent, jump hosts and known hosts of that client apply.
The device needs only `sh`. Files are sent through the input of a command, because small boards often have no sftp.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from natdeploy.errors import DeviceUnreachableError, NatdeployError
from natdeploy.temporary import temporary_folder

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
# When the open connection is lost, ssh opens another one. It must not, because the folder is lost too.
_ONLY_SHARED = ("ControlMaster=no", "ProxyJump=none", "ProxyCommand=exit 255")
# What ssh says of this machine or of the account before there is a connection.
_OWN_FAILURES = (
    (
        r"bad permissions|are too open|UNPROTECTED",
        "ssh does not use your private key, because others may read it",
        "chmod 600 FILE, for the file of the key",
    ),
    (
        r"Load key .*(?:error in libcrypto|invalid format)",
        "ssh cannot read your private key",
        "copy the key file again: its last line must end in a line break, and Windows line ends must be removed",
    ),
    (
        r"agent refused operation",
        "the ssh agent does not sign with your key",
        "run `ssh-add`, or unlock the key; a key on a token must be touched",
    ),
    (
        r"Unable to negotiate",
        "this ssh and the server there have no method in common",
        "update the server there; for an old board, add what it offers to its `Host` in ~/.ssh/config, such as "
        "HostKeyAlgorithms +ssh-rsa, PubkeyAcceptedAlgorithms +ssh-rsa or KexAlgorithms +diffie-hellman-group14-sha1",
    ),
    (
        r"Bad owner or permissions on|[Bb]ad configuration option|terminating, \d+ bad",
        "ssh does not accept its configuration",
        "correct the file that it names; `ssh ADDRESS` says the same",
    ),
    (
        r"(?i)password has expired|required to change your password",
        "the account needs a new password",
        "log in once by hand, and set one",
    ),
)


class SshLink:
    """A link to a device with an ssh server; implements `natdeploy.runtimes.connection.Link`.

    All commands share the connection of the first command.

    Args:
        address: `host` or `user@host`, as ssh understands it.
        port: Port of the server. None: ssh's default.
    """

    def __init__(self, address: str, port: int | None = None) -> None:
        self._address = address
        self._port = port
        self._opened = False
        self._undo = contextlib.ExitStack()
        # The path of a socket must be short, so the folder is directly in /tmp.
        self._control = self._undo.enter_context(temporary_folder(Path("/tmp")))  # noqa: S108, the folder is a locked one of its own

    @property
    def base(self) -> str:
        """Empty: the device's default folder for temporary files."""
        return ""

    def make_opening_command(self, line: str) -> list[str]:
        """Return the arguments that open the connection and run a shell line."""
        return self._make_ssh_command(line, "ControlMaster=yes")

    def make_command(self, line: str) -> list[str]:
        """Return the arguments that run a shell line over the open connection."""
        self._opened = True
        return self._make_ssh_command(line, *_ONLY_SHARED)

    def make_push_command(self, source: Path, target: str) -> None:
        """Return None: files are sent through commands."""

    def interpret_failure(self, exit_code: int, stderr: str) -> NatdeployError | None:
        """Return the error if ssh itself failed, None otherwise."""
        if exit_code != _OWN_FAILURE:
            return None
        lines = [line.strip() for line in stderr.splitlines() if line.strip()]
        if not self._opened:
            for pattern, reason, hint in _OWN_FAILURES:
                told = next((line for line in lines if re.search(pattern, line)), None)
                if told is not None:
                    return DeviceUnreachableError(f"{reason}: {told}", hint=hint)
        for pattern, reason, hint in self._list_known_failures():
            if re.search(pattern, stderr):
                return DeviceUnreachableError(reason, hint=hint)
        reason = "the connection was cut" if self._opened else "ssh cannot log in"
        return DeviceUnreachableError(f"{reason}: {lines[-1]}" if lines else reason)

    def close(self) -> None:
        """Remove the folder of the socket."""
        self._undo.close()

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
                f"the host key of {where} has changed: another machine answers, or the device was reinstalled",
                f"if it was reinstalled, remove the old key (ssh-keygen -R '{entry}') and log in once with: {login}",
            ),
            (
                "Host key verification failed",
                f"the host key of {where} is not known yet",
                f"log in once with: {login}; and compare the key with the one of the device",
            ),
            (
                r"Permission denied|Too many authentication failures",
                f"{self._address} refuses the login",
                f"natdeploy never asks for a password; allow your key with: ssh-copy-id{port} {self._address}",
            ),
            (
                "Session open refused by peer",
                f"{where} allows too few sessions in one connection",
                "set MaxSessions to 10 in /etc/ssh/sshd_config on the device, and restart its ssh server",
            ),
            (
                # Over a connection that was open, it is the open connection that was lost.
                r"(?!)"
                if self._opened
                else r"(?:kex|ssh)_exchange_identification|banner exchange|Connection (?:closed|reset) by",
                f"{where} closes the connection before the login",
                "the server there refuses this machine for now (fail2ban, MaxStartups, hosts.deny), or is starting; or "
                "the port is not that of an ssh server",
            ),
            (
                "Connection refused",
                f"{where} refuses the connection: no ssh server is listening there",
                "start the ssh server on the device, and check its address and port in devices.toml",
            ),
            (
                "Could not resolve hostname",
                f"there is no host named {host}",
                "check the address in devices.toml; it may also be an IP address",
            ),
            (
                r"[Tt]imed out|No route to host|Network is unreachable|Timeout, server",
                f"{where} does not answer",
                "check that the device is switched on and connected to the same network",
            ),
        )
