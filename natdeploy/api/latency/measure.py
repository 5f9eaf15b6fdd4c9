"""Measuring the latency of a whole network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.api.latency.levels import time_files, time_networks
from natdeploy.api.latency.results import MeasureResult
from natdeploy.api.latency.timers import TENSORRT, open_timer
from natdeploy.api.subnets import explain_random_weights
from natdeploy.core.checked import checked
from natdeploy.core.device import DEFAULT_TABLE, Device, TableSelector, find_deployment
from natdeploy.core.ranges import Seed
from natdeploy.errors import InputError
from natdeploy.io.devices import find_device
from natdeploy.io.subnets import SubnetSource
from natdeploy.readers import require_file

if TYPE_CHECKING:
    from natdeploy.ports import ModelTimer

_ENGINE_SUFFIX = ".engine"
_RUNTIMES = {".onnx": ("onnxruntime", "tensorrt"), ".tflite": ("litert",), _ENGINE_SUFFIX: (TENSORRT,)}


@checked
def measure(
    subject: str | Path | SubnetSource,
    device: str = "host",
    *,
    selector: TableSelector = DEFAULT_TABLE,
    seed: Seed = 0,
    context: Context | None = None,
) -> MeasureResult:
    """Run a whole network, given as a subnet or as an exported file, and return its latency.

    It is timed in turns with the reference networks of the device's latency table, if it has one. These give the level
    of the machine: a prediction of the table is compared with the levelled latency.

    Args:
        subject: A subnet, an architecture alone, or an .onnx, .tflite or .engine file.
        device: Name of the device.
        selector: Runtime and threads. Precision and batch cannot be chosen: a file has its own, a subnet is measured
            with batch 1 and the device's default precision.
        seed: Seed of weights, images and order.
        context: Reporter and clock.

    Raises:
        DeviceUnreachableError: The device cannot be reached.
        InputError: The file is not valid, or something is given that does not go with it.
        MissingRuntimeError: The runtime is not installed.
    """
    context = context or Context()
    source = SubnetSource.of(subject)
    path = source.path
    described = find_device(device)
    _require_plain(selector)
    if path.suffix.lower() in _RUNTIMES:
        if source.completed:
            msg = f"{path}: space, width and classes go with a subnet; a file has its own"
            raise InputError(msg)
        selector = _select_runtime(path, described, selector)
        require_file(path)
        layers = None
    else:
        read = source.read()
        layers = read.layers
        if read.weights is not None:
            context.reporter.info(f"{read.weights} is not read: latency does not depend on weights")
        else:
            context.reporter.info(explain_random_weights(read))
    deployment = find_deployment(described, selector)
    if layers is not None:
        timed = time_networks(deployment, [layers], seed=seed, context=context)
    else:
        is_engine = path.suffix.lower() == _ENGINE_SUFFIX
        with open_timer(described, deployment, context, engines=is_engine) as timer:
            if is_engine:
                _require_same_tensorrt(path, timer)
            timed = time_files(timer, [path], deployment, seed=seed)
    return MeasureResult(
        device=device,
        runtime=deployment.runtime,
        stats=timed.stats[0],
        level=timed.level,
        disturbance=timed.disturbance,
    )


def _require_plain(selector: TableSelector) -> None:
    """Refuse a precision or a batch: nothing would apply it."""
    for name in ("precision", "batch"):
        if getattr(selector, name) is not None:
            msg = (
                f"{name} cannot be chosen for a measurement: a file has its own, a subnet is measured with the default"
            )
            raise InputError(msg, hint="export the subnet with it, and measure the file")


def _select_runtime(path: Path, device: Device, selector: TableSelector) -> TableSelector:
    """Return the selector with a runtime that runs the file."""
    runtimes = _RUNTIMES[path.suffix.lower()]
    if selector.runtime is None:
        return dataclasses.replace(selector, runtime=device.runtime if device.runtime in runtimes else runtimes[0])
    if selector.runtime not in runtimes:
        msg = f"{path}: {path.suffix} files are run by {' or '.join(runtimes)}, not by {selector.runtime}"
        raise InputError(msg)
    return selector


def _require_same_tensorrt(engine: Path, timer: ModelTimer) -> None:
    """Check the version that an engine's manifest names: some versions of TensorRT crash on engines of another one."""
    from natdeploy.export.manifest import tool_version

    built, there = tool_version(engine, TENSORRT), timer.version()
    if built is None or all(one == other for one, other in zip(built.split("."), there.split("."), strict=False)):
        return
    msg = f"{engine}: built by TensorRT {built} and cannot be run by TensorRT {there}"
    raise InputError(msg, hint="export it again for this device: an engine runs only where it was built")
