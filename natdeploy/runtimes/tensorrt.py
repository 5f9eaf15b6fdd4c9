"""TensorRT's Python package on this machine, versions 8.2 to 11.

Between these versions the ways to limit memory, to set a precision, to name inputs and to run an engine came and went.
Each is chosen by what the package at hand has, never by its version and never by trying what fails.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.device import PRECISIONS
from natdeploy.errors import InputError, MissingRuntimeError, NoOutputsError
from natdeploy.files import writing
from natdeploy.ports import Images
from natdeploy.runtimes.model_input import ModelInput, model_input, require_file, require_threads
from natdeploy.runtimes.trtexec_log import reason_in

_INSTALL = "pip install tensorrt (it needs an NVIDIA GPU), or put TensorRT's trtexec on PATH"
_LETTERS = {"INTERNAL_ERROR": "F", "ERROR": "E", "WARNING": "W", "INFO": "I", "VERBOSE": "V"}
Values = NDArray[np.float32]


class Memory(Protocol):
    """Memory of a GPU."""

    @property
    def stream(self) -> int:
        """Handle of the stream that work is put on."""
        ...

    def allocate(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401, whatever holds it
        """Return a buffer of float32 values."""
        ...

    def address(self, buffer: Any) -> int:  # noqa: ANN401
        """Return where a buffer lies."""
        ...

    def write(self, buffer: Any, values: Values) -> None:  # noqa: ANN401
        """Copy values to a buffer."""
        ...

    def read(self, buffer: Any) -> Values:  # noqa: ANN401
        """Copy the values of a buffer here."""
        ...

    def wait(self) -> None:
        """Wait until the stream has done its work."""
        ...


class TorchMemory:
    """Memory of the first NVIDIA GPU, as torch hands it out; implements `Memory`.

    Raises:
        NoOutputsError: This torch reaches no GPU.
    """

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")
        if not self._torch.cuda.is_available():
            msg = "an engine cannot be run here: torch reaches no NVIDIA GPU"
            raise NoOutputsError(msg, hint="install a torch of the GPU's CUDA version, or put trtexec on PATH")

    @property
    def stream(self) -> int:
        """Handle of the stream that work is put on."""
        return int(self._torch.cuda.current_stream().cuda_stream)

    def allocate(self, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
        """Return a buffer of float32 values."""
        return self._torch.empty(shape, dtype=self._torch.float32, device="cuda")

    def address(self, buffer: Any) -> int:  # noqa: ANN401
        """Return where a buffer lies."""
        return int(buffer.data_ptr())

    def write(self, buffer: Any, values: Values) -> None:  # noqa: ANN401
        """Copy values to a buffer."""
        buffer.copy_(self._torch.from_numpy(values))

    def read(self, buffer: Any) -> Values:  # noqa: ANN401
        """Copy the values of a buffer here."""
        values: Values = buffer.cpu().numpy()
        return values

    def wait(self) -> None:
        """Wait until the stream has done its work."""
        self._torch.cuda.current_stream().synchronize()


class TensorrtBuilder:
    """Builds engines on this machine.

    Args:
        precision: Lowest precision that layers may use, one of `natdeploy.core.device.PRECISIONS`.
        workspace_mib: Most memory that a layer may use for itself, in MiB.

    Raises:
        InputError: The precision is unknown.
    """

    def __init__(self, *, precision: str, workspace_mib: int) -> None:
        if precision not in PRECISIONS:
            msg = f"unknown precision {precision!r} (known: {', '.join(PRECISIONS)})"
            raise InputError(msg)
        self._precision = precision
        self._workspace_mib = workspace_mib

    @property
    def name(self) -> str:
        """Name of what builds."""
        return "tensorrt (Python)"

    @property
    def sets_precision(self) -> bool:
        """Whether the build sets the precision; where not, the ONNX file itself has to be of it.

        Raises:
            MissingRuntimeError: TensorRT is not installed.
        """
        return self._precision == "fp32" or hasattr(package().BuilderFlag, self._precision.upper())

    def version(self) -> str:
        """Return the version that is installed.

        Raises:
            MissingRuntimeError: None is.
        """
        return _version(package())

    def build(self, onnx: Path, target: Path) -> str:
        """Build an engine of an ONNX file into the file `target` and return the log.

        Raises:
            InputError: The build failed; the message says why.
            MissingRuntimeError: TensorRT is not installed, or finds no GPU.
            OutputError: The engine cannot be written.
        """
        trt = package()
        require_file(onnx)
        log = _Log()
        logger = log.logger(trt)
        builder = _builder(trt, logger, log)
        network = builder.create_network(_network_flags(trt))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(onnx.read_bytes()):
            log.lines += [f"[TRT] [E] {parser.get_error(number).desc()}" for number in range(parser.num_errors)]
            what = f"TensorRT {_version(trt)} cannot import {onnx.name}"
            raise log.failure(what)
        config = builder.create_builder_config()
        _limit_workspace(trt, config, self._workspace_mib)
        _set_precision(trt, config, self._precision if self.sets_precision else "fp32")
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            what = f"TensorRT {_version(trt)} built no engine of {onnx.name}"
            raise log.failure(what)
        with writing(target):
            target.write_bytes(bytes(memoryview(plan)))
        return "".join(f"{line}\n" for line in log.lines)


class TensorrtRuntime:
    """Runs engines on this machine; implements `natdeploy.ports.Runtime`.

    Args:
        memory: Returns the GPU's memory.
    """

    def __init__(self, memory: Callable[[], Memory] = TorchMemory) -> None:
        self._memory = memory

    @property
    def id(self) -> str:
        """Name of the runtime in tables and commands."""
        return "tensorrt"

    @property
    def suffix(self) -> str:
        """Suffix of the files that it runs."""
        return ".engine"

    @property
    def tells_operators(self) -> bool:
        """Whether it tells how long each operator of a model takes: trtexec does, this way does not."""
        return False

    def version(self) -> str:
        """Return the version that is installed.

        Raises:
            MissingRuntimeError: None is.
        """
        return _version(package())

    def open(self, path: Path, *, threads: int) -> TensorrtSession:
        """Open an engine.

        Raises:
            MissingRuntimeError: TensorRT is not installed.
            NoOutputsError: Nothing here hands out memory of the GPU.
            InputError: The file is missing, or is not an engine of this TensorRT and GPU.
        """
        trt = package()
        require_file(path)
        require_threads(threads)
        memory, log = self._memory(), _Log()
        runtime = trt.Runtime(log.logger(trt))
        engine = runtime.deserialize_cuda_engine(path.read_bytes())
        context = None if engine is None else engine.create_execution_context()
        if context is None:
            what = f"{path}: not a model that TensorRT {_version(trt)} takes"
            raise log.failure(what)
        return TensorrtSession(path, memory, context, _tensors(trt, engine), kept=(runtime, engine))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Tensor:
    name: str
    is_input: bool
    shape: tuple[int, ...]


class TensorrtSession:
    """An opened engine.

    Args:
        path: File that it was opened from.
        memory: The GPU's memory.
        context: TensorRT's execution context.
        tensors: Inputs and outputs, in the engine's order.
        kept: What has to live as long as the context.

    Raises:
        InputError: The engine has not one image input and one output.
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
            msg = f"{path}: a model of one input and one output is needed, this has {len(inputs)} of {len(tensors)}"
            raise InputError(msg)
        self._path = path
        self._memory = memory
        self._kept = kept
        self._input: ModelInput = model_input(path, inputs[0].shape)
        self._buffers = {tensor.name: memory.allocate(tensor.shape) for tensor in tensors}
        self._into = self._buffers[inputs[0].name]
        self._out = next(self._buffers[tensor.name] for tensor in tensors if not tensor.is_input)
        self._launch = self._launcher(context)

    @property
    def input_size(self) -> int:
        """Height and width of the images that the engine takes."""
        return self._input.size

    def run(self, images: Images) -> Values:
        """Map `n x 3 x r x r` images to `n x classes` outputs.

        Raises:
            InputError: The images have another shape, or the engine cannot be run.
        """
        return self._input.run(self._call, images)

    def prepare(self, image: Images) -> Callable[[], object]:
        """Return a call that runs the engine once on the `1 x 3 x r x r` image, which lies in the GPU's memory.

        Raises:
            InputError: The image has another shape.
        """
        self._memory.write(self._into, np.resize(self._input.arrange(image), self._input.shape))
        return self._run_once

    def _call(self, part: Values) -> Values:
        self._memory.write(self._into, part)
        self._run_once()
        return self._memory.read(self._out)

    def _run_once(self) -> None:
        if not self._launch():
            msg = f"{self._path}: TensorRT did not run it"
            raise InputError(msg)
        self._memory.wait()

    def _launcher(self, context: Any) -> Callable[[], bool]:  # noqa: ANN401
        addresses = {name: self._memory.address(buffer) for name, buffer in self._buffers.items()}
        stream = self._memory.stream
        if not hasattr(context, "execute_async_v3"):
            return lambda: bool(context.execute_async_v2(list(addresses.values()), stream))
        for name, address in addresses.items():
            context.set_tensor_address(name, address)
        return lambda: bool(context.execute_async_v3(stream))


