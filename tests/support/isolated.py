"""Runs commands in a network namespace that has the loopback device alone, and tells what they tried to send.

`run_isolated(COMMANDS, FOLDER)` starts this file as a program in such a namespace. The kernel counts every packet for
which there is no route, and every UDP packet, so also those of libraries in C++ and of other processes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

_SET_FLAGS, _UP = 0x8914, 0x41
_ISOLATE = ("unshare", "--map-root-user", "--net")


def run_isolated(commands: Sequence[Sequence[str]], folder: Path) -> tuple[list[int], int]:
    """Run commands of natdeploy one after the other, and return their exit codes and the number of packets sent.

    A command that begins with `python` is run by this Python instead.

    Args:
        commands: Words of each command.
        folder: Gets the folders `work`, the current one, `home` and `tmp`, the user's and that of temporary files.
    """
    if not shutil.which("unshare") or subprocess.run([*_ISOLATE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs network namespaces, which this machine does not allow: unshare --map-root-user --net")
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    there = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NATDEPLOY_", "ORT_"))}
    there |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*_ISOLATE, sys.executable, __file__, json.dumps([list(command) for command in commands])],
        cwd=folder / "work",
        env=there,
        stdout=subprocess.PIPE,
        check=True,
    )
    codes, packets = json.loads(done.stdout.splitlines()[-1])
    return codes, packets


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))


def _count_packets() -> int:
    counts = {}
    lines = Path("/proc/self/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind, *keys = names.split()
        counts |= {f"{kind}{key}": int(value) for key, value in zip(keys, values.split()[1:], strict=True)}
    counts |= {line.split()[0]: int(line.split()[1]) for line in Path("/proc/self/net/snmp6").read_text().splitlines()}
    return sum(counts[name] for name in ("Ip:OutNoRoutes", "Udp:OutDatagrams", "Ip6OutNoRoutes", "Udp6OutDatagrams"))


def _run(command: list[str]) -> int:
    if command[0] == "python":
        return subprocess.run([sys.executable, *command[1:]], check=False, stdout=sys.stderr).returncode
    from natdeploy.cli import run

    return run(command)


if __name__ == "__main__":
    _bring_loopback_up()
    codes = [_run(command) for command in json.loads(sys.argv[1])]
    sys.stdout.write(f"\n{json.dumps([codes, _count_packets()])}\n")
