"""Synthetic latency tables for tests. The time of a layer follows from its multiply-adds, so nothing must be run."""

from __future__ import annotations

from natdeploy.core.cost import space_layers
from natdeploy.core.device import Deployment
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats, LatencyTable
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace

HOST = Deployment(device="host", runtime="onnxruntime", precision="fp32", batch=1, threads=1)


def made_up_table(
    space: SearchSpace, *, deployment: Deployment = HOST, provenance: str = "measured", fingerprint: str | None = None
) -> LatencyTable:
    """Return a table that covers `space`. A layer takes 0.01 ms plus 1 ms per 10^7 multiply-adds."""
    layers = [
        layer
        for width in space.widths
        for resolution in space.resolutions
        for layer in space_layers(space, width, resolution, CLASSIFIER_COUNTS)
    ]
    return LatencyTable(
        deployment=deployment,
        provenance=provenance,
        method="made-up",
        rows={layer: _make_stats(layer) for layer in layers},
        fingerprint=fingerprint,
    )


def _make_stats(layer: Layer) -> LatencyStats:
    value = round(layer.madds / 1e7 + 0.01, 9)
    return LatencyStats(median_ms=value, p10_ms=value, p90_ms=value, mean_ms=value, std_ms=0.0, runs=1)
