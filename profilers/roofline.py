"""Estimating the latency of layers from a device's description, without running anything.

Every operator of a layer takes the time of its arithmetic or of its memory traffic, whichever is longer (the roofline
model: Williams, Waterman and Patterson, CACM 2009), plus the time of its launch. Dense, pointwise and depthwise
convolutions reach different shares of the peak rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from natdeploy.core.device import Deployment, Device, Roofline
from natdeploy.core.latency import (
    CLASSIFIER_COUNTS,
    ESTIMATED,
    LatencyStats,
    LatencyTable,
    list_layers,
    require_same_provenance,
)
from natdeploy.core.layers import BLOCK, POOLING, Layer
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.ports import Clock
from natdeploy.version import __version__

DENSE, POINTWISE, DEPTHWISE = "dense", "pointwise", "depthwise"
_BYTES = {"fp32": 4, "fp16": 2, "int8": 1}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """One operator that a runtime launches, with normalization and activation fused into it.

    Args:
        kind: `dense`, `pointwise` (1x1 convolutions and linear layers) or `depthwise`; it decides which share of the
            peak rate the operator reaches.
        madds: Multiply-adds.
        elements: Elements that it reads and writes: activations and weights.
    """

    kind: str
    madds: int
    elements: int


def list_operators(layer: Layer) -> list[Operator]:
    """Return the operators of `layer` in the order in which they run."""
    if layer.op == BLOCK:
        return list(_block_operators(layer))
    if layer.op == POOLING:
        return [_pool(layer.in_size, layer.in_channels)]
    return [_conv(layer.in_size, layer.out_size, layer.in_channels, layer.out_channels, layer.kernel)]


def estimate_layer(layer: Layer, roofline: Roofline, precision: str) -> LatencyStats:
    """Estimate the latency of `layer`. Nothing is run, so all its statistics are the same number.

    Raises:
        InputError: The device's description has no peak rate for `precision`.
    """
    if precision not in roofline.peak_gmadds:
        msg = f"no peak rate is known for precision {precision} (known: {', '.join(roofline.peak_gmadds)})"
        raise InputError(msg)
    total_ms = sum(_operator_ms(operator, roofline, precision) for operator in list_operators(layer))
    value = round(total_ms, 6)
    return LatencyStats(median_ms=value, p10_ms=value, p90_ms=value, mean_ms=value, std_ms=0.0, runs=0)


def estimate_table(
    space: SearchSpace,
    device: Device,
    deployment: Deployment,
    existing: LatencyTable | None,
    *,
    clock: Clock,
) -> LatencyTable:
    """Estimate every layer of `space` from the device's description; nothing is run.

    The layers of `existing` are estimated again, because the description may have changed.

    Raises:
        InputError: The description has no numbers for this deployment, or `existing` is of another provenance.
    """
    if device.roofline is None:
        msg = f"device {device.name!r} has no [roofline] numbers in its description: it can only be measured"
        raise InputError(msg)
    if deployment.batch != 1 or deployment.threads != device.threads:
        msg = (
            f"{deployment} cannot be estimated: the numbers of {device.name} are for batch 1, threads {device.threads}"
        )
        raise InputError(msg)
    require_same_provenance(existing, ESTIMATED)
    layers = dict.fromkeys([*(existing.rows if existing else ()), *list_layers(space, CLASSIFIER_COUNTS)])
    rows = {layer: estimate_layer(layer, device.roofline, deployment.precision) for layer in layers}
    conditions = {"natdeploy": __version__, "chip": device.chip, "source": device.source}
    if existing is not None and (rows, conditions) == (existing.rows, existing.conditions):
        return existing
    return LatencyTable(
        deployment=deployment,
        provenance=ESTIMATED,
        method="roofline",
        rows=rows,
        created=clock.now().isoformat(timespec="seconds"),
        conditions=conditions,
    )


def _operator_ms(operator: Operator, roofline: Roofline, precision: str) -> float:
    figures = roofline.get_figures(precision)
    rate = roofline.peak_gmadds[precision] * figures.efficiency[operator.kind]
    arithmetic_ms = operator.madds / (rate * 1e6)
    traffic_ms = operator.elements * _BYTES[precision] / (figures.bandwidth_gb_s * 1e6)
    return max(arithmetic_ms, traffic_ms) + figures.operator_ms


def _block_operators(layer: Layer) -> Iterator[Operator]:
    inner, outer, mid = layer.in_size, layer.out_size, layer.mid_channels
    if layer.expands:
        yield _conv(inner, inner, layer.in_channels, mid, 1)
    weights = layer.kernel**2 * mid
    yield Operator(kind=DEPTHWISE, madds=outer**2 * weights, elements=(inner**2 + outer**2) * mid + weights)
    if layer.se:
        yield _pool(outer, mid)
        yield _conv(1, 1, mid, layer.se_channels, 1)
        yield _conv(1, 1, layer.se_channels, mid, 1)
        yield Operator(kind=DENSE, madds=0, elements=2 * outer**2 * mid)
    yield _conv(outer, outer, mid, layer.out_channels, 1)
    if layer.skip:
        yield Operator(kind=DENSE, madds=0, elements=3 * outer**2 * layer.out_channels)


def _conv(in_size: int, out_size: int, in_channels: int, out_channels: int, kernel: int) -> Operator:
    weights = kernel**2 * in_channels * out_channels
    elements = in_size**2 * in_channels + out_size**2 * out_channels + weights
    kind = POINTWISE if kernel == 1 else DENSE
    return Operator(kind=kind, madds=out_size**2 * weights, elements=elements)


def _pool(size: int, channels: int) -> Operator:
    return Operator(kind=DENSE, madds=0, elements=(size**2 + 1) * channels)
