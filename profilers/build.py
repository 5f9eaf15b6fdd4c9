"""Building a latency table: measured on this machine, or estimated."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.core.cost import space_layers
from natdeploy.core.device import Device, Target
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats, LatencyTable
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.files import Journal
from natdeploy.ports import Clock, Exporter, Reporter, Runtime
from natdeploy.profilers import host
from natdeploy.profilers.in_context import InContext, covering_networks, profile_networks
from natdeploy.profilers.meter import WHOLE_NETWORKS, LocalMeter
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.roofline import estimate_layer
from natdeploy.profilers.row_journal import RowJournal
from natdeploy.profilers.validation import compare, interval, spread_networks
from natdeploy.version import __version__

Rows = dict[Layer, LatencyStats]
Place = tuple[float, int]
_METHOD = InContext()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What a profile of this machine works with."""

    exporter: Exporter
    runtime: Runtime
    threads: int
    clock: Clock
    reporter: Reporter
    seed: int
    method: InContext = _METHOD


def profile_host(
    space: SearchSpace,
    device: Device,
    target: Target,
    *,
    exporter: Exporter,
    runtime: Runtime,
    existing: LatencyTable | None,
    journal: Path,
    reporter: Reporter,
    clock: Clock,
    fresh: bool = False,
    validate_networks: int = 20,
    seed: int = 0,
) -> LatencyTable:
    """Measure on this machine every layer of `space` that `existing` lacks, then whole networks against the sums.

    Args:
        space: Space to cover, at all its widths and resolutions.
        device: This machine's description.
        target: What is measured.
        exporter: Writer of the files that `runtime` reads, with operators named after the network's modules.
        runtime: ONNX Runtime.
        existing: Table to add to. One of another machine or runtime version is not used, with a warning.
        journal: File where every finished width and resolution is kept at once, so that the next call goes on
            behind it; to be deleted when the table is written.
        reporter: Where progress goes.
        clock: Source of time.
        fresh: Measure everything anew.
        validate_networks: Whole networks to measure; with 0 the table has no validation and no interval.
        seed: Seed of weights, images, order and of the choice of networks.

    Raises:
        InputError: The target is not one that this method can measure, or `existing` is of another provenance.
        MissingRuntimeError: The runtime is not installed.
    """
    _check_target(device, target)
    bench = Bench(exporter=exporter, runtime=runtime, threads=target.threads, clock=clock, reporter=reporter, seed=seed)
    version = runtime.version()
    fingerprint = host.host_fingerprint(version)
    kept = None if fresh else _usable(existing, fingerprint, reporter)
    kept_journal = RowJournal(Journal(journal), key=f"{target}; {fingerprint}", fresh=fresh)
    known: Rows = {**(kept.rows if kept else {}), **kept_journal.rows}
    places = _lacking(space, known)
    if kept is not None and not places and set(known) == set(kept.rows):
        return kept
    before = host.conditions()
    _measure(space, places, known, kept_journal, bench)
    table = LatencyTable(
        target=target,
        provenance="measured",
        method="in-context",
        rows=known,
        runtime_version=version,
        fingerprint=fingerprint,
        created=clock.now().isoformat(timespec="seconds"),
        conditions=_conditions(bench, before),
    )
    if validate_networks:
        table = validate(space, table, validate_networks, bench)
    kept_journal.end()
    return table


def validate(space: SearchSpace, table: LatencyTable, count: int, bench: Bench) -> LatencyTable:
    """Return `table` with the errors of its sums over `count` whole networks, and the interval that follows."""
    plain = dataclasses.replace(table, calibration=None)
    networks = spread_networks(space, plain, count, np.random.default_rng(bench.seed))
    bench.reporter.info(f"checking the table on {len(networks)} whole networks")
    meter = LocalMeter(
        exporter=bench.exporter,
        runtime=bench.runtime,
        threads=bench.threads,
        clock=bench.clock,
        seed=bench.seed,
    )
    measured = [stats.median_ms for stats in meter.measure(networks)]
    predicted = [plain.predict(layers).latency_ms for layers in networks]
    return dataclasses.replace(
        plain, validation=compare(predicted, measured), calibration=interval(predicted, measured)
    )


