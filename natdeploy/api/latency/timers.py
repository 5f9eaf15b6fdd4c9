"""How model files are timed on a device: by its runtime, on this machine or over a connection."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.core.device import Deployment, Device
from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.io.devices import find_device
from natdeploy.io.locks import lock_device
from natdeploy.ports import Clock

if TYPE_CHECKING:
    from natdeploy.export.formats import Format
    from natdeploy.ports import Exporter, ModelTimer, NetworkMeter, Runtime
    from natdeploy.runtimes.connection import Connection

TENSORRT = "tensorrt"


@contextlib.contextmanager
def open_timer(
    device: Device, deployment: Deployment, context: Context, *, engines: bool = False
) -> Iterator[ModelTimer]:
    """Connect to a device and yield its timer of model files; meanwhile no other job may run on the device.

    Args:
        device: The device.
        deployment: How it is used.
        context: Clock, and what opens the connection.
        engines: Whether all files are engines. These need no trtexec on a machine that has TensorRT's package.

    Raises:
        DeviceUnreachableError: The device is not connected.
        InputError: Another job runs there, or the runtime cannot be used over its transport.
        MissingRuntimeError: A program or package is missing, here or there.
        OutputError: The device is full.
    """
    with lock_device(device):
        if device.transport == "local" and (deployment.runtime != TENSORRT or (engines and not has_trtexec(device))):
            yield make_host_timer(deployment, context.clock)
        else:
            with context.connections.open(device) as connection:
                yield _make_remote_timer(connection, device, deployment)


def make_host_timer(deployment: Deployment, clock: Clock) -> ModelTimer:
    """Return a timer of model files on this machine.

    Raises:
        MissingRuntimeError: The runtime cannot be used here.
    """
    from natdeploy.profilers.local_timer import LocalTimer
    from natdeploy.profilers.timing import choose_timing

    runtime = find_runtime(deployment.runtime)
    return LocalTimer(runtime=runtime, threads=deployment.threads, clock=clock, timing=choose_timing(runtime.id))


def make_host_meter(deployment: Deployment, *, seed: int, clock: Clock) -> NetworkMeter:
    """Return a meter of whole networks on this machine."""
    from natdeploy.profilers.meter import Meter

    exporter = make_timing_exporter(find_device(deployment.device), deployment)
    return Meter(exporter=exporter, timer=make_host_timer(deployment, clock), seed=seed)


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


def _make_remote_timer(connection: Connection, device: Device, deployment: Deployment) -> ModelTimer:
    from natdeploy.profilers.agent_timer import AgentTimer
    from natdeploy.profilers.benchmark_timer import BenchmarkModelTimer
    from natdeploy.profilers.timing import choose_timing
    from natdeploy.profilers.trtexec_timer import TrtexecTimer

    program = device.program if deployment.runtime == device.runtime else None
    if deployment.runtime == TENSORRT:
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
        python=device.python or "python3",
        timing=choose_timing(deployment.runtime),
    )


def _find_format(runtime: str) -> Format:
    from natdeploy.export.formats import list_formats

    for entry in list_formats().values():
        if entry.runtime.id == runtime:
            return entry
    msg = f"nothing can be run with {runtime} on this machine"
    raise MissingRuntimeError(msg, hint="choose another --runtime: onnxruntime, litert")
