"""Latency tables for tests: made up from a layer's work, so that nothing has to be run."""

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
    """Return a table that covers `space`; a layer takes 1 ms for 10^7 multiply-adds, and 0.01 ms."""
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
        rows={layer: _stats(layer) for layer in layers},
        fingerprint=fingerprint,
    )


def _stats(layer: Layer) -> LatencyStats:
    value = round(layer.madds / 1e7 + 0.01, 9)
    return LatencyStats(median_ms=value, p10_ms=value, p90_ms=value, mean_ms=value, std_ms=0.0, runs=1)
