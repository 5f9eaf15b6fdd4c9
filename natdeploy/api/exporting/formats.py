"""What the device means for an export: which operators a file may have, and where its latency is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.latency.levels import PATIENCE_S, time_files
from natdeploy.api.latency.timers import TENSORRT, open_timer
from natdeploy.api.results import jsonable
from natdeploy.core.device import Device, TableSelector, find_deployment
from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError, OutputError

if TYPE_CHECKING:
    from natdeploy.api.exporting.job import ExportJob
    from natdeploy.export.options import ExportOptions
    from natdeploy.export.quantization_calibration import QuantizationCalibration
    from natdeploy.ports import Exporter


def make_device_exporter(
    name: str, options: ExportOptions, device: Device, calibration: QuantizationCalibration | None = None
) -> Exporter:
    """Return the exporter of files that `device` can run.

    An ONNX file gets the opset and the kind of int8 quantization that the device needs. Its graph is checked against
    what the device can import.

    Raises:
        InputError: The format cannot be written with these options.
    """
    from natdeploy.export.formats import make_exporter
    from natdeploy.export.preflight import ImportableExporter, find_importer

    if name != "onnx":
        return make_exporter(name, options, calibration)
    importer = find_importer(device)
    fitting = dataclasses.replace(options, opset=importer.opset if options.opset is None else options.opset)
    exporter = make_exporter(name, fitting, calibration, symmetric=device.runtime == TENSORRT)
    return ImportableExporter(exporter, importer) if importer.limited else exporter


def measure_on_device(device: Device, runtime: str, job: ExportJob, path: Path) -> Mapping[str, Any] | None:
    """Return the latency of a file on a device, with its fingerprint; None, with a warning, if it cannot be run.

    Args:
        device: The device.
        runtime: Runtime that runs the file here. A device with TensorRT runs ONNX files by its own.
        job: The export.
        path: The file.
    """
    runtime = device.runtime if runtime == "onnxruntime" and device.runtime == TENSORRT else runtime
    target = find_deployment(device, TableSelector(runtime=runtime, precision=job.options.precision))
    try:
        with open_timer(device, target, job.context, patience_s=PATIENCE_S) as timer:
            timed = time_files(timer, [path], target, seed=job.seed)
            return {
                **jsonable(timed.stats[0]),
                "device": device.name,
                "threads": target.threads,
                "fingerprint": timer.fingerprint(),
                **timed.to_json(),
            }
    except (DeviceUnreachableError, InputError, MissingRuntimeError, OutputError) as error:
        job.context.reporter.warn(f"the latency on {device.name} is not measured: {error.message}")
        return None
