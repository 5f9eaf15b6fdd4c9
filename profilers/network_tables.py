"""Tables from measurements of whole networks: fitted to them alone, or another device's table corrected by them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from natdeploy.core.cost import space_layers
from natdeploy.core.device import Deployment
from natdeploy.core.latency import LatencyCorrection, LatencyTable, count_searchable_blocks
from natdeploy.core.latency_correction import (
    COVERAGE,
    CorrectionTerms,
    compute_conformal_interval,
    fit_correction_with_interval,
)
from natdeploy.core.launch_bound import LatencyCauses, explain_latency
from natdeploy.core.layers import CLASSIFIER, Layer
from natdeploy.core.space import SearchSpace
from natdeploy.core.table_errors import compute_errors
from natdeploy.errors import InputError
from natdeploy.ports import Clock, Reporter
from natdeploy.profilers.fitting import MIN_NETWORKS, FittedRows, fit_rows
from natdeploy.version import __version__

MIN_TO_CALIBRATE = 10
Networks = Sequence[tuple[Layer, ...]]


def fit_table(
    space: SearchSpace,
    deployment: Deployment,
    networks: Networks,
    measured_ms: Sequence[float],
    *,
    reporter: Reporter,
    clock: Clock,
) -> LatencyTable:
    """Fit a table to measurements of whole networks alone.

    Args:
        space: Space to cover. At each of its resolutions the table covers the widths that were measured.
        deployment: Device and use that were measured.
        networks: Layers of each network.
        measured_ms: Latency of each network.
        reporter: Receives warnings.
        clock: Source of time.

    Raises:
        InputError: There are too few different networks, all have the same latency, or a resolution has no network.
    """
    _require_different(networks, measured_ms, MIN_NETWORKS, "fit")
    wanted = _list_measured_layers(space, networks)
    fitted = fit_rows(networks, measured_ms, wanted)
    causes = explain_latency(networks, measured_ms)
    unseen = [layer for layer in fitted.unseen if layer in set(wanted)]
    if unseen:
        reporter.warn(
            f"{len(unseen)} of {len(wanted)} rows are in no measured network: they follow the prior and similar rows"
        )
    lower, upper = compute_conformal_interval(fitted.predicted_ms, measured_ms)
    return LatencyTable(
        deployment=deployment,
        provenance="fitted",
        method="whole-networks",
        rows={layer: fitted.rows[layer] for layer in wanted},
        created=clock.now().isoformat(timespec="seconds"),
        conditions=_conditions(networks, causes) | _fit_conditions(fitted, len(unseen)),
        validation=compute_errors(fitted.predicted_ms, measured_ms),
        latency_correction=LatencyCorrection(
            lower_ratio=lower, upper_ratio=upper, coverage=COVERAGE, networks=len(networks)
        ),
    )


def calibrate_table(
    source: LatencyTable,
    deployment: Deployment,
    networks: Networks,
    measured_ms: Sequence[float],
    *,
    clock: Clock,
) -> LatencyTable:
    """Correct another device's table by whole networks measured on `deployment`.

    The rows stay latencies of the other device. The correction turns their sums into latencies of this device.

    Raises:
        InputError: There are fewer than ten different networks, or all have the same latency.
        CoverageError: The source does not cover a network.
    """
    _require_different(networks, measured_ms, MIN_TO_CALIBRATE, "calibrate")
    sums = [source.predict(layers).latency_ms for layers in networks]
    blocks = [count_searchable_blocks(layers) for layers in networks]
    correction, checked = fit_correction_with_interval(sums, blocks, measured_ms)
    causes = explain_latency(networks, measured_ms)
    return dataclasses.replace(
        source,
        deployment=deployment,
        provenance="calibrated",
        method=f"calibrated-{source.method.removeprefix('calibrated-')}",
        runtime_version=None,
        fingerprint=None,
        created=clock.now().isoformat(timespec="seconds"),
        conditions=_conditions(networks, causes) | _source_conditions(source, networks),
        validation=checked,
        random_validation=None,
        latency_correction=_compose(source.latency_correction, correction),
    )


def _require_different(networks: Networks, measured_ms: Sequence[float], least: int, what: str) -> None:
    different = len(set(networks))
    if different < least:
        msg = f"{different} different networks are too few to {what} a table: at least {least} are needed"
        raise InputError(msg)
    if min(measured_ms) == max(measured_ms):
        msg = f"all networks have the same latency, {measured_ms[0]:g} ms: they were not measured"
        raise InputError(msg)


def _compose(first: LatencyCorrection | None, second: LatencyCorrection) -> LatencyCorrection:
    """Return the correction that applies `first` and then `second`."""
    before = CorrectionTerms()
    if first is not None:
        before = CorrectionTerms(alpha_ms=first.alpha_ms, beta=first.beta, gamma_ms=first.gamma_ms)
    return dataclasses.replace(
        second,
        alpha_ms=second.alpha_ms + second.beta * before.alpha_ms,
        beta=second.beta * before.beta,
        gamma_ms=second.gamma_ms + second.beta * before.gamma_ms,
    )


def _list_measured_layers(space: SearchSpace, networks: Networks) -> list[Layer]:
    """Return the layers at all measured widths and resolutions of `space`, with the measured classifiers.

    Raises:
        InputError: Nothing was measured at a resolution of the space.
    """
    places = {(layers[0].in_size, layers[0].out_channels) for layers in networks}
    bare = sorted(set(space.resolutions) - {size for size, _ in places})
    if bare:
        msg = f"no measured network has resolution {', '.join(map(str, bare))}: nothing is known there"
        raise InputError(msg, hint="measure networks there, or leave them out with --resolutions")
    classes = sorted({layer.out_channels for layers in networks for layer in layers if layer.op == CLASSIFIER})
    return list(
        dict.fromkeys(
            layer
            for resolution in space.resolutions
            for width in space.widths
            if (resolution, space.channels(space.stem.channels, width)) in places
            for layer in space_layers(space, width, resolution, classes)
        )
    )


def _conditions(networks: Networks, causes: LatencyCauses) -> dict[str, Any]:
    return {
        "natdeploy": __version__,
        "networks": len(networks),
        "launch_bound": causes.launch_bound,
        "causes": str(causes),
    }


def _fit_conditions(fitted: FittedRows, unseen: int) -> dict[str, Any]:
    return {"rows_without_measurement": unseen, "ridge": fitted.strength}


def _source_conditions(source: LatencyTable, networks: Networks) -> dict[str, Any]:
    return {
        "resolutions_measured": sorted({layers[0].in_size for layers in networks}),
        "source": str(source.deployment),
        "source_provenance": source.provenance,
        "source_method": source.method,
        "source_created": source.created,
    }
