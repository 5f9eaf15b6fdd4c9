"""Builds engines with TensorRT's Python package on this machine, versions 8.2 to 11.

The methods that limit memory, set a precision and request explicit batches differ between these versions. natdeploy
uses the methods that the installed package has. It does not compare versions, and it does not try calls that may fail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from natdeploy.core.device import PRECISIONS
from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.files import writing
from natdeploy.readers import MODEL_BYTES, read_bytes, require_file
from natdeploy.runtimes.tensorrt_package import INSTALL, Log, get_version, import_tensorrt


class TensorrtBuilder:
    """Builds engines on this machine.

    Args:
        precision: Lowest precision that layers may use, one of `natdeploy.core.device.PRECISIONS`.
        workspace_mib: Maximum workspace memory of a layer, in MiB.

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
        """Name of the builder."""
        return "tensorrt (Python)"

    @property
    def sets_precision(self) -> bool:
        """Whether the build sets the precision. If not, the ONNX file itself must have it.

        Raises:
            MissingRuntimeError: TensorRT is not installed.
        """
        return self._precision == "fp32" or hasattr(import_tensorrt().BuilderFlag, self._precision.upper())

    def version(self) -> str:
        """Return the installed version.

        Raises:
            MissingRuntimeError: TensorRT is not installed.
        """
        return get_version(import_tensorrt())

    def build(self, onnx: Path, target: Path) -> str:
        """Build an engine from an ONNX file, write it to `target` and return the log.

        Raises:
            InputError: The build failed. The message says why.
            MissingRuntimeError: TensorRT is not installed, or finds no GPU.
            OutputError: The engine cannot be written.
        """
        trt = import_tensorrt()
        require_file(onnx)
        log = Log()
        logger = log.make_logger(trt)
        builder = _create_builder(trt, logger, log)
        network = builder.create_network(_get_network_flags(trt))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse(read_bytes(onnx, MODEL_BYTES)):
            log.lines += [f"[TRT] [E] {parser.get_error(number).desc()}" for number in range(parser.num_errors)]
            what = f"TensorRT {get_version(trt)} cannot import {onnx.name}"
            raise log.make_error(what)
        config = builder.create_builder_config()
        _limit_workspace(trt, config, self._workspace_mib)
        _set_precision(trt, config, self._precision if self.sets_precision else "fp32")
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            what = f"TensorRT {get_version(trt)} built no engine from {onnx.name}"
            raise log.make_error(what)
        with writing(target):
            target.write_bytes(bytes(memoryview(plan)))
        return "".join(f"{line}\n" for line in log.lines)


def _create_builder(trt: Any, logger: Any, log: Log) -> Any:  # noqa: ANN401
    try:
        return trt.Builder(logger)
    except TypeError as error:
        # the bindings raise this where the library returns nothing, as it does without a GPU
        raise MissingRuntimeError(
            log.make_error("TensorRT cannot build engines on this machine").message, hint=INSTALL
        ) from error


def _get_network_flags(trt: Any) -> int:  # noqa: ANN401
    """Return the flag for explicit batches: needed up to version 9, ignored by 10, removed in 11."""
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
        # TF32 is the default on GPUs that have it. It keeps 10 bits of a weight, too few for the same results.
        config.clear_flag(flags.TF32)
