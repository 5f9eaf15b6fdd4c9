"""What the device means for an export: which operators a file may have, and where its latency is measured."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.latency.levels import PATIENCE_S, time_files
from natdeploy.api.latency.timers import TENSORRT, open_timer
from natdeploy.api.results import jsonable
from natdeploy.core.device import Device, TableSelector, find_deployment
from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError, OutputError
from natdeploy.temporary import temporary_folder

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


@contextlib.contextmanager
def with_fp32_file(name: str, job: ExportJob, path: Path) -> Iterator[list[Path]]:
    """Yield the files to time in turns: a file of a format and, if it is not fp32, the same network in fp32."""
    from natdeploy.export.formats import fp32_exporter

    if job.options.precision == "fp32":
        yield [path]
        return
    with temporary_folder() as folder:
        plain = folder / f"plain{path.suffix}"
        fp32_exporter(name, job.options).write(job.network, plain)
        yield [path, plain]


def measure_on_device(device: Device, name: str, job: ExportJob, path: Path) -> Mapping[str, Any] | None:
    """Return the latency of a file on a device, with its fingerprint; None, with a warning, if it cannot be run.

    A file that is not fp32 is timed in turns with an fp32 one, except by TensorRT, where the build has the precision.

    Args:
        device: The device. If it has TensorRT, it runs ONNX files by that.
        name: Format of the file.
        job: The export.
        path: The file.
    """
    from natdeploy.export.formats import find_format

    builds = name == "onnx" and device.runtime == TENSORRT
    runtime = TENSORRT if builds else find_format(name).runtime.id
    target = find_deployment(device, TableSelector(runtime=runtime, precision=job.options.precision))
    try:
        with (
            contextlib.nullcontext([path]) if builds else with_fp32_file(name, job, path) as paths,
            open_timer(device, target, job.context, patience_s=PATIENCE_S) as timer,
        ):
            timed = time_files(timer, paths, target, seed=job.seed)
            return {
                **jsonable(timed.stats[0]),
                "device": device.name,
                "threads": target.threads,
                "fingerprint": timer.fingerprint(),
                **timed.to_json(),
                "fp32_median_ms": timed.stats[1].median_ms if len(paths) > 1 else None,
            }
    except (DeviceUnreachableError, InputError, MissingRuntimeError, OutputError) as error:
        job.context.reporter.warn(f"the latency on {device.name} is not measured: {error.message}")
        return None
