"""Timing whole networks."""

from __future__ import annotations

from collections.abc import Sequence

from natdeploy.core.layers import Layer
from natdeploy.core.timed import Timed
from natdeploy.ports import Exporter, ModelTimer
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.temporary import temporary_folder


class Meter:
    """Times networks on a device; implements `natdeploy.ports.NetworkMeter`.

    The networks get seeded random weights.

    Args:
        exporter: Exporter of the files that the device runs.
        timer: The device.
        seed: Seed of weights, images and order.
    """

    def __init__(self, *, exporter: Exporter, timer: ModelTimer, seed: int) -> None:
        self._exporter = exporter
        self._timer = timer
        self._seed = seed

    def measure(self, networks: Sequence[tuple[Layer, ...]]) -> Timed:
        """Return the latency of each network; all networks are timed interleaved."""
        with temporary_folder() as folder:
            files = ModelFiles(self._exporter, folder, seed=self._seed)
            return self._timer.time([files.path(layers) for layers in networks], seed=self._seed)
