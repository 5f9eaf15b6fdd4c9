"""The error tree of natdeploy.

Every error that a caller can meet derives from `NatdeployError` and, where one fits, from the builtin
that a caller would expect. `exit_code` is what the command line ends with, `code` names the error in `--json` output.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


class NatdeployError(Exception):
    """Root of all errors that natdeploy raises on purpose.

    Args:
        message: What is wrong, with the file and the place where there is one.
        hint: What to do next, where that is known.
        artifacts: Files that were written all the same.
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
    """Bad usage or input: an option, a file, an architecture."""

    exit_code = 2
    code = "bad-input"


class CoverageError(InputError):
    """A latency table does not cover a layer that was asked for."""

    code = "not-covered"


class EvaluationError(NatdeployError, RuntimeError):
    """No architecture could be evaluated."""

    exit_code = 1
    code = "evaluation-failed"


class MemoryShortageError(NatdeployError, MemoryError):
    """The work needs more memory than there is; the hint says what needs less."""

    exit_code = 2
    code = "out-of-memory"


class OutputError(NatdeployError, OSError):
    """An output cannot be written: read-only folder, full disk."""

    exit_code = 2
    code = "cannot-write"


class MissingRuntimeError(NatdeployError, ImportError):
    """A runtime or a package that the work needs is not installed."""

    exit_code = 3
    code = "missing-runtime"


class NoOutputsError(MissingRuntimeError):
    """A runtime can run a file, but cannot give its outputs, so that nothing can be compared."""

    code = "no-outputs"


class DeviceUnreachableError(NatdeployError, ConnectionError):
    """A device cannot be reached."""

    exit_code = 4
    code = "device-unreachable"


class InterruptedWorkError(NatdeployError):
    """Work was interrupted by the user and can go on; the hint is the command that does it."""

    exit_code = 130
    code = "interrupted"


class TargetUnreachableError(NatdeployError, LookupError):
    """No architecture meets the target."""

    exit_code = 5
    code = "target-unreachable"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the hint that names the one of `known` that is most like `name`; None where none is like it."""
    near = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Check that `name` is one of `known`.

    Args:
        what: What it is the name of, as the message says it.
        name: The name that was given.
        known: The names that there are.

    Raises:
        InputError: It is not; the message lists the names, the hint gives the nearest.
    """
    names = tuple(known)
    if name not in names:
        msg = f"unknown {what} {name!r} (known: {', '.join(names)})"
        raise InputError(msg, hint=did_you_mean(name, names))
