"""The program that measures models on a device: machine facts, timing rounds and runtime sessions.

natdeploy runs it in a process of its own, on this machine and on boards, where it needs Python 3.8 or newer, numpy and
the runtime. It is sent with `machine_identity.py` and `processor_load.py`, which lie beside it. It reads a job as JSON
from stdin. It prints one line of JSON for each result and one at the end. The commands are:

- `info`: version of the runtime, fingerprint and conditions of the machine;
- `time`: for each model file in `paths` the times in seconds, one list per round, and how much of each round was lost;
- `operators`: for each ONNX file, the events of the runtime's profiler and the graph that it ran.
"""

from __future__ import annotations

import base64
import contextlib
import faulthandler
import functools
import gc
import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import types
import zlib
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence

if __package__:
    from natdeploy.runtimes import machine_identity, processor_load
else:  # on a device the files lie side by side
    import machine_identity  # type: ignore[import-not-found,no-redef]
    import processor_load  # type: ignore[import-not-found,no-redef]

NO_PACKAGE, NO_MODEL, NO_SPACE, NO_GPU = "missing-package", "bad-model", "no-space", "no-gpu"
LITERT_PACKAGES = ("ai_edge_litert", "tflite_runtime")
KERNEL_SUFFIX = "_kernel_time"
_CPU = Path("/sys/devices/system/cpu/cpu0/cpufreq")
_THERMAL = Path("/sys/class/thermal")
_MOST_WARMUP_RUNS = 1000
_FATAL = 4
_IMAGE_TYPES = ("tensor(float)", "float32", "int8")
# How models are timed. A change here makes tables of earlier ways count as those of another machine.
_WAY = "own process, waiting threads sleep"
_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

if __name__ == "__main__":
    faulthandler.enable()  # a crash tells which package it was in
    # numpy and ONNX Runtime, which then sends no telemetry, read them when they are imported.
    os.environ.update(_WAITING, ORT_DISABLE_TELEMETRY="1")

try:
    import numpy as np
except ImportError as error:
    if __name__ != "__main__":
        raise
    told = {"error": NO_PACKAGE, "package": "numpy", "message": str(error), "machine": platform.machine()}
    print(json.dumps(told))  # noqa: T201
    sys.exit(0)

Call = Callable[[], object]


