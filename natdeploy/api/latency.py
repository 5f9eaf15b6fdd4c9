"""Profiling, latency tables, predictions and measurements."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context, resolve_space
from natdeploy.api.results import MeasureResult, PredictResult, ProfileResult
from natdeploy.core.cost import space_layers
from natdeploy.core.device import Device, Target
from natdeploy.core.latency import CLASSIFIER_COUNTS, ESTIMATED, LatencyStats, LatencyTable
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError, DeviceUnreachableError, InputError, MissingRuntimeError
from natdeploy.io.devices import find_device, target_of
from natdeploy.io.subnets import read_with_classes
from natdeploy.io.table_store import choose_table, find_table, table_path
from natdeploy.io.tables import read_table, write_table
from natdeploy.ports import Clock, Reporter

if TYPE_CHECKING:
    from natdeploy.export.formats import Format
    from natdeploy.ports import Exporter, ModelTimer, NetworkMeter, Runtime
    from natdeploy.profilers.passes import Bench

_MODEL_SUFFIXES = {".onnx": "onnxruntime", ".tflite": "litert"}


def profile(
    device: str = "host",
    *,
    supernet: str = "starter",
    resolutions: tuple[int, ...] | None = None,
    width: float | None = None,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    fresh: bool = False,
    measured_only: bool = False,
    budget_s: float | None = None,
    output: Path | None = None,
    seed: int = 0,
    context: Context | None = None,
) -> ProfileResult:
    """Build the latency table of a device, or add to it what it lacks for a search space.

    A device that cannot be reached gets an estimated table from its description.

    Args:
        device: Name of the device.
        supernet: Search space to cover.
        resolutions: Input sizes to cover; the space's own where None.
        width: The only width to cover; all of the space's where None.
        runtime: Runtime; the device's default where None, as for the next three.
        precision: Precision.
        batch: Images in one call.
        threads: Threads of the runtime.
        fresh: Measure anew instead of adding to an existing table.
        measured_only: Never estimate.
        budget_s: Seconds that measuring may take; as long as it needs where None.
        output: File to write instead of the user's own table.
        seed: Seed of weights and of the order of measurements.
        context: Reporter and clock.

    Raises:
        InputError: A name or number is not valid, or a table of another provenance is there.
        DeviceUnreachableError: The device cannot be reached, and `measured_only` is set or it has no figures to
            estimate from.
        MissingRuntimeError: The runtime is not installed.
        OutputError: The table cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet, resolutions, width)
    described = find_device(device)
    target = target_of(described, runtime=runtime, precision=precision, batch=batch, threads=threads)
    path = table_file(output, target)
    stored = None if output is not None or fresh else find_table(target)
    source = path if path.exists() and not fresh else stored.path if stored else None
    existing = read_table(source) if source is not None else None
    if target.precision in described.slow_precisions:
        context.reporter.warn(f"{device} does not run {target.precision} any faster: it has no fast arithmetic for it")
    started = context.clock.seconds()
    if described.transport == "local":
        from natdeploy.profilers.budget import Budget
        from natdeploy.profilers.build import profile_device

        bench = bench_of(target, clock=context.clock, reporter=context.reporter, seed=seed)
        budget = None if budget_s is None else Budget(budget_s, context.clock)
        journal = _journal(path)
        table = profile_device(space, target, bench, existing=existing, journal=journal, fresh=fresh, budget=budget)
    elif measured_only or described.roofline is None:
        raise _unreachable(described)
    else:
        table = _estimate(space, described, target, existing, context)
    if table != existing or source != path:
        write_table(path, table, fresh=fresh)
    _journal(path).unlink(missing_ok=True)
    covered = table.covered_resolutions(space, max(CLASSIFIER_COUNTS))
    return ProfileResult(
        table=path, content=table, resolutions=covered, seconds=round(context.clock.seconds() - started, 3)
    )


def table_for_search(
    space: SearchSpace, device: str, *, width: float | None, seed: int, context: Context
) -> LatencyTable:
    """Return the latency table of `device` for a search; `host` is profiled first where its table does not do.

    Raises:
        InputError: There is no table of the device.
    """
    described = find_device(device)
    if described.transport != "local":
        chosen = choose_table(described).read()
        warn_of_estimates([chosen], context.reporter)
        return chosen
    target = target_of(described)
    stored = find_table(target)
    table = stored.read() if stored is not None else None
    if table is None or table.missing(_wanted(space)):
        context.reporter.info(f"profiling {device} first: it has no complete latency table for {space.name}")
    elif table.fingerprint == _fingerprint(target):
        return table
    return profile(
        device,
        supernet=space.name,
        resolutions=space.resolutions,
        width=width,
        seed=seed,
        context=context,
    ).content


def warn_of_estimates(tables: Iterable[LatencyTable], reporter: Reporter) -> None:
    """Say of each device whose latencies are estimated that nothing was run there."""
    for table in tables:
        if table.provenance == ESTIMATED:
            device = table.target.device
            reporter.warn(f"the latencies of {device} are estimated from its description: nothing was run there")


