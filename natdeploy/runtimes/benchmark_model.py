"""Arguments and output of TFLite's `benchmark_model`, as printed on Linux, on Android or in a device's log."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from natdeploy.errors import InputError, MissingRuntimeError, NatdeployError
from natdeploy.runtimes.program_failure import find_failure, make_failure_error
from natdeploy.runtimes.tool_output import NUMBER, RunStats

_PREFIX = re.compile(
    r"^(?:[0-9]{2}-[0-9]{2} [0-9:.]{12} +[0-9]+ +[0-9]+ [VDIWEF] \S+ *: ?|(?:VERBOSE|INFO|WARN|WARNING|ERROR): )"
)
_COUNT = re.compile(rf"count=([0-9]{{1,9}})((?: (?:first|curr|min|max|avg|std|p5|median|p95)={NUMBER})*)")
_FIGURE = re.compile(rf"(\w+)=({NUMBER})")
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: ({NUMBER}), First inference: ({NUMBER}), "
    rf"Warmup \(avg\): ({NUMBER}), Inference \(avg\): ({NUMBER})"
)
_OLD_TIMINGS = re.compile(
    rf"Average inference timings in us: Warmup: ({NUMBER}), Init: ({NUMBER}), Inference: ({NUMBER})"
)
_TIMINGS_START = re.compile(r"(?:Average i|I)nference timings in us:")
_OF_2018 = re.compile(r"\bno stats: ")
_IGNORED = re.compile(r"Unconsumed cmdline flags: *(\S.*)")
_FAILED = re.compile(r"(?i)^(?:error\b|failed\b|could not\b|benchmarking failed|.*: not found$|.*no such file)")
_SAME = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkRun:
    """How a model is run. Every option that affects the time is set explicitly.

    Args:
        threads: Number of threads.
        warmup_runs: Minimum number of warm-up runs, which do not count.
        warmup_min_s: Minimum seconds of warm-up.
        runs: Minimum number of runs that count.
        min_s: Minimum seconds of runs that count.
        max_s: Seconds after which the program stops in any case.
        xnnpack: Whether the XNNPACK delegate runs the operators that it supports.

    Raises:
        InputError: A number is too small, or the seconds contradict each other.
    """

    threads: int = 1
    warmup_runs: int = 10
    warmup_min_s: float = 0.5
    runs: int = 50
    min_s: float = 1.0
    max_s: float = 150.0
    xnnpack: bool = True

    def __post_init__(self) -> None:
        for name in ("threads", "warmup_runs", "runs"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}: it must be at least 1"
                raise InputError(msg)
        if not (self.warmup_min_s >= 0 and 0 <= self.min_s <= self.max_s):
            span = f"warm-up of {self.warmup_min_s:g} s, then {self.min_s:g} to {self.max_s:g} s"
            msg = f"{span}: no time may be negative, and min_s must not exceed max_s"
            raise InputError(msg)


def make_timing_arguments(graph: str, run: BenchmarkRun) -> list[str]:
    """Return the arguments that time the model file `graph`, without a profiler."""
    return [
        f"--graph={graph}",
        f"--num_threads={run.threads}",
        f"--warmup_runs={run.warmup_runs}",
        f"--warmup_min_secs={run.warmup_min_s:g}",
        f"--num_runs={run.runs}",
        f"--min_secs={run.min_s:g}",
        f"--max_secs={run.max_s:g}",
        f"--use_xnnpack={str(run.xnnpack).lower()}",
        "--enable_op_profiling=false",
    ]


def read_stats(
    text: str, *, source: str = "benchmark_model", exit_code: int = 0, program: str = "benchmark_model"
) -> RunStats:
    """Read the statistics of the runs from what one call of benchmark_model printed.

    Args:
        text: Stdout and stderr of the program, or its lines in an Android device's log.
        source: Name of the text, for messages.
        exit_code: Exit code of the program.
        program: Path of the program on the device, for hints.

    Raises:
        MissingRuntimeError: The program cannot run on the device, or is too old for the model.
        InputError: The program failed, did not finish or ignored an option. Or the text holds the output of several
            calls, or contradictory figures.
    """
    lines = [_PREFIX.sub("", line) for line in text.splitlines()]
    _refuse_ignored(lines, source)
    closing = [place for place, line in enumerate(lines) if _TIMINGS_START.match(line)]
    if not closing:
        raise _make_no_result_error(lines, source, exit_code, program)
    if len(closing) > 1:
        msg = f"{source}, line {closing[1] + 1}: this text holds the output of more than one call"
        raise InputError(msg, hint="clear the device's log before the call, or use the program's own output")
    mean_us = _read_mean_us(lines[closing[0]], f"{source}, line {closing[0] + 1}")
    return _read_run_stats(lines[: closing[0]], mean_us, source)


def _refuse_ignored(lines: Sequence[str], source: str) -> None:
    for number, line in enumerate(lines, start=1):
        if ignored := _IGNORED.match(line):
            msg = f"{source}, line {number}: this build of benchmark_model ignored options: {ignored[1]}"
            raise InputError(msg, hint="use a newer benchmark_model")


def _make_no_result_error(lines: Sequence[str], source: str, exit_code: int, program: str) -> NatdeployError:
    text = "\n".join(lines)
    told = next((line.strip() for line in lines if _FAILED.match(line.strip())), None)
    if told and find_failure(text, exit_code) is None:
        return InputError(f"{source}: benchmark_model failed: {told}")
    failure = make_failure_error(source, text, exit_code, program=program, otherwise=InputError)
    if failure is not None:
        return failure
    msg = f"{source}: there is no line 'Inference timings in us: ..': benchmark_model did not finish"
    return InputError(msg, hint="check that the output is complete and that the program was not killed")


def _read_mean_us(line: str, place: str) -> float:
    """Return the mean of the runs, which is the last figure on the line of timings."""
    if _OF_2018.search(line):
        msg = f"{place}: this benchmark_model is of 2018: it passes over options that it does not know, without a word"
        raise MissingRuntimeError(msg, hint="use a newer benchmark_model")
    found = _TIMINGS.fullmatch(line.strip()) or _OLD_TIMINGS.fullmatch(line.strip())
    if found is None:
        msg = f"{place}: the line of timings is cut short or in an unknown format: {line.strip()[:200]!r}"
        raise InputError(msg)
    return float(found.groups()[-1])


def _read_run_stats(lines: Sequence[str], mean_us: float, source: str) -> RunStats:
    """Return the statistics of the runs. They are on the second line of statistics; the first is of the warm-up."""
    counted = [(number, line) for number, line in enumerate(lines, start=1) if line.startswith("count=")]
    if len(counted) != 2:
        msg = f"{source}: expected a line of statistics for the warm-up and one for the runs, found {len(counted)}"
        raise InputError(msg)
    number, line = counted[1]
    stats = _read_stats_line(line, f"{source}, line {number}")
    if abs(stats.mean_ms * 1e3 - mean_us) > _SAME * mean_us:
        msg = f"{source}, line {number}: the average is {stats.mean_ms * 1e3:g} us, but the timings say {mean_us:g} us"
        raise InputError(msg)
    return stats


def _read_stats_line(line: str, place: str) -> RunStats:
    """Read a line of statistics in microseconds: `count=25 first=.. curr=.. min=.. max=.. avg=.. std=..`."""
    found = _COUNT.fullmatch(line.strip())
    figures = {name: float(value) / 1e3 for name, value in _FIGURE.findall(found[2])} if found else {}
    if found and set(figures) == {"curr"} and found[1] == "1":
        figures |= dict.fromkeys(("min", "max", "avg"), figures["curr"]) | {"std": 0.0}
    if found is None or not {"min", "max", "avg", "std"} <= set(figures):
        msg = f"{place}: not a line of statistics with min, max, avg and std: {line.strip()[:120]!r}"
        raise InputError(msg)
    try:
        return RunStats(
            runs=int(found[1]),
            mean_ms=figures["avg"],
            std_ms=figures["std"] if int(found[1]) > 1 else 0.0,
            min_ms=figures["min"],
            max_ms=figures["max"],
            p5_ms=figures.get("p5"),
            median_ms=figures.get("median"),
            p95_ms=figures.get("p95"),
        )
    except InputError as error:
        msg = f"{place}: {error.message}"
        raise InputError(msg) from error
