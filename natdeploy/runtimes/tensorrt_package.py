"""TensorRT's Python package itself: whether it is here, which version it is, and what it says."""

from __future__ import annotations

import importlib
from typing import Any

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.runtimes.trtexec_log import find_reason

INSTALL = "pip install tensorrt (it needs an NVIDIA GPU), or put TensorRT's trtexec on PATH"
_LETTERS = {"INTERNAL_ERROR": "F", "ERROR": "E", "WARNING": "W", "INFO": "I", "VERBOSE": "V"}


class Log:
    """What TensorRT says, in lines like those of trtexec."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def make_logger(self, trt: Any) -> Any:  # noqa: ANN401
        """Return a logger that keeps what is said."""

        def log(_: object, severity: Any, message: str) -> None:  # noqa: ANN401
            letter = _LETTERS.get(getattr(severity, "name", ""), "I")
            if letter != "V":
                self.lines.append(f"[TRT] [{letter}] {message}")

        return type("Logger", (trt.ILogger,), {"log": log})()

    def make_error(self, what: str) -> InputError:
        """Return the error of something that failed, with the reason that was said."""
        known = find_reason("\n".join(self.lines))
        if known is not None:
            return InputError(f"{what}: {known[1]}", hint=known[2])
        errors = [line for line in self.lines if line.startswith(("[TRT] [E] ", "[TRT] [F] "))]
        return InputError(f"{what}: {errors[0][10:] if errors else 'it does not say why'}")


def import_tensorrt() -> Any:  # noqa: ANN401
    """Return the package.

    Raises:
        MissingRuntimeError: It is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        msg = "the package tensorrt is not installed"
        raise MissingRuntimeError(msg, hint=INSTALL) from error
    except (ImportError, OSError, RuntimeError) as error:
        msg = f"the package tensorrt cannot be used: {error}"
        raise MissingRuntimeError(msg, hint=INSTALL) from error


def get_version(trt: Any) -> str:  # noqa: ANN401
    """Return the version of the package."""
    return str(trt.__version__)
