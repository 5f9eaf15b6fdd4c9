"""ONNX Runtime on the CPU of this machine."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Images
from natdeploy.runtimes import agent
from natdeploy.runtimes.model_input import model_input, require_file, require_threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

_PROVIDER = "CPUExecutionProvider"


class OnnxRuntime:
    """Runs ONNX files."""

    @property
    def id(self) -> str:
        """Name of the runtime in tables and commands."""
        return "onnxruntime"

    @property
    def suffix(self) -> str:
        """Suffix of the files that it runs."""
        return ".onnx"

    def version(self) -> str:
        """Return the version that is installed.

        Raises:
            MissingRuntimeError: None is.
        """
        return str(_package().__version__)

    def open(self, path: Path, *, threads: int) -> OnnxSession:
        """Open an ONNX file.

        Raises:
            MissingRuntimeError: ONNX Runtime is not installed.
            InputError: The file is missing, or is not a model of one image input and one output.
        """
        package = _package()
        require_file(path)
        options = session_options(threads=threads)
        try:
            session = package.InferenceSession(str(path), options, providers=[_PROVIDER])
        except agent.onnx_errors(package) as error:
            msg = f"{path}: not a model that ONNX Runtime takes: {_reason(error)}"
            raise InputError(msg) from error
        return OnnxSession(session, path)


class OnnxSession:
    """An opened ONNX file.

    Args:
        session: Session of ONNX Runtime.
        path: File that it was opened from.

    Raises:
        InputError: The model has not one float image input and one output.
    """

    def __init__(self, session: InferenceSession, path: Path) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if (len(inputs), len(outputs)) != (1, 1) or inputs[0].type != "tensor(float)":
            types = ", ".join(item.type for item in inputs)
            msg = f"{path}: a model of one float input and one output is needed, this has {types} -> {len(outputs)}"
            raise InputError(msg)
        self._session = session
        self._names = inputs[0].name, outputs[0].name
        self._input = model_input(path, inputs[0].shape)

    @property
    def input_size(self) -> int:
        """Height and width of the images that the model takes."""
        return self._input.size

    def run(self, images: Images) -> NDArray[np.float32]:
        """Map `n x 3 x r x r` images to `n x classes` outputs.

        Raises:
            InputError: The images have another shape.
        """
        return self._input.run(self._call, images)

    def prepare(self, image: Images) -> Callable[[], object]:
        """Return a call that runs the model once on the `1 x 3 x r x r` image, and little else.

        Raises:
            InputError: The image has another shape.
        """
        arranged = np.resize(self._input.arrange(image), self._input.shape)
        return agent.onnx_call(_package(), self._session, arranged)

    def _call(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        name, output = self._names
        result: NDArray[np.float32] = self._session.run([output], {name: part})[0]
        return result


def session_options(*, threads: int) -> SessionOptions:
    """Return the options that natdeploy measures with: `threads` threads that do not spin, one operator at a time.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        InputError: `threads` is below 1.
    """
    require_threads(threads)
    package = _package()
    options: SessionOptions = agent.onnx_options(package, threads)
    return options


def _package() -> ModuleType:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        msg = "ONNX Runtime is not installed"
        raise MissingRuntimeError(msg, hint="pip install onnxruntime") from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rpartition(" failed:")[2].strip()
