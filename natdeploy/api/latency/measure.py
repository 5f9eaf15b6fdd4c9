"""Measuring the latency of a whole network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.api.latency.results import MeasureResult
from natdeploy.api.latency.timers import (
    TENSORRT,
    make_exporter,
    open_timer,
)
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.devices import find_deployment, find_device
from natdeploy.io.subnets import SubnetSource
from natdeploy.runtimes.model_input import require_file

if TYPE_CHECKING:
    from natdeploy.ports import ModelTimer

_ENGINE_SUFFIX = ".engine"
_MODEL_SUFFIXES = {".onnx": ("onnxruntime", "tensorrt"), ".tflite": ("litert",), _ENGINE_SUFFIX: (TENSORRT,)}


def measure(
    subject: str | Path | SubnetSource,
    device: str = "host",
    *,
    runtime: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    context: Context | None = None,
) -> MeasureResult:
    """Really run a whole network, given as a subnet or as an exported file, and return its latency.

    Raises:
        DeviceUnreachableError: The device cannot be reached.
        InputError: The file is not valid.
        MissingRuntimeError: The runtime is not installed.
    """
    context = context or Context()
    source = SubnetSource.of(subject)
    path = source.path
    described = find_device(device)
    suffix = path.suffix.lower()
    own = _MODEL_SUFFIXES.get(suffix)
    if own is not None and source.completed:
        msg = f"{path}: space, width and classes go with a subnet; a file has its own"
        raise InputError(msg)
    if own is not None and runtime not in {None, *own}:
        msg = f"{path}: {path.suffix} files are run by {' or '.join(own)}, not by {runtime}"
        raise InputError(msg)
    if own is not None and runtime is None:
        runtime = described.runtime if described.runtime in own else own[0]
    deployment = find_deployment(described, runtime=runtime, threads=threads)
    if own is not None:
        require_file(path)
        layers = None
    else:
        read = source.read()
        layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
    with open_timer(described, deployment, context, engines=suffix == _ENGINE_SUFFIX) as timer:
        if layers is None:
            if suffix == _ENGINE_SUFFIX:
                _require_same_tensorrt(path, timer)
            stats = timer.time([path], seed=seed)[0]
        else:
            from natdeploy.profilers.meter import Meter

            meter = Meter(exporter=make_exporter(described, deployment), timer=timer, seed=seed)
            stats = meter.measure([layers])[0]
    return MeasureResult(device=device, runtime=deployment.runtime, stats=stats)


def _require_same_tensorrt(engine: Path, timer: ModelTimer) -> None:
    """Check an engine that has a manifest: TensorRT does not always say that an engine is not its own, some crash."""
    from natdeploy.export.manifest import tool_version

    built, there = tool_version(engine, TENSORRT), timer.version()
    if built is None or all(one == other for one, other in zip(built.split("."), there.split("."), strict=False)):
        return
    msg = f"{engine}: built by TensorRT {built} and cannot be run by TensorRT {there}"
    raise InputError(msg, hint="export it again for this device: an engine runs only where it was built")
