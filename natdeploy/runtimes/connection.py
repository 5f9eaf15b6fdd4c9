"""A connection to a device: it runs commands and copies files in one temporary folder, which it removes at the end.

The first command of a connection is its keeper. The keeper creates the folder and waits until its input ends. Its input
ends when the connection is closed or cut, or when this process dies. The keeper then kills the commands that still run
and removes the folder. The device needs nothing but a POSIX shell.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol, Self

from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError, NatdeployError, OutputError
from natdeploy.files import writing
from natdeploy.ports import Finished, Transport
from natdeploy.runtimes.login_failure import make_login_error, make_silence_error

CLOSE_S, SEND_S = 15.0, 600.0
_FIND_S = 30.0
_MARK = "natdeploy-folder "
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|File too large", re.IGNORECASE)
_KEEPER = (
    "trap '' HUP INT TERM PIPE; umask 077; base=${1:-${TMPDIR:-/tmp}}; "
    'mkdir -p "$base" && folder=$(mktemp -d "$base/natdeploy-XXXXXX") || exit 73; '
    f'echo "{_MARK}$folder"; '
    "while read -r _; do :; done; "
    'for file in "$folder"/*.pid; do if [ -s "$file" ]; then read -r pid < "$file"; '
    'kill -KILL "-$pid" 2>/dev/null || kill -KILL "$pid" 2>/dev/null; fi; done; '
    'rm -rf -- "$folder"; if [ -n "$1" ]; then rmdir "$1" 2>/dev/null; fi'
)
# setsid does not fork in the background of a shell, so its process id is the id of the command and of its group.
_JOB = (
    'exec 3<&0; cd "$1" || exit 72; pid=$2; shift 2; LC_ALL=C; TMPDIR=$PWD; export LC_ALL TMPDIR; '
    'if command -v setsid >/dev/null 2>&1; then set -- setsid "$@"; fi; '
    '"$@" <&3 3<&- & echo $! >"$pid"; wait $!; code=$?; rm -f "$pid"; exit $code'
)
_KILL = 'if [ -s "$1" ]; then read -r pid < "$1"; kill -KILL "-$pid" 2>/dev/null || kill -KILL "$pid"; fi'
_WRITE = 'cat >"$1" && wc -c <"$1"'
_READ = 'wc -c <"$1" >&2 && cat -- "$1"'
# A file that may not be executed is found too: running it tells why.
_FIND = (
    'for name in "$@"; do command -v "$name" && exit 0; done; '
    'for name in "$@"; do case "$name" in */*) [ -f "$name" ] && echo "$name" && exit 0;; esac; done; exit 1'
)
# What a login shell prints before it runs a command comes before this line, on stdout and on stderr.
_BEGIN = "natdeploy-begin"
_SAY_BEGIN = f"echo {_BEGIN}; echo {_BEGIN} >&2; "
_NO_FOLDER = 73


class Link(Protocol):
    """How a connection runs programs on a device, and how it interprets their failures."""

    @property
    def base(self) -> str:
        """Parent of the temporary folder on the device. Empty: the device's default for temporary files."""
        ...

    def make_opening_command(self, line: str) -> list[str]:
        """Return the local command that opens the connection and runs a shell line on the device."""
        ...

    def make_command(self, line: str) -> list[str]:
        """Return the local command that runs a shell line over the open connection."""
        ...

    def make_push_command(self, source: Path, target: str) -> list[str] | None:
        """Return the local command that copies a file to the device, or None if there is none."""
        ...

    def interpret_failure(self, exit_code: int, stderr: str) -> NatdeployError | None:
        """Return the error if the connection failed, None if it worked."""
        ...

    def close(self) -> None:
        """Release what the link holds on this machine."""
        ...


