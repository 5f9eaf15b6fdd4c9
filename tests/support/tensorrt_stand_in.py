"""Stand-ins for the Python package `tensorrt`: its interface as it was in 8.2, 8.6, 10 and 11, with nothing behind it.

An engine is the ONNX file that it was built of, computed by ONNX Runtime; no GPU and no TensorRT can be had here.
"""

from __future__ import annotations

import ctypes
import enum
import types
from typing import Any

import numpy as np
import onnxruntime

from natdeploy.runtimes.agent import find_onnx_errors

VERSIONS = ("8.2.1.8", "8.6.1.6", "10.3.0.26", "11.4.0.106")
_UNREADABLE = find_onnx_errors(onnxruntime)


class FakeMemory:
    """Memory of this machine in the place of a GPU's."""

    stream = 77

    def allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return a buffer."""
        return np.zeros(shape, dtype=np.float32)

    def get_address(self, buffer: np.ndarray) -> int:
        """Return where it lies."""
        return buffer.ctypes.data

    def write(self, buffer: np.ndarray, values: np.ndarray) -> None:
        """Copy values to it."""
        buffer[...] = values

    def read(self, buffer: np.ndarray) -> np.ndarray:
        """Copy its values."""
        return buffer.copy()

    def wait(self) -> None:
        """Do nothing: the work is done at once."""


def make_package(version: str) -> types.ModuleType:  # noqa: C901, a package is many small classes
    """Return a package with the interface of a version; `built` notes how its networks were built."""
    major, minor = (int(part) for part in version.split(".")[:2])
    named, typed = (major, minor) >= (8, 5), major >= 11
    package: Any = types.ModuleType("tensorrt")
    package.__version__ = version
    package.built = []
    package.Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")
    package.NetworkDefinitionCreationFlag = _flags("EXPLICIT_BATCH" if not typed else "STRONGLY_TYPED")
    package.BuilderFlag = _flags("TF32" if typed else "FP16 INT8 TF32")
    if (major, minor) >= (8, 4):
        package.MemoryPoolType = enum.Enum("MemoryPoolType", "WORKSPACE")
    if named:
        package.TensorIOMode = enum.Enum("TensorIOMode", "INPUT OUTPUT")

    class ILogger:
        def log(self, severity: Any, message: str) -> None:
            raise NotImplementedError

    class Network:
        model = b""

    class Config:
        def __init__(self) -> None:
            self.__dict__["set"] = {"flags": {"TF32"}}

        def set_flag(self, flag: Any) -> None:
            self.set["flags"].add(flag.name)

        def clear_flag(self, flag: Any) -> None:
            self.set["flags"].discard(flag.name)

        def __setattr__(self, name: str, value: int) -> None:
            if name != "max_workspace_size" or major >= 10:
                raise AttributeError(name)
            self.set["workspace"] = value

    def set_memory_pool_limit(config: Config, pool: Any, size: int) -> None:
        assert pool == package.MemoryPoolType.WORKSPACE
        config.set["workspace"] = size

    if (major, minor) >= (8, 4):
        Config.set_memory_pool_limit = set_memory_pool_limit  # type: ignore[attr-defined]

    class Builder:
        def __init__(self, logger: ILogger) -> None:
            self.logger = logger

        def create_network(self, flags: int = 0) -> Network:
            if major < 10:
                assert flags == 1, "a network without EXPLICIT_BATCH takes no ONNX file"
            self.flags = flags
            return Network()

        def create_builder_config(self) -> Config:
            return Config()

        def build_serialized_network(self, network: Network, config: Config) -> memoryview | None:
            package.built.append({**config.set, "network_flags": self.flags})
            if b"out of memory" in network.model:
                self.logger.log(package.Severity.ERROR, "Error Code 2: OutOfMemory (no further information)")
                return None
            self.logger.log(package.Severity.INFO, "built")
            return memoryview(network.model)

    class OnnxParser:
        def __init__(self, network: Network, logger: ILogger) -> None:
            self.network = network
            self.num_errors = 0

        def parse(self, model: bytes) -> bool:
            self.network.model = model
            self.num_errors = int(b"HardSwish" in model and (major, minor) < (8, 6))
            return not self.num_errors

        def get_error(self, number: int) -> Any:
            return types.SimpleNamespace(desc=lambda: "No importer registered for op: HardSwish")

    class Runtime:
        def __init__(self, logger: ILogger) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, plan: bytes) -> Any:
            try:
                session = onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
            except _UNREADABLE:
                message = "Serialization assertion plan->header.magicTag == rt::kPLAN_MAGIC_TAG failed."
                self.logger.log(package.Severity.ERROR, message)
                return None
            return (NamedEngine if named else BoundEngine)(session)

    class _Engine:
        def __init__(self, session: Any) -> None:
            self.session = session
            inputs, outputs = session.get_inputs(), session.get_outputs()
            self.tensors = [*((True, item) for item in inputs), *((False, item) for item in outputs)]

    class BoundEngine(_Engine):
        @property
        def num_bindings(self) -> int:
            return len(self.tensors)

        def get_binding_name(self, number: int) -> str:
            return self.tensors[number][1].name

        def binding_is_input(self, number: int) -> bool:
            return self.tensors[number][0]

        def get_binding_shape(self, number: int) -> list[int]:
            return self.tensors[number][1].shape

        def create_execution_context(self) -> Any:
            return BoundContext(self)

    class NamedEngine(_Engine):
        @property
        def num_io_tensors(self) -> int:
            return len(self.tensors)

        def get_tensor_name(self, number: int) -> str:
            return self.tensors[number][1].name

        def get_tensor_mode(self, name: str) -> Any:
            mode = package.TensorIOMode
            return next(mode.INPUT if is_input else mode.OUTPUT for is_input, item in self.tensors if item.name == name)

        def get_tensor_shape(self, name: str) -> list[int]:
            return next(item.shape for _, item in self.tensors if item.name == name)

        def create_execution_context(self) -> Any:
            return NamedContext(self)

    class BoundContext:
        def __init__(self, engine: _Engine) -> None:
            self.engine = engine

        def execute_async_v2(self, bindings: list[int], stream_handle: int) -> bool:
            assert stream_handle == FakeMemory.stream
            return _compute(self.engine, bindings)

    class NamedContext:
        def __init__(self, engine: _Engine) -> None:
            self.engine = engine
            self.addresses: dict[str, int] = {}

        def set_tensor_address(self, name: str, address: int) -> None:
            self.addresses[name] = address

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert stream_handle == FakeMemory.stream
            return _compute(self.engine, [self.addresses[item.name] for _, item in self.engine.tensors])

    package.ILogger, package.Builder, package.OnnxParser, package.Runtime = ILogger, Builder, OnnxParser, Runtime
    return package


def _compute(engine: Any, addresses: list[int]) -> bool:
    (_, into), (_, out) = engine.tensors
    arrays = [_at(address, item.shape) for address, item in zip(addresses, (into, out), strict=True)]
    arrays[1][...] = engine.session.run(None, {into.name: arrays[0]})[0]
    return True


def _at(address: int, shape: list[int]) -> np.ndarray:
    count = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)


def _flags(names: str) -> Any:
    return enum.IntEnum("Flags", names.split(), start=0)
