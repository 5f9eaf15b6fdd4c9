"""benchmark_model: its arguments and the times that it prints."""

from __future__ import annotations

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.benchmark_model import BenchmarkRun, make_timing_arguments, read_stats
from natdeploy.runtimes.tool_output import RunStats, combine_runs
from tests.support.tool_outputs import TIMED, sample

ANDROID, GPU = "tflite_benchmark_model_android_logcat_2026.txt", "tflite_benchmark_model_gpu_2023.txt"
LINUX = "tflite_benchmark_model_linux_x86_2024_op_profiling.txt"


def test_everything_that_changes_the_time_is_set():
    """Defaults differ between builds."""
    run = BenchmarkRun(threads=2, warmup_runs=5, warmup_min_s=0.25, runs=20, min_s=2, max_s=60, xnnpack=False)
    assert make_timing_arguments("/data/local/tmp/m.tflite", run) == [
        "--graph=/data/local/tmp/m.tflite",
        "--num_threads=2",
        "--warmup_runs=5",
        "--warmup_min_secs=0.25",
        "--num_runs=20",
        "--min_secs=2",
        "--max_secs=60",
        "--use_xnnpack=false",
        "--enable_op_profiling=false",
    ]


@pytest.mark.parametrize("change", [{"threads": 0}, {"warmup_runs": 0}, {"runs": 0}, {"min_s": 200.0}, {"min_s": -1.0}])
def test_impossible_runs_are_refused(change):
    """No threads, no runs, or an end before the beginning."""
    with pytest.raises(InputError):
        BenchmarkRun(**change)


def test_statistics_are_read():
    """Statistics of a constructed output."""
    stats = read_stats(TIMED)
    assert stats == RunStats(
        runs=50, mean_ms=2.0205, std_ms=0.08, min_ms=1.9, max_ms=2.6, p5_ms=1.95, median_ms=2.0, p95_ms=2.2
    )


def test_the_log_of_a_phone_is_read():
    """Lines of logcat, with percentiles."""
    stats = read_stats(sample(ANDROID))
    assert stats == RunStats(
        runs=25,
        mean_ms=145.528,
        std_ms=13.583,
        min_ms=140.071,
        max_ms=195.121,
        p5_ms=140.545,
        median_ms=141.253,
        p95_ms=187.533,
    )


def test_the_output_of_a_gpu_is_read():
    """It has averages alone, no percentiles."""
    stats = read_stats(sample(GPU))
    assert (stats.runs, stats.mean_ms, stats.median_ms) == (1694, 35.1349, None)
    assert stats.typical_ms == 35.1349


def test_an_output_with_operators_is_read_too():
    """The tables have lines of statistics of their own."""
    stats = read_stats(sample(LINUX))
    assert (stats.runs, stats.mean_ms, stats.std_ms) == (64, 15.5176, 0.551)


def test_old_layouts_are_read():
    """Constructed: the timings of very old builds, and a single run without spread."""
    text = (
        "Replacing 8 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.\n"
        "count=1 curr=90000\ncount=1 curr=1.25e+06\n"
        "Average inference timings in us: Warmup: 90000, Init: 38467, Inference: 1.25e+06\n"
    )
    stats = read_stats(text)
    assert stats == RunStats(runs=1, mean_ms=1250, std_ms=0, min_ms=1250, max_ms=1250)


def test_several_calls_become_one_latency():
    """The median of their medians, or of their means where there are no medians."""
    calls = [RunStats(runs=10, mean_ms=value, std_ms=0.5, min_ms=1, max_ms=90) for value in (10, 11, 12, 13, 60)]
    stats = combine_runs(calls)
    assert (stats.median_ms, stats.runs, stats.std_ms) == (12, 50, 0.5)
    assert stats.p10_ms == pytest.approx(10.4)
    with pytest.raises(InputError, match="nothing was measured"):
        combine_runs([])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "Inference (avg): 2020.5",
            "Inference (avg): 202",
            "line 5: the average is 2020.5 us, but the timings say 202",
        ),
        ("Inference (avg): 2020.5", "Inference (avg): ", "line of timings is cut short or in an unknown format"),
        ("Warmup (avg)", "Warm-up (mean)", "timings is cut short or in an unknown format"),
        ("min=1900", "min=0", "line 5: the times are 0, 1.95, 2, 2.2, 2.6 ms: they must be positive"),
        ("median=2000", "median=2700", "increase from the fastest to the slowest"),
        ("avg=2020.5", "avg=nan", "line 5: not a line of statistics"),
        ("avg=2020.5", "mean=2020.5", "line 5: not a line of statistics"),
        ("std=80", "std=", "line 5: not a line of statistics"),
        ("count=50", "count=0", "0 runs"),
        ("INFO: count=10", "INFO: runs=10", "one for the runs, found 1"),
        ("Inference timings", "Inference figures", "did not finish"),
        ("INFO: Initialized", "WARN: Unconsumed cmdline flags: --use_xnnpack=true\nINFO: ", "ignored options.*xnnpack"),
    ],
)
def test_damaged_outputs_are_refused(old, new, message):
    """Other layouts, zeros, contradictions and options that were ignored."""
    with pytest.raises(InputError, match=message):
        read_stats(TIMED.replace(old, new))


def test_the_output_of_two_calls_is_refused():
    """A device's log keeps earlier ones."""
    with pytest.raises(InputError, match="line 15: this text holds the output of more than one call"):
        read_stats(TIMED + TIMED)


@pytest.mark.parametrize(
    "line", ["ERROR: Could not open 'm.tflite'.", "sh: ./benchmark_model: not found", "INFO: Benchmarking failed."]
)
def test_a_failure_is_told_with_its_own_words(line):
    """The program says why."""
    with pytest.raises(InputError, match="benchmark_model failed: ") as caught:
        read_stats(f"INFO: STARTING!\n{line}\n")
    assert line.removeprefix("ERROR: ").removeprefix("INFO: ") in caught.value.message


@pytest.mark.parametrize("name", [None, ANDROID, GPU, LINUX])
def test_an_output_cut_anywhere_is_refused_or_has_the_whole_figure(name):
    """Wherever it ends, it is refused, unless the closing line is there."""
    text = TIMED if name is None else sample(name)
    whole = read_stats(text)
    for end in range(min(len(text), 3000)):
        try:
            found = read_stats(text[:end])
        except InputError:
            continue
        assert found == whole