def read_conditions() -> dict[str, Any]:
    """Return the conditions that may change between measurements, as far as this machine reports them.

    They are governor and clock of the first core, and the temperature of the hottest zone.
    """
    found: dict[str, Any] = {
        "chip": machine_identity.read_chip(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
    }
    governor = _read(_CPU / "scaling_governor").strip()
    clock_khz = _read(_CPU / "scaling_cur_freq").strip()
    if governor:
        found["governor"] = governor
    if clock_khz.isdigit():
        found["clock_mhz"] = int(clock_khz) // 1000
    zones = [_read(zone).strip() for zone in _THERMAL.glob("thermal_zone*/temp")]
    temperatures = [int(zone) / 1000 for zone in zones if zone.isdigit()]
    if temperatures:
        found["temperature_c"] = max(temperatures)
    return found


def make_fingerprint(runtime_version: str) -> str:
    """Return what identifies latencies of this machine: processor, cores, system, serial number, runtime, timing."""
    parts = [machine_identity.read_chip(), f"{os.cpu_count()} cores", f"{platform.system()} {platform.machine()}"]
    serial = machine_identity.read_serial()
    if serial:
        parts.append(f"serial {serial}")
    pinned = ", pinned" if hasattr(os, "sched_setaffinity") else ""
    return "; ".join([*parts, f"runtime {runtime_version}", f"timed in its {_WAY}{pinned}"])


class Rounds(NamedTuple):
    """The rounds of a call.

    Args:
        times_s: Times of the counted runs, one array per round.
        lost: Share of each round that its median run may have lost to other processes and to the hypervisor; None where
            not known.
    """

    times_s: list[np.ndarray[Any, np.dtype[np.float64]]]
    lost: list[float | None]


def interleave(
    calls: Sequence[Call],
    *,
    seconds: Callable[[], float],
    rng: Any,
    timing: Any,
    watch: processor_load.ProcessorWatch | None = None,
) -> list[Rounds]:
    """Time `calls` in rounds of shuffled order, with the garbage collector off.

    In each round a call first runs for a while without being counted, because the caches still hold data of the other
    calls. What is counted are runs back to back, as in a program that runs one network in a loop. A call gets further
    rounds until enough of them were quiet, up to a largest number.

    Args:
        calls: Calls to time.
        seconds: Monotonic clock.
        rng: numpy random generator.
        timing: Has the fields of `natdeploy.profilers.timing.Timing`.
        watch: Tells what a round lost to other processes; None where that is not known.
    """
    found = [Rounds([], []) for _ in calls]
    with disable_garbage_collector():
        runs_s = [_warm_up(call, seconds, timing) for call in calls]
        for number in range(max(timing.rounds, timing.max_rounds)):
            due = [
                place for place in range(len(calls)) if number < timing.rounds or not is_settled(found[place], timing)
            ]
            for place in rng.permutation(due).astype(int):
                for _ in range(count_settling_runs(timing, runs_s[place])):
                    calls[place]()
                before = watch.read() if watch else None
                times = _time_runs(calls[place], count_runs_per_round(timing, runs_s[place]), seconds)
                lost_s = processor_load.compute_lost_s(before, watch.read(), times.size) if watch else None
                found[place].times_s.append(times)
                found[place].lost.append(None if lost_s is None else min(lost_s / max(float(times.sum()), 1e-9), 1.0))
    return found


def is_settled(rounds: Rounds, timing: Any) -> bool:
    """Tell whether enough rounds of a call were quiet, and whether the fastest of these agree."""
    quiet = [times for place, times in enumerate(rounds.times_s) if (rounds.lost[place] or 0.0) <= timing.quiet_lost]
    fastest = sorted(float(np.median(times)) for times in quiet)[: timing.quiet_rounds]
    enough = len(fastest) == min(timing.quiet_rounds, len(rounds.times_s))
    return enough and bool(fastest[-1] <= fastest[0] * (1 + timing.tolerance))


def count_settling_runs(timing: Any, run_s: float) -> int:
    """Return the number of runs that are not counted at the beginning of a round, if one takes `run_s` seconds."""
    needed = int(np.ceil(timing.settle_s / run_s)) if run_s > 0 else timing.max_runs
    return int(min(max(needed, 1), timing.max_runs))


def count_runs_per_round(timing: Any, run_s: float) -> int:
    """Return the number of runs in a round if one run takes `run_s` seconds."""
    fitting = int(timing.round_s / run_s) if run_s > 0 else timing.max_runs
    return int(min(max(fitting, timing.min_runs), timing.max_runs))


@contextlib.contextmanager
def disable_garbage_collector() -> Iterator[None]:
    """Keep the garbage collector off inside the block."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def make_onnx_options(package: Any, threads: int) -> Any:
    """Return ONNX Runtime's session options: `threads` threads that do not spin, one operator at a time."""
    options = package.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = package.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = package.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def make_onnx_call(package: Any, session: Any, image: Any) -> Call:
    """Return a call that runs an ONNX session once, with as little overhead as possible."""
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    binding = session.io_binding()
    binding.bind_ortvalue_input(name, package.OrtValue.ortvalue_from_numpy(image))
    result = session.run([output], {name: image})[0]
    binding.bind_ortvalue_output(output, package.OrtValue.ortvalue_from_numpy(result))
    return functools.partial(session.run_with_iobinding, binding)


def find_onnx_errors(package: Any) -> tuple[type[Exception], ...]:
    """Return the error classes of ONNX Runtime, which have no common base class."""
    state = importlib.import_module(f"{package.__name__}.capi.onnxruntime_pybind11_state")
    return tuple(item for item in vars(state).values() if isinstance(item, type) and issubclass(item, Exception))


def _warm_up(call: Call, seconds: Callable[[], float], timing: Any) -> float:
    times: list[float] = []
    while len(times) < timing.warmup_runs or (sum(times) < timing.warmup_s and len(times) < _MOST_WARMUP_RUNS):
        times.append(float(_time_runs(call, 1, seconds)[0]))
    return float(np.median(times))


def _time_runs(call: Call, runs: int, seconds: Callable[[], float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    times = np.empty(runs)
    for index in range(runs):
        start = seconds()
        call()
        times[index] = seconds() - start
    return times


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


class _Refused(Exception):  # noqa: N818
    """The job cannot be done. The first argument is the answer to print."""


class _Onnx:
    """ONNX Runtime on this machine."""

    def __init__(self, threads: int) -> None:
        self._package = _import("onnxruntime")
        self._threads = threads

    def get_version(self) -> str:
        return str(self._package.__version__)

    def make_call(self, path: str, seed: int) -> Call:
        session = self._open(path, make_onnx_options(self._package, self._threads))
        inputs, outputs = session.get_inputs(), session.get_outputs()
        _require_image_model(path, [item.shape for item in inputs], [item.type for item in inputs], len(outputs))
        return make_onnx_call(self._package, session, _make_noise(inputs[0].shape, seed))

    def profile_operators(self, path: str, seed: int, runs: int) -> dict[str, Any]:
        options = make_onnx_options(self._package, self._threads)
        folder = Path(tempfile.mkdtemp(dir=os.getcwd()))  # noqa: PTH109
        try:
            graph = folder / "optimized.onnx"
            options.enable_profiling = True
            options.profile_file_prefix = str(folder / "profile")
            options.optimized_model_filepath = str(graph)
            # natdeploy does not need the weights. Versions that cannot leave them out ignore these entries.
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
            options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "256")
            session = self._open(path, options)
            feed = {session.get_inputs()[0].name: _make_noise(session.get_inputs()[0].shape, seed)}
            for _ in range(runs):
                session.run(None, feed)
            events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
            return {
                "events": [_keep_needed_keys(event) for event in events if _is_kernel(event)],
                "graph": _pack(graph),
            }
        finally:
            shutil.rmtree(str(folder), ignore_errors=True)

    def _open(self, path: str, options: Any) -> Any:
        try:
            return self._package.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except find_onnx_errors(self._package) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rpartition(" failed:")[2].strip()
            raise _refuse_model(path, reason) from error


def _refuse_model(path: str, reason: str) -> _Refused:
    return _Refused({"error": NO_MODEL, "path": path, "message": reason})


def _require_image_model(path: str, shapes: Sequence[Any], kinds: Sequence[str], outputs: int) -> None:
    """Check that a model has one input, a batch of square images with 3 channels, and one output."""
    if len(shapes) != 1 or outputs != 1 or kinds[0] not in _IMAGE_TYPES:
        found = f"it has inputs {', '.join(kinds) or 'none'} and {outputs} outputs"
        raise _refuse_model(path, f"the model must have one image input and one output; {found}")
    sizes = [int(size) if isinstance(size, (int, np.integer)) and size > 0 else None for size in shapes[0]]
    first, last = (sizes[1:], [sizes[3], sizes[1], sizes[2]]) if len(sizes) == 4 else ([0, 0, 0], [0, 0, 0])
    if not any(channels == 3 and height is not None and height == width for channels, height, width in (first, last)):
        wanted = "a batch of square images with 3 channels and a fixed size"
        raise _refuse_model(path, f"its input has shape {list(shapes[0])}; it must be {wanted}")


class _Litert:
    """LiteRT's interpreter on this machine."""

    def __init__(self, threads: int) -> None:
        self._package = _import(*LITERT_PACKAGES, part="interpreter")
        self._threads = threads

    def get_version(self) -> str:
        name = str(self._package.__name__).partition(".")[0]
        metadata = _import("importlib.metadata")
        return str(metadata.version(name.replace("_", "-")))

    def make_call(self, path: str, seed: int) -> Call:
        try:
            interpreter = self._package.Interpreter(model_path=path, num_threads=self._threads)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _refuse_model(path, str(error)) from error
        except SystemError as error:  # tflite-runtime, built for numpy 1, fails like this under numpy 2
            message = f"{self._package.__name__} does not run with numpy {np.__version__}"
            raise _Refused({"error": NO_PACKAGE, "package": "ai_edge_litert", "message": message}) from error
        inputs = interpreter.get_input_details()
        kinds = [np.dtype(item["dtype"]).name for item in inputs]
        _require_image_model(path, [item["shape"] for item in inputs], kinds, len(interpreter.get_output_details()))
        details = inputs[0]
        interpreter.set_tensor(details["index"], _make_noise(details["shape"], seed).astype(details["dtype"]))
        invoke: Call = interpreter.invoke
        return invoke


class _Tensorrt:
    """Engines of TensorRT's Python package, run by natdeploy's own runtime: this machine alone has both."""

    def __init__(self, _: int) -> None:
        self._errors = _import("natdeploy.errors")
        self._runtime = _import("natdeploy.runtimes.tensorrt").TensorrtRuntime()

    def get_version(self) -> str:
        try:
            return str(self._runtime.version())
        except self._errors.MissingRuntimeError as error:
            raise _Refused({"error": NO_PACKAGE, "package": "tensorrt", "message": error.message}) from error

    def make_call(self, path: str, seed: int) -> Call:
        self.get_version()
        try:
            session = self._runtime.open(Path(path), threads=1)
            size = session.input_size
            call: Call = session.prepare(_make_noise([1, 3, size, size], seed))
        except self._errors.InputError as error:
            raise _refuse_model(path, error.message) from error
        except self._errors.NoOutputsError as error:
            raise _Refused({"error": NO_GPU, "message": error.message, "hint": error.hint}) from error
        return call


_RUNTIMES: dict[str, Any] = {"onnxruntime": _Onnx, "litert": _Litert, "tensorrt": _Tensorrt}


def _run_job(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the results of a job one by one; the last one holds what the job as a whole has found."""
    runtime = _RUNTIMES[job["runtime"]](job["threads"])
    if job["command"] == "info":
        version = runtime.get_version()
        yield {"version": version, "fingerprint": make_fingerprint(version), "conditions": read_conditions()}
        yield {"done": True}
        return
    cores = processor_load.choose_cores(job["threads"])
    processor_load.keep_on(cores)
    if job["command"] == "operators":
        for path in job["paths"]:
            yield runtime.profile_operators(path, job["seed"], job["runs"])
        yield {"done": True}
    else:
        yield from _time(runtime, job, processor_load.ProcessorWatch(cores))


def _time(runtime: Any, job: dict[str, Any], watch: processor_load.ProcessorWatch) -> Iterator[dict[str, Any]]:
    calls = [runtime.make_call(path, job["seed"]) for path in job["paths"]]
    timing = types.SimpleNamespace(**job["timing"])
    rng = np.random.default_rng(job["seed"])
    before = watch.read()
    timed = interleave(calls, seconds=time.perf_counter, rng=rng, timing=timing, watch=watch)
    after = watch.read()
    for rounds in timed:
        yield {"rounds": [times.tolist() for times in rounds.times_s], "lost": rounds.lost}
    yield {"done": True, "cores": watch.cores, "disturbance": watch.compute_disturbance(before, after)}


def _answer_job(job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        yield from _run_job(job)
    except _Refused as refused:
        yield refused.args[0]
    except OSError as error:
        yield {"error": NO_SPACE, "message": str(error)}


def _import(*names: str, part: str = "") -> Any:
    errors = []
    for name in names:
        try:
            return importlib.import_module(f"{name}.{part}" if part else name)
        except ImportError as error:
            errors.append(str(error))
    message = "; ".join(errors)
    raise _Refused({"error": NO_PACKAGE, "package": names[0], "message": message, "machine": platform.machine()})


def _make_noise(shape: Sequence[Any], seed: int) -> Any:
    sizes = [int(size) if isinstance(size, (int, np.integer)) and size > 0 else 1 for size in shape]
    return np.random.default_rng(seed).standard_normal(sizes).astype(np.float32)


def _is_kernel(event: dict[str, Any]) -> bool:
    return bool(event["cat"] == "Node" and event["name"].endswith(KERNEL_SUFFIX))


def _keep_needed_keys(event: dict[str, Any]) -> dict[str, Any]:
    return {key: event[key] for key in ("cat", "name", "dur")}


def _pack(path: Path) -> str:
    return base64.b64encode(zlib.compress(path.read_bytes())).decode()


def main() -> None:
    """Do the job given on stdin. Output of libraries goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for answer in _answer_job(json.load(sys.stdin)):
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
