"""Runs engines with TensorRT's Python package on this machine, versions 8.2 to 11.

The methods that name inputs and run an engine differ between these versions. natdeploy uses the methods that the
installed package has. It does not compare versions, and it does not try calls that may fail.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.errors import InputError
from natdeploy.ports import Images
from natdeploy.readers import MODEL_BYTES, read_bytes
from natdeploy.runtimes.gpu_memory import Memory, TorchMemory, Values
from natdeploy.runtimes.model_input import ModelInput, read_model_input, require_threads
from natdeploy.runtimes.tensorrt_package import Log, get_version, import_tensorrt


class TensorrtRuntime:
    """Runs engines on this machine; implements `natdeploy.ports.Runtime`.

    Args:
        memory: Creates the object that allocates GPU memory.
    """

    def __init__(self, memory: Callable[[], Memory] = TorchMemory) -> None:
        self._memory = memory

    @property
    def id(self) -> str:
        """Name of the runtime in latency tables and commands."""
        return "tensorrt"

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime opens."""
        return ".engine"

    def version(self) -> str:
        """Return the installed version.

        Raises:
            MissingRuntimeError: TensorRT is not installed.
        """
        return get_version(import_tensorrt())

    def open(self, path: Path, *, threads: int) -> TensorrtSession:
        """Open an engine.

        Raises:
            MissingRuntimeError: TensorRT is not installed.
            NoOutputsError: torch finds no GPU to allocate memory on.
            InputError: The file is missing, or is not an engine for this TensorRT and GPU.
        """
        trt = import_tensorrt()
        require_threads(threads)
        memory, log = self._memory(), Log()
        runtime = trt.Runtime(log.make_logger(trt))
        engine = runtime.deserialize_cuda_engine(read_bytes(path, MODEL_BYTES))
        context = None if engine is None else engine.create_execution_context()
        if context is None:
            what = f"{path}: not a model that TensorRT {get_version(trt)} takes"
            raise log.make_error(what)
        return TensorrtSession(path, memory, context, _list_tensors(trt, engine), kept=(runtime, engine))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Tensor:
    name: str
    is_input: bool
    shape: tuple[int, ...]


class TensorrtSession:
    """An opened engine.

    Args:
        path: The file, used in messages.
        memory: Allocates GPU memory.
        context: TensorRT's execution context.
        tensors: Inputs and outputs in the engine's order.
        kept: Objects that must live as long as the context.

    Raises:
        InputError: The engine does not have one image input and one output.
    """

    def __init__(
        self,
        path: Path,
        memory: Memory,
        context: Any,  # noqa: ANN401
        tensors: Sequence[_Tensor],
        *,
        kept: tuple[Any, ...] = (),
    ) -> None:
        inputs = [tensor for tensor in tensors if tensor.is_input]
        if len(inputs) != 1 or len(tensors) != 2:
            found = f"{len(inputs)} inputs and {len(tensors) - len(inputs)} outputs"
            msg = f"{path}: the engine must have one input and one output; it has {found}"
            raise InputError(msg)
        self._path = path
        self._memory = memory
        self._kept = kept
        self._input: ModelInput = read_model_input(path, inputs[0].shape)
        self._buffers = {tensor.name: memory.allocate(tensor.shape) for tensor in tensors}
        self._into = self._buffers[inputs[0].name]
        self._out = next(self._buffers[tensor.name] for tensor in tensors if not tensor.is_input)
        self._launch = self._make_launcher(context)

    @property
    def input_size(self) -> int:
        """Height and width of the images that the engine takes."""
        return self._input.size

    def run(self, images: Images) -> Values:
        """Map `n x 3 x r x r` images to `n x classes` outputs.

        Raises:
            InputError: The images do not have the shape that the engine takes, or the engine failed to run.
        """
        return self._input.run(self._call, images)

    def prepare(self, image: Images) -> Callable[[], object]:
        """Return a call that runs the engine once on the `1 x 3 x r x r` image, which is copied to the GPU here.

        Raises:
            InputError: The image does not have the shape that the engine takes.
        """
        self._memory.write(self._into, np.resize(self._input.arrange(image), self._input.shape))
        return self._run_once

    def _call(self, part: Values) -> Values:
        self._memory.write(self._into, part)
        self._run_once()
        return self._memory.read(self._out)

    def _run_once(self) -> None:
        if not self._launch():
            msg = f"{self._path}: TensorRT failed to run the engine"
            raise InputError(msg)
        self._memory.wait()

    def _make_launcher(self, context: Any) -> Callable[[], bool]:  # noqa: ANN401
        addresses = {name: self._memory.get_address(buffer) for name, buffer in self._buffers.items()}
        stream = self._memory.stream
        if not hasattr(context, "execute_async_v3"):
            return lambda: bool(context.execute_async_v2(list(addresses.values()), stream))
        for name, address in addresses.items():
            context.set_tensor_address(name, address)
        return lambda: bool(context.execute_async_v3(stream))


def _list_tensors(trt: Any, engine: Any) -> list[_Tensor]:  # noqa: ANN401
    if hasattr(engine, "num_io_tensors"):
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        return [
            _Tensor(
                name=name,
                is_input=engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
                shape=tuple(engine.get_tensor_shape(name)),
            )
            for name in names
        ]
    return [
        _Tensor(
            name=engine.get_binding_name(number),
            is_input=bool(engine.binding_is_input(number)),
            shape=tuple(engine.get_binding_shape(number)),
        )
        for number in range(engine.num_bindings)
    ]
