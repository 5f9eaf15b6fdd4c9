"""ONNX Runtime on the CPU of this machine, or on its NVIDIA GPU."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Images
from natdeploy.runtimes import agent
from natdeploy.runtimes.model_input import read_model_input, require_file, require_threads

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """Runs ONNX files.

    Args:
        processor: `cpu`, or `cuda` for the first NVIDIA GPU. Timed runs keep images and results in its memory.
    """

    def __init__(self, processor: str = "cpu") -> None:
        self.processor = processor

    @property
    def id(self) -> str:
        """Name of the runtime in latency tables and commands."""
        return "onnxruntime"

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime opens."""
        return ".onnx"

    @property
    def times_operators(self) -> bool:
        """Whether it reports operator times. On a GPU, ONNX Runtime reports the time of the launch instead."""
        return self.processor == "cpu"

    def version(self) -> str:
        """Return the installed version.

        Raises:
            MissingRuntimeError: ONNX Runtime is not installed.
        """
        return str(_import_package().__version__)

    def open(self, path: Path, *, threads: int) -> OnnxSession:
        """Open an ONNX file.

        Raises:
            MissingRuntimeError: ONNX Runtime is not installed, or does not support the processor.
            InputError: The file is missing, or is not a model with one image input and one output.
        """
        package = _import_package()
        require_file(path)
        options = make_session_options(threads=threads)
        provider = _PROVIDERS[self.processor]
        self._require(provider, package.get_available_providers())
        try:
            session = package.InferenceSession(str(path), options, providers=[provider])
        except agent.find_onnx_errors(package) as error:
            msg = f"{path}: not a model that ONNX Runtime takes: {_extract_reason(error)}"
            raise InputError(msg) from error
        self._require(provider, session.get_providers())
        return OnnxSession(session, path, processor=self.processor)

    def _require(self, provider: str, present: Sequence[str]) -> None:
        """Check for the provider, because ONNX Runtime falls back to another one and only prints that to stderr."""
        if provider not in present:
            msg = f"this ONNX Runtime does not have {provider}; it has {', '.join(present)}"
            raise MissingRuntimeError(msg, hint="pip install onnxruntime-gpu, and the CUDA version that it requires")


class OnnxSession:
    """An opened ONNX file.

    Args:
        session: Session of ONNX Runtime.
        path: The file, used in messages.
        processor: Processor that runs it, `cpu` or `cuda`.

    Raises:
        InputError: The model does not have one float32 image input and one output.
    """

    def __init__(self, session: InferenceSession, path: Path, *, processor: str = "cpu") -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if (len(inputs), len(outputs)) != (1, 1) or inputs[0].type != "tensor(float)":
            types = ", ".join(item.type for item in inputs)
            found = f"it has inputs {types or 'none'} and {len(outputs)} outputs"
            msg = f"{path}: the model must have one float input and one output; {found}"
            raise InputError(msg)
        self._session = session
        self._processor = processor
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

    def prepare(self, image: Images) -> Callable[[], object]:
        """Return a call that runs the model once on the `1 x 3 x r x r` image, with as little overhead as possible.

        Raises:
            InputError: The image does not have the shape that the model takes.
        """
        arranged = np.resize(self._input.arrange(image), self._input.shape)
        return agent.make_onnx_call(_import_package(), self._session, arranged, self._processor)

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
