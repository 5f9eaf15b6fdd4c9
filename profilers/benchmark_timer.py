"""Timing TFLite files on a device, such as an Android phone, by TensorFlow's `benchmark_model`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.core.operators import ModelProfile
from natdeploy.core.timed import Timed
from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.ports import Transport
from natdeploy.profilers import board_facts
from natdeploy.profilers.remote_file_cache import RemoteFileCache
from natdeploy.runtimes.benchmark_model import BenchmarkRun, make_timing_arguments, read_stats
from natdeploy.runtimes.connection import find_program
from natdeploy.runtimes.tool_output import RunStats, combine_runs

_PLACES = ("/data/local/tmp/benchmark_model", "benchmark_model")
_RUN_S = 600.0
_LEAST_ROUNDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkModelTimer:
    """Times TFLite files on a device; implements `natdeploy.ports.ModelTimer`.

    In every round each file is run by a process of its own. It runs on the fastest cores, if the device names them.
    The order within a round is shuffled.

    Args:
        transport: Connection to the device.
        threads: Threads.
        program: Path of benchmark_model; None for the usual places.
        rounds: Number of rounds.
    """

    transport: Transport
    threads: int
    program: str | None = None
    rounds: int = 5

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime runs."""
        return ".tflite"

    @property
    def times_operators(self) -> bool:
        """Whether operator times are used; with XNNPACK nothing says which layer they belong to."""
        return False

    def version(self) -> str:
        """Return the hash of benchmark_model, which has no version."""
        done = self.transport.run(["sha256sum", self._found], timeout_s=_RUN_S)
        return f"benchmark_model {done.stdout[:12] or 'of unknown build'}"

    def fingerprint(self) -> str:
        """Return what identifies the device and its runtime: everything that latencies depend on."""
        return board_facts.read_fingerprint(self.transport, self.version())

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that may change from one measurement to the next, and the cores that are used."""
        mask = {"core_mask": self._mask} if self._mask else {}
        return {**board_facts.read_conditions(self.transport), **mask}

    def protocol(self) -> dict[str, Any]:
        """Return the settings of the timing, as plain values."""
        return {"rounds": self.rounds, **dataclasses.asdict(self._run)}

    def with_effort(self, effort: float) -> BenchmarkModelTimer:
        """Return a timer with about `effort` times the rounds."""
        return dataclasses.replace(self, rounds=max(_LEAST_ROUNDS, round(self.rounds * effort)))

    def time(self, paths: Sequence[Path], *, seed: int) -> Timed:
        """Return the latency of each model file."""
        graphs = self._files.upload(paths)
        rng = np.random.default_rng(seed)
        calls: list[list[RunStats]] = [[] for _ in graphs]
        for _ in range(self.rounds):
            for place in rng.permutation(len(graphs)).tolist():
                calls[place].append(self._call(graphs[place]))
        return Timed(stats=tuple(combine_runs(runs) for runs in calls))

    def operators(self, paths: Sequence[Path], *, seed: int) -> list[ModelProfile]:  # noqa: ARG002, the port's
        """Refuse."""
        msg = f"{self.transport.name}: benchmark_model with XNNPACK cannot time each layer"
        raise InputError(msg)

    def _call(self, graph: str) -> RunStats:
        pinned = ["taskset", self._mask] if self._mask else []
        command = [*pinned, self._found, *make_timing_arguments(graph, self._run)]
        done = self.transport.run(command, timeout_s=_RUN_S)
        return read_stats(
            done.stdout + done.stderr,
            source=f"benchmark_model on {self.transport.name}",
            exit_code=done.exit_code,
            program=self._found,
        )

    @property
    def _run(self) -> BenchmarkRun:
        return BenchmarkRun(threads=self.threads, warmup_runs=5, warmup_min_s=0.2, runs=20, min_s=0.3)

    @functools.cached_property
    def _files(self) -> RemoteFileCache:
        return RemoteFileCache(self.transport)

    @functools.cached_property
    def _mask(self) -> str | None:
        return board_facts.find_big_core_mask(self.transport, self.threads)

    @functools.cached_property
    def _found(self) -> str:
        candidates = [self.program] if self.program else list(_PLACES)
        found = find_program(self.transport, candidates)
        if found is None:
            msg = f"{self.transport.name}: there is no benchmark_model that can be run ({', '.join(candidates)})"
            hint = (
                "get it from https://ai.google.dev/edge/litert/models/measurement, then: adb push benchmark_model "
                f"{_PLACES[0]} && adb shell chmod +x {_PLACES[0]}"
            )
            raise MissingRuntimeError(msg, hint=hint)
        return found