def predict(
    subnet: str | Path,
    device: str = "host",
    *,
    supernet: str | None = None,
    width: float | None = None,
    classes: int | None = None,
    runtime: str | None = None,
    precision: str | None = None,
    batch: int | None = None,
    threads: int | None = None,
    context: Context | None = None,
) -> PredictResult:
    """Predict the latency of a subnet by the latency table of a device.

    Raises:
        CoverageError: The table does not cover the subnet; what is missing is named.
        InputError: The subnet or the table is not valid, or there is no table.
    """
    read = read_with_classes(subnet, supernet=supernet, width=width, classes=classes)
    stored = choose_table(find_device(device), runtime=runtime, precision=precision, batch=batch, threads=threads)
    table = stored.read()
    reporter = (context or Context()).reporter
    warn_of_estimates([table], reporter)
    if target_is_here(device) and table.fingerprint != _fingerprint(table.target):
        reporter.warn(f"{stored.path}: measured on another machine or runtime ({table.fingerprint})")
    layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
    try:
        prediction = table.predict(layers)
    except CoverageError as error:
        msg = f"{stored.path}: {error.message}"
        raise CoverageError(msg, hint=error.hint) from error
    return PredictResult(
        device=device,
        runtime=table.target.runtime,
        prediction=prediction,
        provenance=table.provenance,
        table=stored.path,
    )


def measure(
    subject: str | Path,
    device: str = "host",
    *,
    supernet: str | None = None,
    width: float | None = None,
    classes: int | None = None,
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
    path = Path(subject)
    described = find_device(device)
    own = _MODEL_SUFFIXES.get(path.suffix)
    if own is not None and runtime not in (None, own):
        msg = f"{path}: {path.suffix} files are run by {own}, not by {runtime}"
        raise InputError(msg)
    target = target_of(described, runtime=runtime or own, threads=threads)
    if described.transport != "local":
        raise _unreachable(described)
    if own is not None:
        stats = measure_file(path, target, seed=seed, clock=context.clock)
    else:
        read = read_with_classes(subject, supernet=supernet, width=width, classes=classes)
        layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
        stats = host_meter(target, seed=seed, clock=context.clock).measure([layers])[0]
    return MeasureResult(device=device, runtime=target.runtime, stats=stats)


def measure_file(path: Path, target: Target, *, seed: int, clock: Clock) -> LatencyStats:
    """Measure an exported file on this machine."""
    return host_timer(target, clock).time([path], seed=seed)[0]


def host_meter(target: Target, *, seed: int, clock: Clock) -> NetworkMeter:
    """Return a meter of whole networks on this machine."""
    from natdeploy.profilers.meter import Meter

    return Meter(exporter=_exporter(target.runtime), timer=host_timer(target, clock), seed=seed)


def host_timer(target: Target, clock: Clock) -> ModelTimer:
    """Return a timer of model files on this machine."""
    from natdeploy.profilers.local_timer import LocalTimer

    return LocalTimer(runtime=runtime_of(target.runtime), threads=target.threads, clock=clock)


def bench_of(target: Target, *, clock: Clock, reporter: Reporter, seed: int) -> Bench:
    """Return what measures the layers of networks on this machine."""
    from natdeploy.profilers.passes import Bench

    timer, exporter = host_timer(target, clock), _exporter(target.runtime)
    return Bench(timer=timer, exporter=exporter, clock=clock, reporter=reporter, seed=seed)


def _journal(path: Path) -> Path:
    return path.with_suffix(".journal.jsonl")


def target_is_here(device: str) -> bool:
    """Tell whether a device is this machine."""
    return find_device(device).transport == "local"


def _fingerprint(target: Target) -> str:
    from natdeploy.profilers.host import host_fingerprint

    return host_fingerprint(runtime_of(target.runtime).version())


def _wanted(space: SearchSpace) -> list[Layer]:
    return [
        layer
        for width in space.widths
        for resolution in space.resolutions
        for layer in space_layers(space, width, resolution, CLASSIFIER_COUNTS)
    ]


def _estimate(
    space: SearchSpace, device: Device, target: Target, existing: LatencyTable | None, context: Context
) -> LatencyTable:
    from natdeploy.profilers.build import estimate

    context.reporter.warn(
        f"{_unreachable(device).message}; its latencies are estimated from its description, nothing is run"
    )
    return estimate(space, device, target, existing, clock=context.clock)


def _unreachable(device: Device) -> DeviceUnreachableError:
    if device.address is None:
        msg = f"{device.name} is not connected: no {device.transport} address of it is known"
    else:
        msg = f"{device.name} is not connected: this version cannot reach devices over {device.transport}"
    if device.roofline is None:
        msg += "; its description has no [roofline] figures to estimate from, so it can only be measured"
    return DeviceUnreachableError(msg, hint="measure on this machine with --device host")


def table_file(output: Path | None, target: Target) -> Path:
    """Return the file that a table goes into: `output`, a place in it where it is a folder, else the user's own."""
    if output is None:
        return table_path(target)
    if output.is_dir():
        return output / target.device / target.file_name
    return output


def runtime_of(name: str) -> Runtime:
    """Return the runtime of this machine that is called `name`.

    Raises:
        MissingRuntimeError: There is none.
    """
    return _format(name).runtime


def _exporter(name: str) -> Exporter:
    return _format(name).exporter


def _format(runtime: str) -> Format:
    from natdeploy.export.formats import formats

    for entry in formats().values():
        if entry.runtime.id == runtime:
            return entry
    msg = f"nothing can be run with {runtime} on this machine"
    raise MissingRuntimeError(msg, hint="choose another --runtime: onnxruntime, litert")
