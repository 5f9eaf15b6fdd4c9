"""The isolated method: each layer is timed in a model of its own.

In this model a 1x1 convolution, the carrier, turns an image into the layer's input. The carrier's own time is
subtracted. The layer finds its weights in the caches, which it rarely does inside a network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import STEM, Layer
from natdeploy.core.space import SearchSpace
from natdeploy.ports import ModelTimer
from natdeploy.profilers.model_files import ModelFiles

Model = tuple[Layer, ...]
Rows = dict[Layer, LatencyStats]
SHORTEST_MS = 1e-6
_EMPTY = Layer(op=STEM, in_size=1, in_channels=3, out_channels=8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class IsolatedProfiler:
    """Profiles the layers of a width and resolution one by one; implements `natdeploy.ports.Profiler`.

    Args:
        timer: The device.
        files: Model files.
        seed: Seed of images and order.
    """

    timer: ModelTimer
    files: ModelFiles
    seed: int

    @property
    def method(self) -> str:
        """Name of the method."""
        return "isolated"

    def measure(
        self, space: SearchSpace, width: float, resolution: int, references: Sequence[Model]
    ) -> tuple[Rows, list[LatencyStats]]:
        """Return the rows of all layers of a width and resolution, and the latencies of `references`."""
        layers = list_distinct_layers(space, width, resolution)
        timed = time_models(self.timer, self.files, [*make_isolated_models(layers), *references], seed=self.seed)
        return make_isolated_rows(layers, timed), [timed[layers] for layers in references]


def list_distinct_layers(space: SearchSpace, width: float, resolution: int) -> list[Layer]:
    """Return every layer of a width and resolution once."""
    return list(dict.fromkeys(space_layers(space, width, resolution, CLASSIFIER_COUNTS)))


def make_isolated_models(layers: Sequence[Layer]) -> list[Model]:
    """Return the models of single layers, and the models of their carriers alone."""
    return [model for layer in layers for model in (_carrier(layer), _alone(layer))]


def time_models(
    timer: ModelTimer, files: ModelFiles, models: Sequence[Model], *, seed: int
) -> dict[Model, LatencyStats]:
    """Return the latency of each model; all models are timed interleaved."""
    distinct = list(dict.fromkeys(models))
    return dict(zip(distinct, timer.time([files.path(model) for model in distinct], seed=seed).stats, strict=True))


def make_isolated_rows(layers: Sequence[Layer], timed: Mapping[Model, LatencyStats]) -> Rows:
    """Return the time that each layer takes beyond its carrier, and a shortest time if it takes none."""
    rows = {}
    for layer in layers:
        stats = timed[_alone(layer)]
        rows[layer] = scale_to_median(stats, stats.median_ms - timed[_carrier(layer)].median_ms)
    return rows


def scale_to_median(stats: LatencyStats, median_ms: float) -> LatencyStats:
    """Return `stats` scaled to a median in milliseconds, rounded to the nanosecond."""
    return stats.scale(max(median_ms, SHORTEST_MS) / stats.median_ms).round()


def _alone(layer: Layer) -> Model:
    return (layer,) if layer.op == STEM else (*_carrier(layer), layer)


def _carrier(layer: Layer) -> Model:
    """Return the part of a layer's model before the layer. The stem takes images, so its carrier is almost empty."""
    if layer.op == STEM:
        return (_EMPTY,)
    return (Layer(op=STEM, in_size=layer.in_size, in_channels=3, out_channels=layer.in_channels),)
