"""LiteRT, formerly TensorFlow Lite, on the CPU of this machine, with its XNNPACK kernels."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Images
from natdeploy.readers import require_file
from natdeploy.runtimes.model_input import read_model_input, require_threads
from natdeploy.runtimes.quiet import silence

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

_PACKAGES = ("ai_edge_litert", "tflite_runtime")
_INSTALL = 'pip install "natdeploy[tflite]"'


class LitertRuntime:
    """Runs TFLite files with the first of `ai-edge-litert` and `tflite-runtime` that is installed."""

    @property
    def id(self) -> str:
        """Name of the runtime in latency tables and commands."""
        return "litert"

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime opens."""
        return ".tflite"

    def version(self) -> str:
        """Return the installed version.

        Raises:
            MissingRuntimeError: No interpreter is installed.
        """
        package = _import_package().__name__.partition(".")[0]
        return importlib.metadata.version(package.replace("_", "-"))

    def open(self, path: Path, *, threads: int) -> LitertSession:
        """Open a TFLite file.

        Raises:
            MissingRuntimeError: No interpreter is installed, or it does not run with the installed numpy.
            InputError: The file is missing, or is not a model with one image input and one output.
        """
        return LitertSession(open_interpreter(path, threads=threads), path)


class LitertSession:
    """An opened TFLite file.

    Args:
        interpreter: Interpreter with allocated tensors.
        path: The file, used in messages.

    Raises:
        InputError: The model does not have one float32 or int8 image input and one float32 output.
    """

    def __init__(self, interpreter: Interpreter, path: Path) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        types = [np.dtype(item["dtype"]).name for item in (*inputs, *outputs)]
        if len(inputs) != 1 or types not in (["float32", "float32"], ["int8", "float32"]):
            wanted = "the model must have one float32 or int8 input and one float32 output"
            msg = f"{path}: {wanted}; its inputs and outputs are {types}"
            raise InputError(msg)
        self._interpreter = interpreter
        self._indices = inputs[0]["index"], outputs[0]["index"]
        self._input = read_model_input(path, inputs[0]["shape"].tolist())
        self._quantization = inputs[0]["quantization"] if types[0] == "int8" else None

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
        self._interpreter.set_tensor(self._indices[0], self._quantize(part))
        self._interpreter.invoke()
        result: NDArray[np.float32] = self._interpreter.get_tensor(self._indices[1])
        return result

    def _quantize(self, part: NDArray[np.float32]) -> NDArray[np.float32] | NDArray[np.int8]:
        """Return values in the type of the input tensor. For int8, round to the nearest step of its scale."""
        if self._quantization is None:
            return part
        scale, zero_point = self._quantization
        stored: NDArray[np.int8] = np.clip(np.rint(part / scale) + zero_point, -128, 127).astype(np.int8)
        return stored


def open_interpreter(path: Path, *, threads: int, keep_tensors: bool = False) -> Interpreter:
    """Return an interpreter of a TFLite file, with allocated tensors.

    Args:
        path: The file.
        threads: Threads that it uses.
        keep_tensors: Whether the values of all tensors can be read after a run, which makes it slower.

    Raises:
        MissingRuntimeError: No interpreter is installed, or it does not run with the installed numpy.
        InputError: The file is missing, or LiteRT cannot open it.
    """
    require_threads(threads)
    package = _import_package()
    require_file(path)
    try:
        with silence(stderr=True):
            interpreter: Interpreter = package.Interpreter(
                model_path=str(path), num_threads=threads, experimental_preserve_all_tensors=keep_tensors
            )
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        msg = f"{path}: not a model that LiteRT takes: {error}"
        raise InputError(msg) from error
    except SystemError as error:  # tflite-runtime, built for numpy 1, fails like this under numpy 2
        msg = f"{package.__name__} does not run with numpy {np.__version__}"
        raise MissingRuntimeError(msg, hint=f'{_INSTALL}, or pip install "numpy<2"') from error
    return interpreter


def _import_package() -> ModuleType:
    for name in _PACKAGES:
        try:
            with silence(stderr=True):
                return importlib.import_module(f"{name}.interpreter")
        except ImportError:
            continue
    msg = "no TFLite interpreter is installed"
    raise MissingRuntimeError(msg, hint=_INSTALL)
