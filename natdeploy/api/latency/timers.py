"""How model files are timed on a device: always over a connection, in another process; this machine is a device too."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.core.device import HOST, Deployment, Device
from natdeploy.core.device_identity import find_mismatch
from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.io.locks import lock_device

if TYPE_CHECKING:
    from natdeploy.export.formats import Format
    from natdeploy.ports import Exporter, ModelTimer, Reporter, Runtime
    from natdeploy.runtimes.connection import Connection

TENSORRT = "tensorrt"


@contextlib.contextmanager
def open_timer(
    device: Device, deployment: Deployment, context: Context, *, engines: bool = False, patience_s: float = 0.0
) -> Iterator[ModelTimer]:
    """Connect to a device and yield its timer of model files; meanwhile no other job may run on the device.

    Args:
        device: The device.
        deployment: How it is used.
        context: What opens the connection.
        engines: Whether all files are engines. These need no trtexec on a machine that has TensorRT's package.
        patience_s: Seconds to wait for the end of another job on the device.

    Raises:
        DeviceUnreachableError: The device is not connected.
        InputError: Another job runs there, or the runtime cannot be used over its transport.
        MissingRuntimeError: A program or package is missing, here or there.
        OutputError: The device is full.
    """
    by_package = engines and device.transport == "local" and not has_trtexec(device)
    with lock_device(device, patience_s=patience_s), context.connections.open(device) as connection:
        timer = _make_timer(connection, device, deployment, by_package=by_package)
        _warn_of_mismatch(device, timer, context.reporter)
        yield timer


def make_timing_exporter(device: Device, deployment: Deployment) -> Exporter:
    """Return the exporter of the files that a device's runtime times.

    Raises:
        MissingRuntimeError: There is none.
    """
    from natdeploy.export.onnx import OnnxExporter
    from natdeploy.export.preflight import find_importer

    if deployment.runtime not in {TENSORRT, "onnxruntime"}:
        return _find_format(deployment.runtime).timing_exporter
    return OnnxExporter(find_importer(device, runtime=deployment.runtime).opset)


def find_runtime(name: str) -> Runtime:
    """Return a runtime of this machine by its name.

    Raises:
        MissingRuntimeError: There is none.
    """
    if name == TENSORRT:
        from natdeploy.runtimes.tensorrt import TensorrtRuntime

        return TensorrtRuntime()
    return _find_format(name).runtime


def has_trtexec(device: Device) -> bool:
    """Tell whether this machine has the trtexec of a local device."""
    from natdeploy.runtimes.trtexec_program import PLACES

    own = device.program if device.runtime == TENSORRT else None
    return any(shutil.which(place) for place in ([own] if own else PLACES))


def _warn_of_mismatch(device: Device, timer: ModelTimer, reporter: Reporter) -> None:
    """Warn if what answers is another device than the one that is described."""
    if device.name == HOST:
        return
    mismatch = find_mismatch(device, timer.fingerprint())
    if mismatch is not None:
        reporter.warn(
            f"what answers as {device.name} is another device: {mismatch}. Its latencies are not those of "
            f"{device.name}; describe it under a name of its own in devices.toml"
        )


def _make_timer(connection: Connection, device: Device, deployment: Deployment, *, by_package: bool) -> ModelTimer:
    from natdeploy.profilers.agent_timer import AgentTimer
    from natdeploy.profilers.benchmark_timer import BenchmarkModelTimer
    from natdeploy.profilers.timing import choose_timing
    from natdeploy.profilers.trtexec_timer import TrtexecTimer

    program = device.program if deployment.runtime == device.runtime else None
    if deployment.runtime == TENSORRT and not by_package:
        return TrtexecTimer(transport=connection, precision=deployment.precision, program=program)
    if deployment.runtime == "litert" and (device.transport == "adb" or program is not None):
        return BenchmarkModelTimer(transport=connection, threads=deployment.threads, program=program)
    if device.transport == "adb":
        msg = f"{device.name}: {deployment.runtime} cannot be run over adb"
        raise InputError(msg, hint="use --runtime litert")
    return AgentTimer(
        transport=connection,
        runtime=deployment.runtime,
        threads=deployment.threads,
        python=device.python or (sys.executable if device.transport == "local" else "python3"),
        timing=choose_timing(deployment.runtime),
    )


def _find_format(runtime: str) -> Format:
    from natdeploy.export.formats import list_formats

    for entry in list_formats().values():
        if entry.runtime.id == runtime:
            return entry
    msg = f"nothing can be run with {runtime} on this machine"
    raise MissingRuntimeError(msg, hint="choose another --runtime: onnxruntime, litert")