def estimate(
    space: SearchSpace,
    device: Device,
    target: Target,
    existing: LatencyTable | None,
    *,
    classes: Sequence[int] = CLASSIFIER_COUNTS,
    clock: Clock,
) -> LatencyTable:
    """Estimate every layer of `space` that `existing` lacks from the device's description; nothing is run.

    Raises:
        InputError: The description has no figures for estimates, or `existing` is of another provenance.
    """
    if device.roofline is None:
        msg = f"device {device.name!r} has no [roofline] figures in its description: it can only be measured"
        raise InputError(msg)
    if target.batch != 1 or target.threads != device.threads:
        msg = f"{target} cannot be estimated: the figures of {device.name} are for batch 1, threads {device.threads}"
        raise InputError(msg)
    _check_provenance(existing, "estimated")
    rows: Rows = dict(existing.rows) if existing else {}
    for width in space.widths:
        for resolution in space.resolutions:
            for layer in space_layers(space, width, resolution, classes):
                if layer not in rows:
                    rows[layer] = estimate_layer(layer, device.roofline, target.precision)
    if existing is not None and len(rows) == len(existing.rows):
        return existing
    return LatencyTable(
        target=target,
        provenance="estimated",
        method="roofline",
        rows=rows,
        created=clock.now().isoformat(timespec="seconds"),
        conditions={"natdeploy": __version__, "chip": device.chip, "source": device.source},
    )


def _measure(space: SearchSpace, places: Sequence[Place], known: Rows, journal: RowJournal, bench: Bench) -> None:
    warning = host.load_warning() if places else None
    if warning:
        bench.reporter.warn(warning)
    rng = np.random.default_rng(bench.seed)
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as name:
        folder = Path(name)
        files = ModelFiles(bench.exporter, folder, seed=bench.seed)
        for done, (width, resolution) in enumerate(places):
            bench.reporter.progress("profile", done, len(places), f"width {width:g}, resolution {resolution}")
            rows = profile_networks(
                covering_networks(space, width, resolution),
                files,
                bench.runtime,
                threads=bench.threads,
                clock=bench.clock,
                rng=rng,
                method=bench.method,
                folder=folder,
            )
            fresh = {layer: stats for layer, stats in rows.items() if layer not in known}
            journal.append(fresh)
            known.update(fresh)
    bench.reporter.progress("profile", len(places), len(places))


def _lacking(space: SearchSpace, known: Rows) -> list[Place]:
    return [
        (width, resolution)
        for width in space.widths
        for resolution in space.resolutions
        if any(layer not in known for layer in space_layers(space, width, resolution, CLASSIFIER_COUNTS))
    ]


def _usable(existing: LatencyTable | None, fingerprint: str, reporter: Reporter) -> LatencyTable | None:
    _check_provenance(existing, "measured")
    if existing is None or existing.fingerprint == fingerprint:
        return existing
    reporter.warn(f"the existing table is of another machine or runtime ({existing.fingerprint}): it is measured anew")
    return None


def _check_provenance(existing: LatencyTable | None, provenance: str) -> None:
    if existing is not None and existing.provenance != provenance:
        msg = f"the existing table holds {existing.provenance} latencies; {provenance} ones do not go into it"
        raise InputError(msg, hint="replace it with --fresh")


def _check_target(device: Device, target: Target) -> None:
    if device.transport != "local":
        msg = f"device {device.name!r} is not this machine"
        raise InputError(msg)
    if (target.runtime, target.precision, target.batch) != ("onnxruntime", "fp32", 1):
        msg = f"{target} cannot be measured layer by layer: only onnxruntime with fp32 and batch 1 can"
        raise InputError(msg)


def _conditions(bench: Bench, before: dict[str, Any]) -> dict[str, Any]:
    return {
        "natdeploy": __version__,
        **before,
        "load_average_after": host.load_average(),
        "timing": dataclasses.asdict(bench.method.timing),
        "validation_timing": dataclasses.asdict(WHOLE_NETWORKS),
        "profiled_runs": bench.method.profile_rounds * bench.method.profile_runs,
        "seed": bench.seed,
    }
