"""ARM boards that are played by real aarch64 programs: Debian's Python and the wheels of the runtimes, under QEMU."""

from __future__ import annotations

import importlib.metadata
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.ssh_server import write_program

_PACKAGES = ("numpy", "onnxruntime", "ai-edge-litert")
_SUITE, _PYTHON = "bookworm", "3.11"
_QEMU, _BOOTSTRAP = "qemu-aarch64-static", "mmdebstrap"
_MANYLINUX = ("2_28", "2_27", "2_17", "2014")


def make_system(folder: Path) -> Path:
    """Return the root of an arm64 system with Python, numpy and the runtimes; it takes some 130 MB of downloads.

    The test is skipped where the programs or the packages cannot be had.
    """
    missing = [program for program in (_QEMU, _BOOTSTRAP) if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: apt install qemu-user-static mmdebstrap")
    root = folder / "system"
    packages = "--include=python3,libstdc++6"
    _require([_BOOTSTRAP, "--quiet", "--architectures=arm64", "--variant=extract", packages, _SUITE, str(root)])
    versions = [f"{name}=={importlib.metadata.version(name)}" for name in _PACKAGES]
    platforms = [f"--platform=manylinux{'_' * ('_' in kind)}{kind}_aarch64" for kind in _MANYLINUX]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    _require([*pip, f"--python-version={_PYTHON}", f"--target={root / 'packages'}", *versions])
    return root


def make_board(folder: Path, system: Path, cpuinfo: str, model: str) -> Path:
    """Return the Python of a board: the system with a `/proc` of its own.

    Args:
        folder: A new folder for the board.
        system: Root of the system that the boards share.
        cpuinfo: Its `/proc/cpuinfo`.
        model: Its model in the device tree.
    """
    (folder / "proc/device-tree").mkdir(parents=True)
    (folder / "proc/cpuinfo").write_text(cpuinfo, encoding="utf-8")
    (folder / "proc/device-tree/model").write_text(f"{model}\0", encoding="utf-8")
    for part in system.iterdir():
        if part.name != "proc":
            (folder / part.name).symlink_to(part)
    program = folder / "python"
    # With `-cpu max`, QEMU 7.2 computes wrong int8 results.
    command = [_QEMU, "-cpu", "cortex-a72", "-L", folder, "-E", "PYTHONPATH=/packages"]
    command.append(folder / f"usr/bin/python{_PYTHON}")
    write_program(program, f'#!/bin/sh\nexec {shlex.join(map(str, command))} "$@"\n')
    return program


def _require(command: Sequence[str]) -> None:
    """Run a command; skip the test with the command's last words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        pytest.skip(f"the packages of an arm64 system cannot be had: {command[0]}: {words[-1]}")
