"""Profiling, latency tables, predictions and measurements."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context, resolve_space
from natdeploy.api.results import MeasureResult, PredictResult, ProfileResult
from natdeploy.api.timers import TENSORRT, exporter_of, host_timer, opened_timer, runtime_of
from natdeploy.core.cost import space_layers
from natdeploy.core.device import Device, Target
from natdeploy.core.latency import CLASSIFIER_COUNTS, ESTIMATED, MEASURED, LatencyTable
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError, DeviceUnreachableError, InputError
from natdeploy.files import require_writable
from natdeploy.io.devices import find_device, target_of
from natdeploy.io.subnets import read_with_classes
from natdeploy.io.table_store import choose_table, find_table, table_path
from natdeploy.io.tables import read_table, replace_table, write_table
from natdeploy.ports import Clock, Reporter
from natdeploy.runtimes.model_input import require_file

if TYPE_CHECKING:
    from natdeploy.ports import Exporter, ModelTimer, NetworkMeter
    from natdeploy.profilers.passes import Bench

_ENGINE_SUFFIX = ".engine"
_EXCEEDED = 1.25
_MODEL_SUFFIXES = {".onnx": ("onnxruntime", "tensorrt"), ".tflite": ("litert",), _ENGINE_SUFFIX: (TENSORRT,)}
_GOES_ON = "what is measured so far is kept: the same command goes on behind it"


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
    recheck: bool = False,
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
        recheck: Run whole networks against the table again, even where it lacks nothing.
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
    existing = _existing(source, target, recheck=recheck)
    require_writable(path)
    if target.precision in described.slow_precisions:
        context.reporter.warn(f"{device} does not run {target.precision} any faster: it has no fast arithmetic for it")
    started = context.clock.seconds()
    with contextlib.ExitStack() as stack:
        try:
            timer = stack.enter_context(opened_timer(described, target, context))
        except DeviceUnreachableError as error:
            kept = path if _is_measured(path) else source
            if kept is not None and _is_measured(kept):
                stays = f"its table of real latencies stays as it is: {kept}"
                hint = "; ".join(part for part in (error.hint, stays) if part)
                raise DeviceUnreachableError(error.message, hint=hint) from error
            if measured_only:
                raise
            table = _estimate(space, described, target, existing, reason=error, context=context)
        else:
            if stored is not None and stored.packaged and existing is not None and existing.provenance == ESTIMATED:
                existing = None
            bench = _bench(timer, exporter_of(described, target), context, seed)
            table = _measure(
                space,
                target,
                bench,
                existing,
                journal=_journal(path),
                fresh=fresh,
                recheck=recheck,
                budget_s=budget_s,
            )
    if table != existing or source != path:
        _write(path, table, fresh=fresh, reporter=context.reporter)
    _journal(path).unlink(missing_ok=True)
    covered = table.covered_resolutions(space, max(CLASSIFIER_COUNTS))
    seconds = round(context.clock.seconds() - started, 3)
    _warn_of_time(seconds, budget_s, context.reporter)
    return ProfileResult(table=path, content=table, resolutions=covered, seconds=seconds)


def _existing(source: Path | None, target: Target, *, recheck: bool) -> LatencyTable | None:
    existing = read_table(source) if source is not None else None
    if existing is not None and existing.target != target:
        msg = f"{source}: holds the table of another target: {existing.target}"
        raise InputError(msg, hint="choose another file with --output, or a folder: every target has its place in it")
    if recheck and (existing is None or existing.provenance != MEASURED):
        msg = f"there is no measured table of {target} whose check could be repeated"
        raise InputError(msg, hint=f"make one with: natdeploy profile --device {target.device}")
    return existing


def _write(path: Path, table: LatencyTable, *, fresh: bool, reporter: Reporter) -> None:
    if fresh and path.exists():
        reporter.info(f"the table that was there is kept: {replace_table(path, table, fresh=True)}")
    else:
        write_table(path, table, fresh=fresh)


def _warn_of_time(seconds: float, budget_s: float | None, reporter: Reporter) -> None:
    if budget_s is not None and seconds > _EXCEEDED * budget_s:
        reporter.warn(
            f"this took {seconds:.0f} s instead of {budget_s:g} s: one resolution and the check are always measured"
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
    elif table.fingerprint in (_fingerprint(target), None):
        # One without a fingerprint was imported or fitted by whoever knows the machine, and is not measured over.
        warn_of_estimates([table], context.reporter)
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
    if target_is_here(device) and table.fingerprint not in (_fingerprint(table.target), None):
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
    suffix = path.suffix.lower()
    own = _MODEL_SUFFIXES.get(suffix)
    if own is not None and (supernet, width, classes) != (None, None, None):
        msg = f"{path}: space, width and classes go with a subnet; a file has its own"
        raise InputError(msg)
    if own is not None and runtime not in {None, *own}:
        msg = f"{path}: {path.suffix} files are run by {' or '.join(own)}, not by {runtime}"
        raise InputError(msg)
    if own is not None and runtime is None:
        runtime = described.runtime if described.runtime in own else own[0]
    target = target_of(described, runtime=runtime, threads=threads)
    if own is not None:
        require_file(path)
    with opened_timer(described, target, context, engines=suffix == _ENGINE_SUFFIX) as timer:
        if own is not None:
            if suffix == _ENGINE_SUFFIX:
                _require_same_tensorrt(path, timer)
            stats = timer.time([path], seed=seed)[0]
        else:
            read = read_with_classes(subject, supernet=supernet, width=width, classes=classes)
            layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
            stats = _meter(timer, exporter_of(described, target), seed).measure([layers])[0]
    return MeasureResult(device=device, runtime=target.runtime, stats=stats)


def _require_same_tensorrt(engine: Path, timer: ModelTimer) -> None:
    """Check an engine that has a manifest: TensorRT does not always say that an engine is not its own, some crash."""
    from natdeploy.export.manifest import tool_version

    built, there = tool_version(engine, TENSORRT), timer.version()
    if built is None or all(one == other for one, other in zip(built.split("."), there.split("."), strict=False)):
        return
    msg = f"{engine}: built by TensorRT {built} and cannot be run by TensorRT {there}"
    raise InputError(msg, hint="export it again for this device: an engine runs only where it was built")


def host_meter(target: Target, *, seed: int, clock: Clock) -> NetworkMeter:
    """Return a meter of whole networks on this machine."""
    return _meter(host_timer(target, clock), exporter_of(find_device(target.device), target), seed)


def bench_of(target: Target, *, clock: Clock, reporter: Reporter, seed: int) -> Bench:
    """Return what measures the layers of networks on this machine."""
    exporter = exporter_of(find_device(target.device), target)
    return _bench(host_timer(target, clock), exporter, Context(reporter=reporter, clock=clock), seed)


def _meter(timer: ModelTimer, exporter: Exporter, seed: int) -> NetworkMeter:
    from natdeploy.profilers.meter import Meter

    return Meter(exporter=exporter, timer=timer, seed=seed)


def _bench(timer: ModelTimer, exporter: Exporter, context: Context, seed: int) -> Bench:
    from natdeploy.profilers.passes import Bench

    return Bench(timer=timer, exporter=exporter, clock=context.clock, reporter=context.reporter, seed=seed)


def _measure(
    space: SearchSpace,
    target: Target,
    bench: Bench,
    existing: LatencyTable | None,
    *,
    journal: Path,
    fresh: bool,
    recheck: bool,
    budget_s: float | None,
) -> LatencyTable:
    from natdeploy.profilers.budget import Budget
    from natdeploy.profilers.build import profile_device

    budget = None if budget_s is None else Budget(budget_s, bench.clock)
    try:
        return profile_device(
            space, target, bench, existing=existing, journal=journal, fresh=fresh, recheck=recheck, budget=budget
        )
    except DeviceUnreachableError as error:
        hint = "; ".join(part for part in (error.hint, _GOES_ON) if part)
        raise DeviceUnreachableError(error.message, hint=hint) from error


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
    space: SearchSpace,
    device: Device,
    target: Target,
    existing: LatencyTable | None,
    *,
    reason: DeviceUnreachableError,
    context: Context,
) -> LatencyTable:
    from natdeploy.profilers.roofline import estimate

    if device.roofline is None:
        msg = f"{reason.message}; its description has no [roofline] figures to estimate from, it can only be measured"
        raise DeviceUnreachableError(msg, hint=reason.hint) from reason
    context.reporter.warn(f"{reason.message}; its latencies are estimated from its description, nothing is run")
    return estimate(space, device, target, existing, clock=context.clock)


def _is_measured(path: Path) -> bool:
    """Tell whether a table is there that an estimate must not replace, even where it is to be measured anew."""
    return path.exists() and read_table(path).provenance != ESTIMATED


def table_file(output: Path | None, target: Target) -> Path:
    """Return the file that a table goes into: `output`, a place in it where it is a folder, else the user's own.

    What is not there yet is a file if it is called `*.csv`, and a folder otherwise.
    """
    if output is None:
        return table_path(target)
    if output.is_dir() or (output.suffix != ".csv" and not output.exists()):
        return output / target.device / target.file_name
    return output