class Connection:
    """Runs commands on a device over a link; implements `natdeploy.ports.Transport`.

    Args:
        name: Name of the device, used in messages.
        link: Starts programs on the device.
        patience_s: Seconds to wait for the device to answer.

    Raises:
        DeviceUnreachableError: The device cannot be reached.
        MissingRuntimeError: The local program that the link needs is not installed.
        OutputError: The device cannot create the folder, for example because it is full.
    """

    def __init__(self, name: str, link: Link, *, patience_s: float = 30.0) -> None:
        self._name = name
        self._link = link
        self._numbers = itertools.count()
        self._closed = threading.Event()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, it stays open as long as the keeper runs
        with contextlib.ExitStack() as undo:
            undo.callback(link.close)
            undo.callback(self._errors.close)
            self._keeper = self._start_keeper()
            self._folder = self._read_folder(patience_s)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Name of the device."""
        return self._name

    @property
    def folder(self) -> str:
        """Temporary folder on the device, in which commands run."""
        return self._folder

    def run(self, command: Sequence[str], *, timeout_s: float, stdin: bytes = b"") -> Finished:
        """Run a command in the folder. A non-zero exit code is not an error.

        Raises:
            DeviceUnreachableError: The connection is lost, or the command did not end in time and was killed.
        """
        pid_file = f"{self._folder}/{next(self._numbers)}.pid"
        self._require_keeper()
        try:
            done = self._run_line(timeout_s, stdin, _JOB, self._folder, pid_file, *command)
        except subprocess.TimeoutExpired as error:
            self._kill(pid_file)
            msg = f"{self._name}: {command[0]} did not finish within {timeout_s:g} s and was killed"
            raise DeviceUnreachableError(msg) from error
        return _decode(done)

    def send(self, source: Path, remote_path: str) -> None:
        """Copy a file to the path `remote_path` on the device.

        Raises:
            DeviceUnreachableError: The connection is lost, or is too slow.
            OutputError: The device cannot write the file. The message says why.
        """
        size = source.stat().st_size
        push = self._link.make_push_command(source, remote_path)
        if push is None:
            done = self.run(["sh", "-c", _WRITE, "sh", remote_path], timeout_s=SEND_S, stdin=source.read_bytes())
        else:
            done = self._push(push)
        if done.exit_code != 0 or (push is None and done.stdout.strip() != str(size)):
            raise self.make_write_error(done.stderr, f"a file of {size / 1e6:.1f} MB")

    def fetch(self, remote_path: str, output_path: Path) -> None:
        """Copy the file `remote_path` of the device to `output_path` on this machine.

        Raises:
            DeviceUnreachableError: The connection is lost, or is too slow.
            InputError: The file does not exist on the device or cannot be read.
            OutputError: `output_path` cannot be written.
        """
        self._require_keeper()
        try:
            done = self._run_line(SEND_S, b"", _READ, remote_path)
        except subprocess.TimeoutExpired as error:
            msg = f"{self._name}: {remote_path} was not received within {SEND_S:g} s"
            raise DeviceUnreachableError(msg) from error
        stderr = done.stderr.decode(errors="replace")
        if done.returncode != 0 or str(len(done.stdout)) not in stderr.split():
            told = stderr.strip().splitlines() or ["it was received incompletely"]
            msg = f"{self._name}: {remote_path} cannot be read: {told[-1]}"
            raise InputError(msg)
        with writing(output_path):
            output_path.write_bytes(done.stdout)

    def make_write_error(self, reason: str, what: str) -> OutputError:
        """Return the error for `what`, which the device could not write for `reason`."""
        if _NO_SPACE.search(reason):
            msg = f"{self._name}: no space left in {self._folder} for {what}"
            return OutputError(
                msg, hint=f"free some space on {self._name}, or set TMPDIR there to a folder on a larger disk"
            )
        told = reason.strip().splitlines() or ["it arrived incompletely"]
        return OutputError(f"{self._name}: {what} cannot be written to {self._folder}: {told[-1]}")

    def abort(self) -> None:
        """Cut the connection, so that every call that waits for the device fails. Any thread may call this."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._keeper_input.close()
        # A local keeper ignores the signal and removes the folder. A client ends, which ends the input of its keeper.
        self._keeper.terminate()

    def close(self) -> None:
        """Kill what still runs on the device, remove the folder and close the connection."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._keeper_input.close()
        try:
            self._keeper.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._keeper_output.close()
        self._errors.close()
        self._link.close()

    @property
    def _keeper_input(self) -> IO[bytes]:
        assert self._keeper.stdin is not None
        return self._keeper.stdin

    @property
    def _keeper_output(self) -> IO[bytes]:
        assert self._keeper.stdout is not None
        return self._keeper.stdout

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        arguments = self._link.make_opening_command(_make_shell_line(_KEEPER, self._link.base))
        try:
            return subprocess.Popen(
                arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0
            )
        except FileNotFoundError as error:
            raise make_not_installed_error(arguments[0]) from error

    def _read_folder(self, patience_s: float) -> str:
        """Wait for the keeper to print its folder, which may come after what the login shell prints."""
        timer = threading.Timer(patience_s, self._keeper.kill)
        timer.start()
        greeting = ""
        try:
            for line in self._keeper_output:
                text = line.decode(errors="replace")
                if _MARK in text:
                    return text.partition(_MARK)[2].strip()
                greeting += text
        finally:
            timer.cancel()
        exit_code = self._keeper.wait()
        self._keeper_input.close()
        self._keeper_output.close()
        if exit_code == -signal.SIGKILL:
            raise self._name_device(make_silence_error(patience_s, greeting))
        stderr = self._read_stderr()
        failure = self._link.interpret_failure(exit_code, stderr)
        if failure is None and exit_code != _NO_FOLDER:
            failure = make_login_error(greeting + stderr)
        raise self._name_device(failure) if failure else self._make_no_folder_error(stderr)

    def _make_no_folder_error(self, stderr: str) -> NatdeployError:
        self._folder = self._link.base or "its folder for temporary files"
        return self.make_write_error(stderr, "a folder")

    def _require_keeper(self) -> None:
        exit_code = self._keeper.poll()
        if exit_code is not None or self._closed.is_set():
            failure = None if exit_code is None else self._link.interpret_failure(exit_code, self._read_stderr())
            raise self._name_device(failure or DeviceUnreachableError("the connection was cut"))

    def _require_success(self, exit_code: int, stderr: str) -> None:
        failure = self._link.interpret_failure(exit_code, stderr)
        if failure is None and self._closed.is_set():
            failure = DeviceUnreachableError("the connection was cut")
        if failure is not None:
            raise self._name_device(failure)

    def _name_device(self, failure: NatdeployError) -> NatdeployError:
        return type(failure)(f"{self._name}: {failure.message}", hint=failure.hint)

    def _read_stderr(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def _push(self, arguments: list[str]) -> Finished:
        self._require_keeper()
        try:
            done = _decode(self._start(arguments, SEND_S, b""))
        except subprocess.TimeoutExpired as error:
            msg = f"{self._name}: a file was not sent within {SEND_S:g} s"
            raise DeviceUnreachableError(msg) from error
        self._require_success(done.exit_code, done.stderr + done.stdout)
        return dataclasses.replace(done, stderr=done.stderr + done.stdout)

    def _kill(self, pid_file: str) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._start(self._link.make_command(_make_shell_line(_KILL, pid_file)), CLOSE_S, b"")

    def _run_line(
        self, timeout_s: float, stdin: bytes, script: str, *arguments: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script on the device, and return its output without what the login shell printed before it."""
        line = _make_shell_line(_SAY_BEGIN + script, *arguments)
        done = self._start(self._link.make_command(line), timeout_s, stdin)
        (begun, stdout), (_, stderr) = (_strip_greeting(part) for part in (done.stdout, done.stderr))
        self._require_success(done.returncode, stderr.decode(errors="replace"))
        if not begun:
            if self._keeper.poll() is not None or done.returncode < 0:
                raise self._name_device(DeviceUnreachableError("the connection was cut"))
            raise self._name_device(make_login_error((stdout + stderr).decode(errors="replace")))
        return subprocess.CompletedProcess(done.args, done.returncode, stdout, stderr)

    @staticmethod
    def _start(arguments: Sequence[str], timeout_s: float, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(arguments, input=stdin, capture_output=True, timeout=timeout_s, check=False)
        except FileNotFoundError as error:
            raise make_not_installed_error(arguments[0]) from error


class LocalLink:
    """This machine as a device; implements `Link`."""

    @property
    def base(self) -> str:
        """Empty: the default folder for temporary files."""
        return ""

    def make_opening_command(self, line: str) -> list[str]:
        """Return the arguments that run a shell line."""
        return ["sh", "-c", line]

    def make_command(self, line: str) -> list[str]:
        """Return the arguments that run a shell line."""
        return ["sh", "-c", line]

    def make_push_command(self, source: Path, target: str) -> list[str]:
        """Return the arguments that copy a file."""
        return ["cp", "--", str(source), target]

    def interpret_failure(self, exit_code: int, stderr: str) -> None:
        """Return None: a local connection cannot be lost."""

    def close(self) -> None:
        """Do nothing."""


def _strip_greeting(output: bytes) -> tuple[bool, bytes]:
    """Return whether a command has begun, and what it printed: the rest of `output` after the line that says so."""
    _, begun, rest = output.partition(f"{_BEGIN}\n".encode())
    return (True, rest) if begun else (False, output)


def _decode(done: subprocess.CompletedProcess[bytes]) -> Finished:
    stdout, stderr = (part.decode(errors="replace") for part in (done.stdout, done.stderr))
    return Finished(exit_code=done.returncode, stdout=stdout, stderr=stderr)


def _make_shell_line(script: str, *arguments: str) -> str:
    return shlex.join(["sh", "-c", script, "sh", *arguments])


def find_program(transport: Transport, candidates: Sequence[str]) -> str | None:
    """Return the first of `candidates` (names or paths) that the device can run, or None."""
    done = transport.run(["sh", "-c", _FIND, "sh", *candidates], timeout_s=_FIND_S)
    return done.stdout.strip() if done.exit_code == 0 else None


def make_not_installed_error(program: str) -> MissingRuntimeError:
    """Return the error for a program that is missing on this machine."""
    packages = {"ssh": "openssh-client", "adb": "adb"}
    msg = f"the program {program} is not installed on this machine"
    return MissingRuntimeError(msg, hint=f"apt install {packages.get(program, program)}")
