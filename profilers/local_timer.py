"""Timing model files on this machine."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.core.latency import LatencyStats
from natdeploy.core.operators import ModelProfile
from natdeploy.errors import InputError
from natdeploy.ports import Clock, Images, Runtime
from natdeploy.profilers.timing import Timing, time_interleaved
from natdeploy.runtimes import agent
from natdeploy.runtimes.onnx_profile import profile_model

_TIMING = Timing()
_LEAST_PROFILE_RUNS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalTimer:
    """Times model files with a runtime of this machine; implements `natdeploy.ports.ModelTimer`.

    Args:
        runtime: The runtime.
        threads: Threads of the runtime.
        clock: Source of time.
        timing: How the files are timed.
        profile_warmup_runs: Warm-up runs of each file with the runtime's profiler on.
        profile_runs: Runs with the profiler on that count.
    """

    runtime: Runtime
    threads: int
    clock: Clock
    timing: Timing = _TIMING
    profile_warmup_runs: int = 5
    profile_runs: int = 25

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime runs."""
        return self.runtime.suffix

    @property
    def times_operators(self) -> bool:
        """Whether the runtime can time each operator of a model."""
        return self.runtime.times_operators

    def version(self) -> str:
        """Return the version of the runtime."""
        return self.runtime.version()

    def fingerprint(self) -> str:
        """Return what identifies this machine and its runtime: everything that latencies depend on."""
        return agent.make_fingerprint(self.version())

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that may change from one measurement to the next."""
        return agent.read_conditions()

    def protocol(self) -> dict[str, Any]:
        """Return the settings of the timing, as plain values."""
        profiled = {"profiled_runs": self.profile_runs} if self.times_operators else {}
        return {**dataclasses.asdict(self.timing), **profiled}

    def with_effort(self, effort: float) -> LocalTimer:
        """Return a timer with about `effort` times the rounds and profiled runs."""
        runs = max(_LEAST_PROFILE_RUNS, round(self.profile_runs * effort))
        return dataclasses.replace(self, timing=self.timing.with_effort(effort), profile_runs=runs)

    def time(self, paths: Sequence[Path], *, seed: int) -> list[LatencyStats]:
        """Return the latency of each model file; all files are timed interleaved."""
        sessions = [self.runtime.open(path, threads=self.threads) for path in paths]
        calls = [session.prepare(noise_image(session.input_size, seed)) for session in sessions]
        return time_interleaved(calls, clock=self.clock, rng=np.random.default_rng(seed), timing=self.timing)

    def operators(self, paths: Sequence[Path], *, seed: int) -> list[ModelProfile]:
        """Return the operator times of each ONNX file.

        Raises:
            InputError: The runtime does not tell them.
        """
        if not self.times_operators:
            msg = f"{self.runtime.id} does not tell how long each operator of a model takes"
            raise InputError(msg)
        with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
            return [self._profile(path, seed, Path(folder)) for path in paths]

    def _profile(self, path: Path, seed: int, folder: Path) -> ModelProfile:
        size = self.runtime.open(path, threads=self.threads).input_size
        return profile_model(
            path,
            noise_image(size, seed),
            threads=self.threads,
            folder=folder,
            runs=self.profile_runs,
            warmup_runs=self.profile_warmup_runs,
        )


def noise_image(size: int, seed: int) -> Images:
    """Return a `1 x 3 x size x size` image of seeded noise."""
    return np.random.default_rng(seed).standard_normal((1, 3, size, size)).astype(np.float32)
