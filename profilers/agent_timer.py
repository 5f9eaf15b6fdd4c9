"""Timing model files by the agent, in a process of its own: on this machine, or on a board that it is sent to."""

from __future__ import annotations

import base64
import dataclasses
import functools
import importlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.core.operators import ModelProfile
from natdeploy.core.timed import Disturbance, Timed, find_worst
from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError, NatdeployError, NoOutputsError
from natdeploy.ports import Finished, Transport
from natdeploy.profilers.remote_file_cache import RemoteFileCache
from natdeploy.profilers.timing import Timing, compute_lost_share, join_processes, summarize
from natdeploy.runtimes import agent, machine_identity, processor_load
from natdeploy.runtimes.agent import Rounds
from natdeploy.runtimes.onnx_profile import read_profile
from natdeploy.runtimes.program_failure import find_failure, make_failure_error

_TIMING = Timing()
_INFO_S = 120.0
_NO_COMMAND = 127
_LEAST_PROFILE_RUNS = 8
_SUFFIXES = {"onnxruntime": ".onnx", "litert": ".tflite", "tensorrt": ".engine"}
_ONLY_64_BIT = ("onnxruntime", "ai-edge-litert")
_32_BIT = ("armv6l", "armv7l", "armv8l", "i386", "i686")
_INSTALL = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "ai_edge_litert": "ai-edge-litert",
    "tensorrt": "tensorrt",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentTimer:
    """Times model files by the agent; implements `natdeploy.ports.ModelTimer`.

    For every job the agent runs in a new process that loads nothing but numpy and the runtime. This process waits
    meanwhile. The rounds of a timing are shared by several such processes. The statistics are computed here.

    Args:
        transport: Connection to the device, which may be this machine.
        runtime: `onnxruntime` or `litert`; on this machine also `tensorrt`, for engines.
        threads: Threads of the runtime.
        python: Python on the device.
        timing: How the files are timed.
        profile_warmup_runs: Warm-up runs of each file with the runtime's profiler on.
        profile_runs: Runs with the profiler on that count.
        limit_s: Maximum seconds for one call.
    """

    transport: Transport
    runtime: str
    threads: int
    python: str = "python3"
    timing: Timing = _TIMING
    profile_warmup_runs: int = 5
    profile_runs: int = 25
    limit_s: float = 3600.0

    @property
    def suffix(self) -> str:
        """Suffix of the files that the runtime runs."""
        return _SUFFIXES[self.runtime]

    @property
    def times_operators(self) -> bool:
        """Whether the runtime can time each operator of a model."""
        return self.runtime == "onnxruntime"

    def version(self) -> str:
        """Return the version of the runtime on the board."""
        return str(self._about["version"])

    def fingerprint(self) -> str:
        """Return what identifies the board and its runtime: everything that latencies depend on."""
        return str(self._about["fingerprint"])

    def conditions(self) -> dict[str, Any]:
        """Return the conditions on the board that may change from one measurement to the next."""
        return dict(self._ask({"command": "info"}, _INFO_S)[0]["conditions"])

    def protocol(self) -> dict[str, Any]:
        """Return the settings of the timing, as plain values."""
        profiled = {"profiled_runs": self.profile_runs} if self.times_operators else {}
        return {**dataclasses.asdict(self.timing), **profiled}

    def with_effort(self, effort: float) -> AgentTimer:
        """Return a timer with about `effort` times the rounds and profiled runs."""
        runs = max(_LEAST_PROFILE_RUNS, round(self.profile_runs * effort))
        return dataclasses.replace(self, timing=self.timing.with_effort(effort), profile_runs=runs)

    def time(self, paths: Sequence[Path], *, seed: int) -> Timed:
        """Return the latency of each model file; all files are timed interleaved."""
        timing = self.timing.share()
        parts, disturbances = [], []
        for number in range(self.timing.processes):
            job = {"command": "time", "timing": dataclasses.asdict(timing), "seed": seed + number}
            *answers, end = self._ask_about(paths, job)
            parts.append([_make_rounds(answer) for answer in answers])
            disturbances.append(end["disturbance"] and Disturbance(**end["disturbance"], lost=None))
        models = join_processes(parts)
        worst = find_worst(disturbances)
        return Timed(
            stats=tuple(summarize(models, self.timing)),
            disturbance=worst and dataclasses.replace(worst, lost=compute_lost_share(models, self.timing)),
        )

    def operators(self, paths: Sequence[Path], *, seed: int) -> list[ModelProfile]:
        """Return the operator times of each ONNX file.

        Raises:
            InputError: The runtime does not tell them.
        """
        if not self.times_operators:
            msg = f"{self.transport.name}: {self.runtime} does not tell how long each operator of a model takes"
            raise InputError(msg)
        job = {"command": "operators", "runs": self.profile_warmup_runs + self.profile_runs, "seed": seed}
        profiles = [_profile(answer) for answer in self._ask_about(paths, job)[:-1]]
        return [
            dataclasses.replace(profile, times_us=profile.times_us[self.profile_warmup_runs :]) for profile in profiles
        ]

    @functools.cached_property
    def _files(self) -> RemoteFileCache:
        return RemoteFileCache(self.transport)

    @functools.cached_property
    def _program(self) -> str:
        paths = [Path(str(module.__file__)) for module in (machine_identity, processor_load, agent)]
        for path in paths:
            self.transport.send(path, f"{self.transport.folder}/{path.name}")
        return f"{self.transport.folder}/{paths[-1].name}"

    @functools.cached_property
    def _about(self) -> Mapping[str, Any]:
        return self._ask({"command": "info"}, _INFO_S)[0]

    def _ask_about(self, paths: Sequence[Path], job: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Let the agent do a job with model files, and return all its answers."""
        uploaded = self._files.upload(paths)
        return self._ask({**job, "paths": uploaded}, self.limit_s, dict(zip(uploaded, paths, strict=True)))

    def _ask(
        self, job: Mapping[str, Any], timeout_s: float, sources: Mapping[str, Path] | None = None
    ) -> list[dict[str, Any]]:
        """Let the agent do a job, and return all its answers.

        Args:
            job: The job.
            timeout_s: Seconds that it may take.
            sources: The file here of each file there, for messages.
        """
        stdin = json.dumps({**job, "runtime": self.runtime, "threads": self.threads}).encode()
        done = self.transport.run([self.python, self._program], timeout_s=timeout_s, stdin=stdin)
        if done.exit_code == _NO_COMMAND and find_failure(done.stderr, 0) is None:
            msg = f"{self.transport.name}: there is no {self.python}"
            raise MissingRuntimeError(msg, hint=f"on {self.transport.name}: sudo apt install python3 python3-pip")
        answers = _answers(done)
        last = answers[-1] if answers else {}
        if "error" in last:
            raise self._refused(last, sources or {})
        if not last.get("done"):
            raise self._broken(done)
        return answers

    def _refused(self, answer: Mapping[str, Any], sources: Mapping[str, Path]) -> NatdeployError:
        message = answer["message"]
        if answer["error"] == agent.NO_PACKAGE:
            package, machine = _INSTALL[answer["package"]], answer.get("machine", "")
            broken = find_failure(message, 0)
            told = broken or message
            hint = broken.hint if broken else f"on {self.transport.name}: {self.python} -m pip install {package}"
            if package in _ONLY_64_BIT and machine in _32_BIT and not broken:
                told = f"{message}; there is no {package} for its 32-bit system ({machine})"
                hint = "install a 64-bit system on it; or, for --runtime litert, install tflite-runtime there"
            return MissingRuntimeError(f"{self.transport.name}: {package} cannot be used there: {told}", hint=hint)
        if answer["error"] == agent.NO_SPACE:
            return self.transport.make_write_error(message, "the results of a measurement")
        if answer["error"] == agent.NO_GPU:
            return NoOutputsError(f"{self.transport.name}: {message}", hint=answer["hint"])
        there, source = answer["path"], sources[answer["path"]]
        reason = message.replace(there, str(source))
        return InputError(f"{source}: not a model that {self.runtime} on {self.transport.name} takes: {reason}")

    def _broken(self, done: Finished) -> NatdeployError:
        if "future feature annotations" in done.stderr:
            msg = f"{self.transport.name}: its {self.python} is too old"
            return MissingRuntimeError(msg, hint="Python 3.8 or newer is needed; name it as `python` in devices.toml")
        failure = make_failure_error(
            f"{self.transport.name}, the measurement by {self.python}",
            done.stderr,
            done.exit_code,
            program=self.python,
            otherwise=DeviceUnreachableError,
        )
        return failure or DeviceUnreachableError(f"{self.transport.name}: the measurement ended without a result")


def _answers(done: Finished) -> list[dict[str, Any]]:
    """Return the answers; a line that is cut short is no answer."""
    lines = done.stdout.split("\n")[:-1]
    return [json.loads(line) for line in lines if line.startswith("{")]


def _make_rounds(answer: Mapping[str, Any]) -> Rounds:
    return Rounds([np.array(times) for times in answer["rounds"]], answer["lost"])


def _profile(answer: Mapping[str, Any]) -> ModelProfile:
    onnx = importlib.import_module("onnx")
    graph = onnx.load_model_from_string(zlib.decompress(base64.b64decode(answer["graph"]))).graph
    return read_profile(graph.node, answer["events"])
