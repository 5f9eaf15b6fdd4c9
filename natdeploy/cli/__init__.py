"""The command line: it parses, calls `natdeploy.api` and prints. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from natdeploy.cli.command import find_unknown_variables
from natdeploy.cli.config import default_map, explain_usage_error
from natdeploy.cli.group import COMMANDS, cli
from natdeploy.cli.memory import keep_freed_memory
from natdeploy.cli.output import drop_stdout, explain_stdout, print_json
from natdeploy.cli.signals import find_exit_code, stop_on_signals
from natdeploy.cli.terminal import to_short_line
from natdeploy.errors import InterruptedWorkError, NatdeployError

_OUTPUT_ERRORS, _NAME_ERRORS = (errno.ENOSPC, errno.EBADF), (errno.ENAMETOOLONG, errno.ELOOP)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its exit code."""
    # If idle OpenMP threads spin, small networks are several times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    _open_standard_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    with stop_on_signals():
        code = run(given)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    _warn_of_unknown_variables()
    try:
        defaults = default_map(COMMANDS)
        code = cli.main(args=list(arguments), prog_name="natdeploy", standalone_mode=False, default_map=defaults)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except BrokenPipeError:
        drop_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001, users get a sentence instead of a traceback
        failure = _failure(error, arguments)
        if os.environ.get("NATDEPLOY_DEBUG"):
            traceback.print_exc()
        return _fail(failure, as_json="--json" in arguments)
    # A command returns None, or the exit code of an Exit that it raised.
    return code or 0


def _warn_of_unknown_variables() -> None:
    for name, hint in find_unknown_variables(COMMANDS).items():
        said = f"natdeploy: warning: the environment variable {name} is unknown{f'; {hint}' if hint else ''}"
        with contextlib.suppress(OSError):
            click.echo(to_short_line(said), err=True)


def _open_standard_streams() -> None:
    """Replace a closed stdout by what cannot be written, which is an error, and a closed stderr by none."""
    for number, name, mode in ((1, "stdout", os.O_RDONLY), (2, "stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, mode)
            os.dup2(handle, number)
            setattr(sys, name, os.fdopen(number, "w", closefd=False))


class _Failure(NamedTuple):
    exit_code: int
    code: str
    message: str
    hint: str | None
    artifacts: tuple[Path, ...] = ()


def _failure(error: BaseException, arguments: Sequence[str]) -> _Failure:
    if isinstance(error, NatdeployError):
        exit_code = find_exit_code(error) if isinstance(error, InterruptedWorkError) else error.exit_code
        return _Failure(exit_code, error.code, error.message, error.hint, error.artifacts)
    if isinstance(error, OSError) and error.errno in _OUTPUT_ERRORS and error.filename is None:
        # click prints help and version itself.
        drop_stdout()
        return _failure(explain_stdout(error), arguments)
    if isinstance(error, click.Abort | KeyboardInterrupt):
        hint = f"go on with: {shlex.join(['natdeploy', *arguments])}"
        return _Failure(find_exit_code(error), "interrupted", "interrupted", hint)
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        path = context.command_path if context is not None and context.parent is not None else "natdeploy"
        return _Failure(2, "usage", explain_usage_error(error), f"see: {path} --help")
    if isinstance(error, OSError) and error.errno in _NAME_ERRORS:
        return _Failure(2, "bad-input", f"{error.filename}: {error.strerror}", None)
    hint = "set NATDEPLOY_DEBUG=1 to see the traceback"
    return _Failure(1, "unexpected", f"unexpected {type(error).__name__}: {error}", hint)


def _fail(failure: _Failure, *, as_json: bool) -> int:
    if as_json:
        error = {"code": failure.code, "message": failure.message, "hint": failure.hint}
        written = {"artifacts": [str(path) for path in failure.artifacts]} if failure.artifacts else {}
        with contextlib.suppress(NatdeployError):
            print_json({"ok": False, "error": error, **written})
    # The exit code says what happened even if stderr is closed.
    with contextlib.suppress(OSError):
        click.echo(f"natdeploy: {to_short_line(failure.message)}", err=True)
        if failure.hint:
            click.echo(f"  {to_short_line(failure.hint)}", err=True)
    return failure.exit_code