class _Log:
    """What TensorRT says, in lines like those of trtexec."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def logger(self, trt: Any) -> Any:  # noqa: ANN401
        """Return a logger that keeps what is said."""

        def log(_: object, severity: Any, message: str) -> None:  # noqa: ANN401
            letter = _LETTERS.get(getattr(severity, "name", ""), "I")
            if letter != "V":
                self.lines.append(f"[TRT] [{letter}] {message}")

        return type("Logger", (trt.ILogger,), {"log": log})()

    def failure(self, what: str) -> InputError:
        """Return the error of something that failed, with the reason that was said."""
        known = reason_in("\n".join(self.lines))
        if known is not None:
            return InputError(f"{what}: {known[1]}", hint=known[2])
        errors = [line for line in self.lines if line.startswith(("[TRT] [E] ", "[TRT] [F] "))]
        return InputError(f"{what}: {errors[0][10:] if errors else 'it does not say why'}")


def package() -> Any:  # noqa: ANN401
    """Return the package.

    Raises:
        MissingRuntimeError: It is not installed, or its libraries do not load.
    """
    try:
        return importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        msg = "the package tensorrt is not installed"
        raise MissingRuntimeError(msg, hint=_INSTALL) from error
    except (ImportError, OSError, RuntimeError) as error:
        msg = f"the package tensorrt cannot be used: {error}"
        raise MissingRuntimeError(msg, hint=_INSTALL) from error


def _version(trt: Any) -> str:  # noqa: ANN401
    return str(trt.__version__)


def _builder(trt: Any, logger: Any, log: _Log) -> Any:  # noqa: ANN401
    try:
        return trt.Builder(logger)
    except TypeError as error:
        # the bindings say so where the library returns nothing, as it does without a GPU
        raise MissingRuntimeError(log.failure("TensorRT cannot build here").message, hint=_INSTALL) from error


def _network_flags(trt: Any) -> int:  # noqa: ANN401
    """Batches stand in the shapes: said until 9, ignored in 10, and not to be said from 11 on."""
    flags = trt.NetworkDefinitionCreationFlag
    return 1 << int(flags.EXPLICIT_BATCH) if hasattr(flags, "EXPLICIT_BATCH") else 0


def _limit_workspace(trt: Any, config: Any, workspace_mib: int) -> None:  # noqa: ANN401
    size = workspace_mib << 20
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, size)
    else:
        config.max_workspace_size = size


def _set_precision(trt: Any, config: Any, precision: str) -> None:  # noqa: ANN401
    flags = trt.BuilderFlag
    if precision != "fp32":
        config.set_flag(getattr(flags, precision.upper()))
    elif hasattr(flags, "TF32"):
        # the default where the GPU has it; it keeps ten bits of a weight: too few to compute the same
        config.clear_flag(flags.TF32)


def _tensors(trt: Any, engine: Any) -> list[_Tensor]:  # noqa: ANN401
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
