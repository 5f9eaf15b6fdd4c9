"""Exporting subnets as checked files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.context import Context
from natdeploy.api.exporting.job import ExportJob, describe_subnet
from natdeploy.api.exporting.results import ExportResult
from natdeploy.api.latency.levels import PATIENCE_S, time_files
from natdeploy.api.latency.timers import open_timer
from natdeploy.api.results import jsonable
from natdeploy.api.subnets import load_subnet
from natdeploy.core.checked import checked
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.ranges import Seed
from natdeploy.errors import InputError, NatdeployError
from natdeploy.export.options import SUFFIXES, ExportOptions, require_format, require_taken
from natdeploy.files import require_apart
from natdeploy.io.devices import find_device
from natdeploy.io.subnets import Subnet, SubnetSource

if TYPE_CHECKING:
    from natdeploy.export.pipeline import Exported
    from natdeploy.supernet.network import Network

Writer = Callable[[ExportJob, Path], "Exported"]


@checked
def export(
    subnet: str | Path | SubnetSource,
    formats: str | Sequence[str] = ("onnx",),
    *,
    options: ExportOptions | None = None,
    output: Path | None = None,
    seed: Seed = 0,
    context: Context | None = None,
) -> ExportResult:
    """Export a subnet, and check each file against the torch network on images of its task.

    Args:
        subnet: The subnet.
        formats: A format, or several.
        options: How they are written. None: fp32, one image per call.
        output: File or folder. None: beside the subnet.
        seed: Seed for the weights of a bare architecture and for the choice of images.
        context: Reporter and clock.

    Raises:
        CheckFailedError: A file does not compute what the subnet computes. It is kept only as `*.rejected`.
        InputError: The subnet, a format, an option or the data is not valid.
        MissingRuntimeError: A package that a format needs is not installed.
        OutputError: A file cannot be written.
    """
    context, options = context or Context(), options or ExportOptions()
    names = (formats,) if isinstance(formats, str) else tuple(dict.fromkeys(formats))
    if not names:
        msg = f"no format is given (known: {', '.join(SUFFIXES)})"
        raise InputError(msg)
    for name in names:
        require_format(name)
        require_taken(name, options)
    source = SubnetSource.of(subnet)
    source.read()  # a bad subnet is refused before torch is imported, which takes seconds
    writers = {name: _writer(name, options) for name in names}
    output_paths = {name: _find_output_path(source.path, SUFFIXES[name], output, len(names)) for name in names}
    read, network = load_subnet(source, seed=seed, context=context)
    from natdeploy.export.manifest import manifest_path

    for output_path in output_paths.values():
        require_apart([output_path, manifest_path(output_path)], filter(None, [source.path, read.weights]))
    job = _job(read, network, options, seed, context)
    exports = []
    for number, name in enumerate(names):
        context.reporter.progress("export", number, len(names), name)
        try:
            exports.append(writers[name](job, output_paths[name]))
        except NatdeployError as error:
            written = [*(path for exported in exports for path in exported.files), *error.artifacts]
            error.artifacts = tuple(dict.fromkeys(written))
            raise
    context.reporter.progress("export", len(names), len(names))
    return ExportResult(exports=tuple(exports))


def _writer(name: str, options: ExportOptions) -> Writer:
    """Return the function that writes a format. Only here do the formats differ.

    Raises:
        InputError: The format cannot be written with these options.
        MissingRuntimeError: A package that writes the format is not installed.
    """
    from natdeploy.api.exporting.formats import make_device_exporter
    from natdeploy.api.exporting.tensorrt import make_engine_writer
    from natdeploy.export.formats import find_format

    device = find_device(options.device)
    if name == "tensorrt":
        return make_engine_writer(device, options)
    find_format(name)
    make_device_exporter(name, options, device)
    return lambda job, output_path: _write_here(name, job, output_path)


def _job(subnet: Subnet, network: Network, options: ExportOptions, seed: int, context: Context) -> ExportJob:
    import torch

    from natdeploy.api.exporting.images import ExportImages
    from natdeploy.export.pre_post_processing import add_pre_post_processing
    from natdeploy.supernet.batchnorm import recalibrate

    images = ExportImages(subnet, options=options, seed=seed, reporter=context.reporter)
    if subnet.weights is None:
        # With random weights, the outputs must still be in a range that every precision can represent.
        recalibrate(network, [torch.from_numpy(images.make_statistics_noise())])
    inside = add_pre_post_processing(
        network,
        mean_std=images.mean_std if options.normalize_inside else None,
        softmax=options.softmax_inside,
    )
    return ExportJob(subnet=subnet, network=inside, images=images, options=options, seed=seed, context=context)


def _write_here(name: str, job: ExportJob, output_path: Path) -> Exported:
    """Write a file that this machine can run, check it, and measure it."""
    from natdeploy.api.exporting.formats import make_device_exporter
    from natdeploy.export.formats import find_format
    from natdeploy.export.pipeline import export_network

    images = job.images
    calibration = images.calibration() if job.options.precision == "int8" else None
    exported = export_network(
        job.network,
        exporter=make_device_exporter(name, job.options, find_device(job.options.device), calibration),
        runtime=find_format(name).runtime,
        output_path=output_path,
        images=images.check,
        validation=images.validation() if job.options.precision == "int8" else None,
        description=describe_subnet(job),
        latency=lambda path: _measure(name, job, path),
    )
    _warn(exported, job)
    return exported


def _measure(name: str, job: ExportJob, path: Path) -> Mapping[str, Any] | None:
    """Return the latency of a file on its device. A file that is not fp32 is timed in turns with an fp32 one."""
    from natdeploy.api.exporting.formats import measure_on_device, with_fp32_file
    from natdeploy.export.formats import find_format

    runtime, device = find_format(name).runtime, find_device(job.options.device)
    if device.transport != "local":
        return measure_on_device(device, name, job, path)
    target = find_deployment(device, TableSelector(runtime=runtime.id, precision=job.options.precision))
    with (
        with_fp32_file(name, job, path) as paths,
        open_timer(device, target, job.context, patience_s=PATIENCE_S) as timer,
    ):
        timed, fingerprint = time_files(timer, paths, target, seed=job.seed), timer.fingerprint()
    timed.tell(f"{name} timed on {target.device}", job.context.reporter)
    return {
        **jsonable(timed.stats[0]),
        "device": target.device,
        "threads": target.threads,
        "fingerprint": fingerprint,
        **timed.to_json(),
        "fp32_median_ms": timed.stats[1].median_ms if len(paths) > 1 else None,
    }


def _warn(exported: Exported, job: ExportJob) -> None:
    """Warn if a lower precision is no faster here, and say why."""
    warn = job.context.reporter.warn
    delegation = exported.delegation
    if job.options.precision == "int8" and delegation is not None and delegation.outside:
        kinds = ", ".join(f"{count} {kind}" for kind, count in delegation.outside.items())
        warn(
            f"{exported.artifact}: XNNPACK does not run the whole int8 network: {kinds} stay outside and split it "
            f"into {delegation.partitions} parts"
        )
    plain_ms, where = exported.fp32_latency_ms, "this machine" if exported.device == "host" else exported.device
    if plain_ms is not None and exported.latency_ms is not None and exported.latency_ms > plain_ms:
        warn(
            f"{exported.artifact}: {job.options.precision} is slower than fp32 on {where}: "
            f"{exported.latency_ms:.4g} ms against {plain_ms:.4g} ms. "
            "Take --precision fp32 there, unless the size of the file matters more"
        )


def _find_output_path(subnet: Path, suffix: str, output: Path | None, count: int) -> Path:
    name = f"{subnet.stem}{suffix}"
    if output is None:
        return subnet.parent / name if subnet.exists() else Path(f"subnet{suffix}")
    if output.is_dir() or not output.suffix:
        return output / name
    if count > 1:
        msg = f"--output {output} is a file, but {count} formats need a folder"
        raise InputError(msg, hint="for a folder whose name has a dot, create it first")
    if output.suffix != suffix:
        msg = f"--output {output}: the name of a file of this format must end in {suffix}"
        raise InputError(msg, hint="for a folder whose name has a dot, create it first")
    return output
