"""Timing whole networks."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from natdeploy.core.layers import Layer
from natdeploy.core.timed import Timed
from natdeploy.ports import Exporter, ModelTimer
from natdeploy.profilers.model_files import ModelFiles


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
        with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
            files = ModelFiles(self._exporter, Path(folder), seed=self._seed)
            return self._timer.time([files.path(layers) for layers in networks], seed=self._seed)
