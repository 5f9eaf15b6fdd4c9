"""ONNX Runtime on the CPU of this machine, for checking files; `agent` times them."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Images
from natdeploy.readers import require_file
from natdeploy.runtimes import agent
from natdeploy.runtimes.model_input import read_model_input, require_threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions


_PROVIDER = "CPUExecutionProvider"


class OnnxRuntime:
    """Runs ONNX files."""

    @property
    def id(self) -> str:
        """Name of the runtime in latency tables and commands."""
        return "onnxruntime"

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime opens."""
        return ".onnx"

    def version(self) -> str:
        """Return the installed version.

        Raises:
            MissingRuntimeError: ONNX Runtime is not installed.
        """
        return str(_import_package().__version__)

    def open(self, path: Path, *, threads: int) -> OnnxSession:
        """Open an ONNX file.

        Raises:
            MissingRuntimeError: ONNX Runtime is not installed.
            InputError: The file is missing, or is not a model with one image input and one output.
        """
        package = _import_package()
        require_file(path)
        options = make_session_options(threads=threads)
        try:
            session = package.InferenceSession(str(path), options, providers=[_PROVIDER])
        except agent.find_onnx_errors(package) as error:
            msg = f"{path}: not a model that ONNX Runtime takes: {_extract_reason(error)}"
            raise InputError(msg) from error
        return OnnxSession(session, path)


class OnnxSession:
    """An opened ONNX file.

    Args:
        session: Session of ONNX Runtime.
        path: The file, used in messages.

    Raises:
        InputError: The model does not have one float32 image input and one output.
    """

    def __init__(self, session: InferenceSession, path: Path) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if (len(inputs), len(outputs)) != (1, 1) or inputs[0].type != "tensor(float)":
            types = ", ".join(item.type for item in inputs)
            found = f"it has inputs {types or 'none'} and {len(outputs)} outputs"
            msg = f"{path}: the model must have one float input and one output; {found}"
            raise InputError(msg)
        self._session = session
        self._names = inputs[0].name, outputs[0].name
        self._input = read_model_input(path, inputs[0].shape)

    @property
    def input_size(self) -> int:
        """Height and width of the images that the model takes."""
        return self._input.size

    def run(self, images: Images) -> NDArray[np.float32]:
        """Map `n x 3 x r x r` images to `n x classes` outputs.

        Raises:
            InputError: The images do not have the shape that the model takes.
        """
        return self._input.run(self._call, images)

    def _call(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        name, output = self._names
        result: NDArray[np.float32] = self._session.run([output], {name: part})[0]
        return result


def make_session_options(*, threads: int) -> SessionOptions:
    """Return the session options for measurements: `threads` threads that do not spin, one operator at a time.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        InputError: `threads` is less than 1.
    """
    require_threads(threads)
    package = _import_package()
    options: SessionOptions = agent.make_onnx_options(package, threads)
    return options


def _import_package() -> ModuleType:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        msg = "ONNX Runtime is not installed"
        raise MissingRuntimeError(msg, hint="pip install onnxruntime") from error


def _extract_reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" failed:")[2].strip()
