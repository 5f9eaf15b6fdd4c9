"""TensorRT's Python package: its import, its version and its log."""

from __future__ import annotations

import importlib
from typing import Any

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.runtimes.trtexec_log import find_reason

INSTALL = "pip install tensorrt (it needs an NVIDIA GPU), or put TensorRT's trtexec on PATH"
_LETTERS = {"INTERNAL_ERROR": "F", "ERROR": "E", "WARNING": "W", "INFO": "I", "VERBOSE": "V"}


class Log:
    """Log messages of TensorRT, formatted like those of trtexec."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def make_logger(self, trt: Any) -> Any:  # noqa: ANN401
        """Return a TensorRT logger that keeps its messages in `lines`."""

        def log(_: object, severity: Any, message: str) -> None:  # noqa: ANN401
            letter = _LETTERS.get(getattr(severity, "name", ""), "I")
            if letter != "V":
                self.lines.append(f"[TRT] [{letter}] {message}")

        return type("Logger", (trt.ILogger,), {"log": log})()

    def make_error(self, what: str) -> InputError:
        """Return the error for `what`, which failed, with the reason from the log."""
        known = find_reason("\n".join(self.lines))
        if known is not None:
            return InputError(f"{what}: {known[1]}", hint=known[2])
        errors = [line for line in self.lines if line.startswith(("[TRT] [E] ", "[TRT] [F] "))]
        return InputError(f"{what}: {errors[0][10:] if errors else 'its log gives no reason'}")


def import_tensorrt() -> Any:  # noqa: ANN401
    """Import and return the package.

    Raises:
        MissingRuntimeError: The package is not installed, or its libraries cannot be loaded.
    """
    try:
        return importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        msg = "the package tensorrt is not installed"
        raise MissingRuntimeError(msg, hint=INSTALL) from error
    except (ImportError, OSError, RuntimeError) as error:
        msg = f"the package tensorrt cannot be loaded: {error}"
        raise MissingRuntimeError(msg, hint=INSTALL) from error


def get_version(trt: Any) -> str:  # noqa: ANN401
    """Return the version of the package."""
    return str(trt.__version__)
