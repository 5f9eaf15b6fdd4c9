"""A real ssh server on this machine's loopback, as a board: own host key, own port, own authorized key."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

ADDRESS = "board"
_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
_PRIVILEGE_FOLDER = Path("/run/sshd")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SshServer:
    """The running server, and the client's configuration as a user would write it: `ssh board` reaches it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def known_hosts(self) -> Path:
        """The client's known hosts."""
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        """The client's configuration."""
        return self.folder / "config"

    @property
    def log(self) -> str:
        """What the server has told so far."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def cut(self) -> None:
        """Kill the sessions of the server, not the server: what was connected is not any more."""
        for child in descendants(self.process.pid):
            if _name(child) == "sshd":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


@contextlib.contextmanager
def ssh_server(
    folder: Path, environment: Mapping[str, str] | None = None, settings: Sequence[str] = ()
) -> Iterator[SshServer]:
    """Start a server whose keys lie in `folder`.

    Args:
        folder: Folder of keys and configuration.
        environment: What commands there find beside the usual.
        settings: Further lines of its configuration.
    """
    if not Path(_SSHD).exists() or shutil.which("ssh") is None:
        pytest.skip("needs sshd and ssh: apt install openssh-server openssh-client")
    if os.geteuid() == 0:
        _PRIVILEGE_FOLDER.mkdir(exist_ok=True, mode=0o755)
    folder.chmod(0o700)
    for name in ("host_key", "user_key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    port = free_port()
    config = _server_config(folder, port, environment or {}) + "".join(f"{line}\n" for line in settings)
    (folder / "sshd_config").write_text(config, encoding="utf-8")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([_SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    server = SshServer(folder=folder, port=port, process=process)
    write_client(server)
    try:
        _wait(server)
        yield server
    finally:
        server.cut()
        process.terminate()
        process.wait(10)


def write_client(server: SshServer) -> None:
    """Write the client's configuration, and a `bin/ssh` that uses it, for the front of PATH."""
    key = (server.folder / "host_key.pub").read_text(encoding="utf-8")
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {key}", encoding="utf-8")
    server.config.write_text(
        f"Host {ADDRESS}\n  HostName 127.0.0.1\n  Port {server.port}\n"
        f"Host *\n  IdentityFile {server.folder / 'user_key'}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {server.known_hosts}\n  GlobalKnownHostsFile /dev/null\n",
        encoding="utf-8",
    )
    program = server.folder / "bin" / "ssh"
    program.parent.mkdir()
    write_program(program, f'#!/bin/sh\nexec {shutil.which("ssh")} -F {shlex.quote(str(server.config))} "$@"\n')


def write_program(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def descendants(pid: int) -> list[int]:
    """Return the processes below a process."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return []
    found = [int(child) for child in children]
    return [*found, *(below for child in found for below in descendants(child))]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _server_config(folder: Path, port: int, environment: Mapping[str, str]) -> str:
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host_key'}",
        f"AuthorizedKeysFile {folder / 'authorized_keys'}",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "MaxStartups 100",
    ]
    if environment:
        lines.append("SetEnv " + " ".join(f"{key}={value}" for key, value in environment.items()))
    return "\n".join(lines) + "\n"


def _wait(server: SshServer) -> None:
    def answers() -> bool:
        if server.process.poll() is not None:
            pytest.fail(f"sshd did not start: {server.log}")
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except OSError:
            return False
        return True

    if not wait_until(answers):
        pytest.fail(f"sshd does not listen: {server.log}")
