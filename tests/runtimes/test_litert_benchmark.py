"""litert-benchmark: its arguments and the results that it writes."""

from __future__ import annotations

import json
import re

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.litert_benchmark import arguments, read_result
from natdeploy.runtimes.tool_output import RunStats, latency_stats
from tests.support.tool_outputs import LITERT_RESULT, sample

RESULT, PRINTED = "litert_benchmark_2.3.0.result.json", "litert_benchmark_2.3.0.stdout.txt"
LOG = "litert_benchmark_2.3.0.stderr_head.txt"


def test_everything_is_set():
    """Threads, warm-up, runs, and where the result goes."""
    assert arguments("m.tflite", threads=2, warmup_runs=5, runs=30, result="r.json") == [
        "--model=m.tflite",
        "--num_threads=2",
        "--warmup_runs=5",
        "--num_runs=30",
        "--result_json=r.json",
    ]
    with pytest.raises(InputError, match="warmup_runs is 0"):
        arguments("m.tflite", threads=1, warmup_runs=0, runs=1, result="r.json")


def test_a_real_result_is_read():
    """50 runs on the CPU, median 0.40 ms."""
    result = read_result(sample(RESULT))
    assert result.stats == RunStats(
        runs=50, mean_ms=0.64, std_ms=0.98, min_ms=0.39, max_ms=4.5, p5_ms=0.39, median_ms=0.4, p95_ms=2.64
    )
    assert (result.init_ms, result.threads, result.accelerators, result.fully_accelerated) == (7.93, 1, ("CPU",), True)
    assert latency_stats([result.stats]).median_ms == 0.4


def test_the_result_is_what_the_program_prints():
    """Its output for people has the same figures."""
    stats = read_result(sample(RESULT)).stats
    printed = dict(re.findall(r"Inference \((\w+)\): +([0-9.]+) ms", sample(PRINTED)))
    assert {name: float(value) for name, value in printed.items()} == {
        "avg": stats.mean_ms,
        "min": stats.min_ms,
        "max": stats.max_ms,
        "median": stats.median_ms,
        "std": stats.std_ms,
        "p5": stats.p5_ms,
        "p95": stats.p95_ms,
    }


@pytest.mark.parametrize("name", [PRINTED, LOG])
def test_its_other_outputs_are_no_result(name):
    """What it prints, and what it logs."""
    with pytest.raises(InputError, match="not valid JSON"):
        read_result(sample(name))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"median_ms": 1.2', '"median_ms": 0', "times of 1, 1.05, 0, 1.9, 2.5 ms"),
        ('"median_ms": 1.2', '"median_ms": 2.2', "increase from the fastest"),
        ('"median_ms": 1.2', '"median": 1.2', "latency: median_ms is missing"),
        ('"median_ms": 1.2', '"median_ms": "1.2"', "median_ms is '1.2', not a number"),
        ('"median_ms": 1.2', '"median_ms": NaN', "NaN is not a number of JSON"),
        ('"avg_ms": 1.25', '"avg_ms": 9', "times of 1, 9, 2.5 ms"),
        ('"num_runs": 50', '"num_runs": 0', "0 runs"),
        ('"latency"', '"times"', "no object 'latency'"),
        ('"fully_accelerated": true', '"fully_accelerated": "yes"', "fully_accelerated is missing or of another type"),
    ],
)
def test_damaged_results_are_refused(old, new, message):
    """Zeros, contradictions, other keys and other types."""
    with pytest.raises(InputError, match=message):
        read_result(LITERT_RESULT.replace(old, new))


def test_a_result_that_is_no_object_is_refused():
    """JSON of another kind."""
    for document in ([], 3, "x", None):
        with pytest.raises(InputError, match="no object 'latency'"):
            read_result(json.dumps(document))
