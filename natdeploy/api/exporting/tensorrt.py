"""Exporting TensorRT engines: built where they will run, or prepared to be built there.

On this machine, trtexec is preferred to the Python package. Boards have trtexec too, and it builds in a process of its
own: a build that crashes or runs out of memory does not end the command.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.latency.timers import TENSORRT, has_trtexec
from natdeploy.api.results import jsonable
from natdeploy.core.device import Device
from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError, NoOutputsError
from natdeploy.export.options import ExportOptions
from natdeploy.files import write_text
from natdeploy.io.locks import lock_device
from natdeploy.temporary import temporary_folder

if TYPE_CHECKING:
    from natdeploy.api.exporting.job import ExportJob
    from natdeploy.export.engine import EngineBuilder
    from natdeploy.export.parity import Labelled
    from natdeploy.export.pipeline import Exported
    from natdeploy.export.preflight import Importer
    from natdeploy.ports import Exporter, ModelTimer, Runtime
    from natdeploy.runtimes.connection import Connection

# trtexec runs each image in a process of its own, which takes seconds on a small board.
_CHECK_IMAGES, _COUNTED_IMAGES = 8, 32
_LEAST_WORKSPACE_MIB, _MOST_WORKSPACE_MIB, _MIB_A_GB = 128, 1024, 125
_LOG_SUFFIX = ".build.log"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Site:
    """An opened TensorRT that builds, runs and times engines."""

    builder: EngineBuilder
    runtime: Runtime
    timer: ModelTimer


def make_engine_writer(device: Device, options: ExportOptions) -> Callable[[ExportJob, Path], Exported]:
    """Return the function that writes engines for a device, or prepares them.

    Raises:
        InputError: The device cannot run the precision, or its version of TensorRT is not known.
    """
    from natdeploy.export.preflight import find_importer

    if options.precision == "int8" and options.precision in device.slow_precisions:
        msg = f"{device.name} has no fast int8 arithmetic ({device.chip}): an int8 engine would be slower than fp16"
        raise InputError(msg, hint="use --precision fp16")
    find_importer(device, runtime=TENSORRT)
    if options.no_build:
        return lambda job, output_path: prepare_engine(device, job, output_path)
    return lambda job, output_path: _build(device, job, output_path)


def prepare_engine(device: Device, job: ExportJob, output_path: Path) -> Exported:
    """Write the ONNX file of an engine, checked on this machine, and the script that builds the engine from it.

    Args:
        device: The device that will build the engine.
        job: The export.
        output_path: The engine that the script will write; both files are written beside it.

    Raises:
        CheckFailedError: The device cannot import the file, or the file does not compute what the subnet computes.
        OutputError: A file cannot be written.
    """
    from natdeploy.api.exporting.job import describe_subnet
    from natdeploy.export.build_script import source_path, write_build_script
    from natdeploy.export.pipeline import export_network
    from natdeploy.export.preflight import find_importer
    from natdeploy.runtimes.onnx_runtime import OnnxRuntime

    precision = job.options.precision
    exported = export_network(
        job.network,
        exporter=_onnx_exporter(job, find_importer(device, runtime=TENSORRT), narrow=precision == "int8"),
        runtime=OnnxRuntime(),
        output_path=source_path(output_path),
        images=job.images.check,
        validation=job.images.validation() if precision == "int8" else None,
        description=describe_subnet(job),
        latency=lambda _: None,
    )
    script = write_build_script(exported.artifact, precision=precision, workspace_mib=workspace_mib(device))
    return dataclasses.replace(exported, extra_files=(script,))


def workspace_mib(device: Device) -> int:
    """Return the largest workspace of a layer: an eighth of the memory of the device (500 MiB on a Jetson Nano)."""
    memory_gb = device.memory_gb or 4.0
    return max(_LEAST_WORKSPACE_MIB, min(_MOST_WORKSPACE_MIB, round(memory_gb * _MIB_A_GB)))


def _build(device: Device, job: ExportJob, output_path: Path) -> Exported:
    with temporary_folder() as folder:
        model = _Model(device, job, folder / "network.onnx")
        try:
            with _open_site(device, job) as site:
                return _export(site, device, job, model, output_path)
        except (DeviceUnreachableError, MissingRuntimeError) as error:
            raise _prepare_instead(error, device, job, output_path) from error


class _Model:
    """The ONNX file of a job, written for the TensorRT in the description, and again if the device has another one."""

    def __init__(self, device: Device, job: ExportJob, path: Path) -> None:
        from natdeploy.export.preflight import find_importer

        self.path = path
        self._job = job
        self._state = find_importer(device, runtime=TENSORRT), job.options.precision == "int8"
        self.written = self._write()

    def fit(self, importer: Importer, *, narrow: bool) -> None:
        """Write the file for `importer` unless it already is; `narrow` files have the precision of the job."""
        if self._state != (importer, narrow):
            self._state = importer, narrow
            self.written = self._write()

    def _write(self) -> Mapping[str, Any]:
        importer, narrow = self._state
        return _onnx_exporter(self._job, importer, narrow=narrow).write(self._job.network, self.path)


def _onnx_exporter(job: ExportJob, importer: Importer, *, narrow: bool) -> Exporter:
    from natdeploy.export.onnx import OnnxExporter
    from natdeploy.export.preflight import ImportableExporter

    precision = job.options.precision if narrow else "fp32"
    calibration = job.images.calibration() if precision == "int8" else None
    exporter = OnnxExporter(importer.opset, precision=precision, calibration=calibration, symmetric=True)
    return ImportableExporter(exporter, importer)


def _export(site: _Site, device: Device, job: ExportJob, model: _Model, output_path: Path) -> Exported:
    from natdeploy.api.exporting.job import describe_subnet
    from natdeploy.export.engine import EngineExporter
    from natdeploy.export.pipeline import export_network
    from natdeploy.export.preflight import find_importer

    version = site.builder.version()
    if device.tensorrt is not None and not f"{version}.".startswith(f"{device.tensorrt}."):
        job.context.reporter.warn(f"{device.name} has TensorRT {version}, but its description says {device.tensorrt}")
    narrow = job.options.precision == "int8" or not site.builder.sets_precision
    model.fit(find_importer(device, runtime=TENSORRT, version=version), narrow=narrow)
    place = {"device": device.name, "fingerprint": site.timer.fingerprint()}
    exporter = EngineExporter(site.builder, model.path, model.written, precision=job.options.precision, built_for=place)
    job.context.reporter.info(f"{device.name}: building the engine, which takes minutes on a small board")
    exported = export_network(
        job.network,
        exporter=exporter,
        runtime=site.runtime,
        output_path=output_path,
        images=job.images.check[:_CHECK_IMAGES],
        validation=_select_labelled(job) if job.options.precision == "int8" else None,
        description=describe_subnet(job),
        latency=lambda path: _measure(site.timer, device, job, path),
    )
    if exported.parity.passed is None:
        job.context.reporter.warn(f"{exported.artifact}: not compared with the subnet: {exported.parity.reason}")
    log = output_path.with_suffix(_LOG_SUFFIX)
    write_text(log, exporter.log)
    return dataclasses.replace(exported, extra_files=(log,))


def _select_labelled(job: ExportJob) -> list[Labelled] | None:
    """Return a few labelled validation images; None without a task or trained weights."""
    parts = job.images.validation()
    if parts is None:
        return None
    pixels, labels = next(parts)
    return [(pixels[:_COUNTED_IMAGES], labels[:_COUNTED_IMAGES])]


def _measure(timer: ModelTimer, device: Device, job: ExportJob, path: Path) -> Mapping[str, Any] | None:
    try:
        stats = timer.time([path], seed=job.seed).stats[0]
    except NoOutputsError as error:
        job.context.reporter.warn(f"the latency is not measured: {error.message}")
        return None
    return {
        **jsonable(stats),
        "device": device.name,
        "fingerprint": timer.fingerprint(),
        "conditions": timer.conditions(),
    }


@contextlib.contextmanager
def _open_site(device: Device, job: ExportJob) -> Iterator[_Site]:
    """Open the TensorRT of a device, and keep other jobs from it meanwhile."""
    by_package = device.transport == "local" and not has_trtexec(device)
    with lock_device(device), job.context.connections.open(device) as connection:
        yield (_package_site if by_package else _trtexec_site)(connection, device, job)


def _trtexec_site(connection: Connection, device: Device, job: ExportJob) -> _Site:
    from natdeploy.export.onnx import INPUT_NAME
    from natdeploy.profilers.trtexec_timer import TrtexecTimer
    from natdeploy.runtimes.trtexec_program import TrtexecProgram
    from natdeploy.runtimes.trtexec_runtime import TrtexecBuilder, TrtexecRuntime

    path, precision = device.program if device.runtime == TENSORRT else None, job.options.precision
    program = TrtexecProgram(transport=connection, path=path)
    return _Site(
        builder=TrtexecBuilder(program, precision=precision, workspace_mib=workspace_mib(device)),
        runtime=TrtexecRuntime(program, input_name=INPUT_NAME, input_size=job.network.input_size),
        timer=TrtexecTimer(transport=connection, precision=precision, program=path),
    )


def _package_site(connection: Connection, device: Device, job: ExportJob) -> _Site:
    from natdeploy.profilers.agent_timer import AgentTimer
    from natdeploy.runtimes.tensorrt import TensorrtRuntime
    from natdeploy.runtimes.tensorrt_builder import TensorrtBuilder

    runtime = TensorrtRuntime()
    try:
        runtime.version()
    except MissingRuntimeError as error:
        msg = f"there is no TensorRT on this machine: no trtexec, and {error.message}"
        raise MissingRuntimeError(msg, hint=error.hint) from error
    return _Site(
        builder=TensorrtBuilder(precision=job.options.precision, workspace_mib=workspace_mib(device)),
        runtime=runtime,
        timer=AgentTimer(transport=connection, runtime=TENSORRT, threads=1, python=sys.executable),
    )


def _prepare_instead(
    error: DeviceUnreachableError | MissingRuntimeError, device: Device, job: ExportJob, output_path: Path
) -> DeviceUnreachableError | MissingRuntimeError:
    """Write what the device needs to build the engine, and return an error that says so and how to continue."""
    prepared = prepare_engine(device, job, output_path)
    onnx, script = prepared.artifact, prepared.extra_files[0]
    msg = f"{error.message}; no engine was built, but {onnx}, its manifest and {script} were written"
    first = error.hint or f"make {device.name} reachable and export again"
    hint = (
        f"either: {first}; or copy {onnx.name} and {script.name} to the device and run there: sh {script.name} "
        "(--no-build asks for just that, and exits with 0)"
    )
    return type(error)(msg, hint=hint, artifacts=(onnx, prepared.manifest, *prepared.extra_files))
