"""Measuring whole networks on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import Layer
from natdeploy.ports import Clock, Exporter, Images, Runtime, Session
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.timing import Call, Timing, time_interleaved

WHOLE_NETWORKS = Timing()


class LocalMeter:
    """Times networks with a runtime of this machine; they get seeded random weights.

    Args:
        exporter: Writer of the format that the runtime reads.
        runtime: The runtime.
        threads: Its threads.
        clock: Source of time.
        seed: Seed of weights, images and order.
        timing: How much is run.
    """

    def __init__(
        self,
        *,
        exporter: Exporter,
        runtime: Runtime,
        threads: int,
        clock: Clock,
        seed: int,
        timing: Timing = WHOLE_NETWORKS,
    ) -> None:
        self._exporter = exporter
        self._runtime = runtime
        self._threads = threads
        self._clock = clock
        self._seed = seed
        self._timing = timing

    def measure(self, networks: Sequence[tuple[Layer, ...]]) -> list[LatencyStats]:
        """Return the latency of each network, all of them timed interleaved."""
        with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
            files = ModelFiles(self._exporter, Path(folder), seed=self._seed)
            calls = [self._open(files, layers) for layers in networks]
            rng = np.random.default_rng(self._seed)
            return time_interleaved(calls, clock=self._clock, rng=rng, timing=self._timing)

    def _open(self, files: ModelFiles, layers: tuple[Layer, ...]) -> Call:
        session = self._runtime.open(files.path(layers), threads=self._threads)
        return session.prepare(noise_image(session.input_size, self._seed))


def measure_session(session: Session, *, clock: Clock, seed: int, timing: Timing = WHOLE_NETWORKS) -> LatencyStats:
    """Return the latency of an opened model file."""
    call = session.prepare(noise_image(session.input_size, seed))
    return time_interleaved([call], clock=clock, rng=np.random.default_rng(seed), timing=timing)[0]


def noise_image(size: int, seed: int) -> Images:
    """Return a `1 x 3 x size x size` image of seeded noise."""
    return np.random.default_rng(seed).standard_normal((1, 3, size, size)).astype(np.float32)
