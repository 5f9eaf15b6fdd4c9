"""Timing engines of TensorRT on a device by its `trtexec`, which needs nothing but a shell."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.core.operators import ModelProfile
from natdeploy.core.timed import Timed
from natdeploy.ports import Transport
from natdeploy.profilers import board_facts
from natdeploy.profilers.remote_file_cache import RemoteFileCache
from natdeploy.profilers.timing import Times, Timing, summarize
from natdeploy.runtimes.agent import Rounds
from natdeploy.runtimes.trtexec import (
    EngineRun,
    format_version,
    make_profile_arguments,
    make_timing_arguments,
    writes_layer_info,
)
from natdeploy.runtimes.trtexec_files import read_layer_info, read_profile, read_times
from natdeploy.runtimes.trtexec_operators import make_operator_profile
from natdeploy.runtimes.trtexec_program import RUN_S, TrtexecProgram

_RUN = EngineRun(warmup_ms=500, duration_s=1, iterations=20)
_TIMES, _PROFILE, _LAYERS = "times.json", "profile.json", "layers.json"
_ENGINE = ".engine"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrtexecTimer:
    """Times engines on a device; implements `natdeploy.ports.ModelTimer`.

    The device builds the engines of ONNX files itself. A latency is the time that the GPU computes. In every round each
    engine is run by a process of its own. The order within a round is shuffled.

    Args:
        transport: Connection to the device.
        precision: Lowest precision that layers may use.
        program: Path of trtexec; None for the usual places.
        engine_run: How an engine is run in a round.
        rounds: Number of rounds.
        quiet_rounds: Number of rounds, the fastest of each file, that its statistics come from.
        workspace_mib: Maximum memory that a layer may use for itself, in MiB.
    """

    transport: Transport
    precision: str
    program: str | None = None
    engine_run: EngineRun = _RUN
    rounds: int = 3
    quiet_rounds: int = 2
    workspace_mib: int = 512

    @property
    def suffix(self) -> str:
        """Suffix of the files that engines are built from."""
        return ".onnx"

    @property
    def times_operators(self) -> bool:
        """Whether the runtime can time each operator of a model."""
        return True

    def version(self) -> str:
        """Return the version of TensorRT on the device."""
        return format_version(self._trtexec.version)

    def fingerprint(self) -> str:
        """Return what identifies the device and its TensorRT: everything that latencies depend on."""
        return board_facts.read_fingerprint(self.transport, f"TensorRT {self.version()}")

    def conditions(self) -> dict[str, Any]:
        """Return the conditions on the device that may change from one measurement to the next."""
        return board_facts.read_conditions(self.transport)

    def protocol(self) -> dict[str, Any]:
        """Return the settings of the timing, as plain values."""
        own = {"rounds": self.rounds, "quiet_rounds": self.quiet_rounds, "workspace_mib": self.workspace_mib}
        return {**own, **dataclasses.asdict(self.engine_run), "flags": sorted(self._trtexec.flags.known)}

    def with_effort(self, effort: float) -> TrtexecTimer:
        """Return a timer with about `effort` times the rounds."""
        rounds = max(1, round(self.rounds * effort))
        return dataclasses.replace(self, rounds=rounds, quiet_rounds=min(rounds, self.quiet_rounds))

    def time(self, paths: Sequence[Path], *, seed: int) -> Timed:
        """Return the latency of each engine, and of an engine of each ONNX file."""
        engines = self._engines(paths)
        rng = np.random.default_rng(seed)
        rounds: list[list[Times]] = [[] for _ in engines]
        for _ in range(self.rounds):
            for place in rng.permutation(len(engines)).tolist():
                rounds[place].append(self._round_s(engines[place]))
        models = [Rounds(times, [None] * len(times)) for times in rounds]
        return Timed(stats=tuple(summarize(models, Timing(quiet_rounds=self.quiet_rounds))))

    def operators(self, paths: Sequence[Path], *, seed: int) -> list[ModelProfile]:  # noqa: ARG002, the port's
        """Return the layer times of an engine of each ONNX file."""
        return [self._operators(engine) for engine in self._engines(paths)]

    def _round_s(self, engine: str) -> Times:
        trtexec = self._trtexec
        trtexec.run(make_timing_arguments(trtexec.flags, engine=engine, times=_TIMES, run=self.engine_run))
        return read_times(trtexec.read(_TIMES), warmup_ms=self.engine_run.warmup_ms, version=trtexec.version) / 1e3

    def _operators(self, engine: str) -> ModelProfile:
        trtexec = self._trtexec
        arguments = make_profile_arguments(
            trtexec.flags, engine=engine, profile=_PROFILE, run=self.engine_run, layer_info=_LAYERS
        )
        trtexec.run(arguments)
        infos = read_layer_info(trtexec.read(_LAYERS)) if writes_layer_info(trtexec.flags) else []
        return make_operator_profile(read_profile(trtexec.read(_PROFILE)), infos)

    def _engines(self, paths: Sequence[Path]) -> list[str]:
        """Build an engine of each file, once, and remove the engines that are no longer needed."""
        models = self._files.upload(paths)
        for model in set(self._built) - set(models):
            self.transport.run(["rm", "-f", "--", self._built.pop(model)], timeout_s=RUN_S)
        for model in models:
            if model not in self._built:
                self._built[model] = self._build(model)
        return [self._built[model] for model in models]

    def _build(self, model: str) -> str:
        if model.endswith(_ENGINE):
            return model
        engine = f"{model}{_ENGINE}"
        self._trtexec.build(onnx=model, engine=engine, precision=self.precision, workspace_mib=self.workspace_mib)
        return engine

    @functools.cached_property
    def _files(self) -> RemoteFileCache:
        return RemoteFileCache(self.transport)

    @functools.cached_property
    def _built(self) -> dict[str, str]:
        return {}

    @functools.cached_property
    def _trtexec(self) -> TrtexecProgram:
        return TrtexecProgram(transport=self.transport, path=self.program)
