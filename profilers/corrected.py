"""The method for runtimes that cannot time operators: isolated layers, corrected by whole networks.

The correcting networks range from almost the smallest to almost the largest architecture of a width and resolution.
They are timed interleaved with the layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from natdeploy.core import genotype
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import walk
from natdeploy.core.space import SearchSpace
from natdeploy.ports import ModelTimer
from natdeploy.profilers.isolated import (
    Model,
    Rows,
    list_distinct_layers,
    make_isolated_models,
    make_isolated_rows,
    scale_to_median,
    time_models,
)
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.row_correction import correct_rows
from natdeploy.profilers.validation_networks import draw_leaning_genotypes

NETWORKS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorrectedProfiler:
    """Profiles isolated layers and corrects them by whole networks; implements `natdeploy.ports.Profiler`.

    Args:
        timer: The device.
        files: Model files.
        seed: Seed of the networks, images and order.
        networks: Number of whole networks for each width and resolution.
    """

    timer: ModelTimer
    files: ModelFiles
    seed: int
    networks: int = NETWORKS

    @property
    def method(self) -> str:
        """Name of the method."""
        return "isolated+whole-networks"

    def measure(
        self, space: SearchSpace, width: float, resolution: int, references: Sequence[Model]
    ) -> tuple[Rows, list[LatencyStats]]:
        """Return the rows of all layers of a width and resolution, and the latencies of `references`."""
        layers = list_distinct_layers(space, width, resolution)
        networks = draw_correcting_networks(space, width, resolution, self.networks, seed=self.seed)
        models = [*make_isolated_models(layers), *networks, *references]
        timed = time_models(self.timer, self.files, models, seed=self.seed)
        rows = correct_rows_by_networks(
            make_isolated_rows(layers, timed), networks, [timed[network] for network in networks]
        )
        return rows, [timed[reference] for reference in references]


def draw_correcting_networks(
    space: SearchSpace, width: float, resolution: int, count: int, *, seed: int
) -> list[Model]:
    """Draw `count` networks of a width and resolution, from small ones to large ones.

    The smallest and the largest are not among them, because these validate tables.
    """
    rng = np.random.default_rng([seed, resolution])
    place = dataclasses.replace(space, widths=(width,), resolutions=(resolution,))
    rows = draw_leaning_genotypes(place, count + 2, rng)[1:-1]
    classes = rng.choice(CLASSIFIER_COUNTS, size=count).tolist()
    return [walk(place, genotype.decode(place, row), number) for row, number in zip(rows, classes, strict=True)]


def correct_rows_by_networks(rows: Rows, networks: Sequence[Model], measured: Sequence[LatencyStats]) -> Rows:
    """Return `rows` with medians corrected by the measured latencies of `networks`."""
    medians = {layer: stats.median_ms for layer, stats in rows.items()}
    corrected = correct_rows(medians, networks, [stats.median_ms for stats in measured])
    return {layer: scale_to_median(stats, corrected[layer]) for layer, stats in rows.items()}
