"""The error tree of natdeploy.

Every error that natdeploy raises derives from `NatdeployError` and, where one fits, from the builtin exception
that a caller would expect. `exit_code` is the exit code of the command line; `code` names the error in `--json` output.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


class NatdeployError(Exception):
    """Root of all errors that natdeploy raises on purpose.

    Args:
        message: What is wrong, with the file and the place in it where there is one.
        hint: What to do next, where that is known.
        artifacts: Files that were written before the error.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str, *, hint: str | None = None, artifacts: Sequence[Path] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.artifacts = tuple(artifacts)


class CheckFailedError(NatdeployError):
    """A check of a result failed: parity of an exported file, or a latency table."""

    exit_code = 1
    code = "check-failed"


class InputError(NatdeployError, ValueError):
    """An option, a file or an architecture is not valid."""

    exit_code = 2
    code = "bad-input"


class CoverageError(InputError):
    """A latency table has no row for a layer that the work needs."""

    code = "not-covered"


class EvaluationError(NatdeployError, RuntimeError):
    """No architecture could be evaluated."""

    exit_code = 1
    code = "evaluation-failed"


class DivergedError(NatdeployError, ArithmeticError):
    """Training has diverged: a loss, an output or a weight is not finite."""

    exit_code = 1
    code = "diverged"


class MemoryShortageError(NatdeployError, MemoryError):
    """The work needs more memory than the machine has. The hint says how to need less."""

    exit_code = 2
    code = "out-of-memory"


class OutputError(NatdeployError, OSError):
    """An output cannot be written, for example because the folder is read-only or the disk is full."""

    exit_code = 2
    code = "cannot-write"


class MissingRuntimeError(NatdeployError, ImportError):
    """A runtime or package that the work needs is not installed."""

    exit_code = 3
    code = "missing-runtime"


class NoOutputsError(MissingRuntimeError):
    """A runtime can run a file but does not return its outputs, so that parity cannot be checked."""

    code = "no-outputs"


class DeviceUnreachableError(NatdeployError, ConnectionError):
    """A device cannot be reached."""

    exit_code = 4
    code = "device-unreachable"


class InterruptedWorkError(NatdeployError):
    """The user interrupted the work. The hint is the command that resumes it.

    The exit code is 143 if SIGTERM did it, and 129 if SIGHUP did.
    """

    exit_code = 130
    code = "interrupted"


class TargetUnreachableError(NatdeployError, LookupError):
    """No architecture keeps the limits on latency and size."""

    exit_code = 5
    code = "target-unreachable"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint with the known name that is most similar to `name`, or None if none is similar."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Check that `name` is one of `known`.

    Args:
        what: The kind of name, for the message.
        name: The name.
        known: All valid names.

    Raises:
        InputError: The name is unknown. The message lists the known names, and the hint gives the most similar one.
    """
    names = tuple(known)
    if name not in names:
        msg = f"unknown {what} {name!r} (known: {', '.join(names)})"
        raise InputError(msg, hint=did_you_mean(name, names))
