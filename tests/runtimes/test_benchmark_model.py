"""benchmark_model: its arguments and the times that it prints."""

from __future__ import annotations

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.benchmark_model import (
    BenchmarkRun,
    Delegation,
    profiling_arguments,
    read_report,
    timing_arguments,
)
from natdeploy.runtimes.tool_output import RunStats, latency_stats
from tests.support.tool_outputs import TIMED, sample

ANDROID, GPU = "tflite_benchmark_model_android_logcat_2026.txt", "tflite_benchmark_model_gpu_2023.txt"
LINUX = "tflite_benchmark_model_linux_x86_2024_op_profiling.txt"


def test_everything_that_changes_the_time_is_set():
    """Defaults differ between builds."""
    run = BenchmarkRun(threads=2, warmup_runs=5, warmup_min_s=0.25, runs=20, min_s=2, max_s=60, xnnpack=False)
    assert timing_arguments("/data/local/tmp/m.tflite", run) == [
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


def test_operators_are_timed_in_a_pass_of_their_own():
    """The same run with the profiler on, with room for every operator, into a file if wanted."""
    arguments = profiling_arguments("m.tflite", BenchmarkRun(), csv="ops.csv")
    assert arguments[:-4] == timing_arguments("m.tflite", BenchmarkRun())[:-2]
    assert arguments[-4:] == [
        "--use_xnnpack=true",
        "--enable_op_profiling=true",
        "--max_profiling_buffer_entries=4096",
        "--profiling_output_csv_file=ops.csv",
    ]
    assert len(profiling_arguments("m.tflite", BenchmarkRun())) == len(arguments) - 1


@pytest.mark.parametrize("change", [{"threads": 0}, {"warmup_runs": 0}, {"runs": 0}, {"min_s": 200.0}, {"min_s": -1.0}])
def test_impossible_runs_are_refused(change):
    """No threads, no runs, or an end before the beginning."""
    with pytest.raises(InputError):
        BenchmarkRun(**change)


def test_a_report_is_read():
    """Statistics, delegation and memory of a constructed output."""
    report = read_report(TIMED)
    assert report.stats == RunStats(
        runs=50, mean_ms=2.0205, std_ms=0.08, min_ms=1.9, max_ms=2.6, p5_ms=1.95, median_ms=2.0, p95_ms=2.2
    )
    assert (report.init_ms, report.first_ms, report.warmup_ms) == (5.5, 2.5, 2.2)
    assert report.delegations == (Delegation(delegate="TfLiteXNNPackDelegate", nodes=8, of_nodes=10, partitions=3),)
    assert (report.memory_mb, report.peak_memory_mb) == (7.25, None)


def test_the_log_of_a_phone_is_read():
    """Lines of logcat, with percentiles; XNNPACK took most of the model, in 19 parts."""
    report = read_report(sample(ANDROID))
    assert report.stats == RunStats(
        runs=25,
        mean_ms=145.528,
        std_ms=13.583,
        min_ms=140.071,
        max_ms=195.121,
        p5_ms=140.545,
        median_ms=141.253,
        p95_ms=187.533,
    )
    assert (report.init_ms, report.first_ms, report.warmup_ms) == (92.318, 235.158, 211.669)
    assert report.delegations == (Delegation(delegate="TfLiteXNNPackDelegate", nodes=539, of_nodes=548, partitions=19),)
    assert report.memory_mb == 73.4102


def test_the_output_of_a_gpu_is_read():
    """Averages alone, and the peak of memory; the delegate took the whole model."""
    report = read_report(sample(GPU))
    assert (report.stats.runs, report.stats.mean_ms, report.stats.median_ms) == (1694, 35.1349, None)
    assert report.stats.typical_ms == 35.1349
    assert report.delegations == (Delegation(delegate="TfLiteGpuDelegateV2", nodes=58, of_nodes=58, partitions=1),)
    assert report.peak_memory_mb == 74.6641


def test_an_output_with_operators_is_read_too():
    """The tables have lines of statistics of their own."""
    report = read_report(sample(LINUX))
    assert (report.stats.runs, report.stats.mean_ms, report.stats.std_ms) == (64, 15.5176, 0.551)
    assert (report.init_ms, report.first_ms, report.memory_mb) == (32.163, 19.834, 34.8281)


def test_old_layouts_are_read():
    """Constructed: the timings of very old builds, delegation without the total, and a single run without spread."""
    text = (
        "Replacing 8 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions.\n"
        "count=1 curr=90000\ncount=1 curr=1.25e+06\n"
        "Average inference timings in us: Warmup: 90000, Init: 38467, Inference: 1.25e+06\n"
    )
    report = read_report(text)
    assert report.stats == RunStats(runs=1, mean_ms=1250, std_ms=0, min_ms=1250, max_ms=1250)
    assert (report.warmup_ms, report.init_ms, report.first_ms) == (90, 38.467, None)
    assert report.delegations[0].of_nodes is None


def test_several_calls_become_one_latency():
    """The median of their medians, or of their means where there are no medians."""
    calls = [RunStats(runs=10, mean_ms=value, std_ms=0.5, min_ms=1, max_ms=90) for value in (10, 11, 12, 13, 60)]
    stats = latency_stats(calls)
    assert (stats.median_ms, stats.runs, stats.std_ms) == (12, 50, 0.5)
    assert stats.p10_ms == pytest.approx(10.4)
    with pytest.raises(InputError, match="nothing was measured"):
        latency_stats([])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Inference (avg): 2020.5", "Inference (avg): 202", "line 5: an average of 2020.5 us, but the timings say 202"),
        ("Inference (avg): 2020.5", "Inference (avg): ", "unknown layout of the timings, or cut short"),
        ("Warmup (avg)", "Warm-up (mean)", "unknown layout of the timings"),
        ("min=1900", "min=0", "line 5: times of 0, 1.95, 2, 2.2, 2.6 ms: they are positive"),
        ("median=2000", "median=2700", "increase from the fastest to the slowest"),
        ("avg=2020.5", "avg=nan", "line 5: not a line of statistics"),
        ("avg=2020.5", "mean=2020.5", "line 5: not a line of statistics"),
        ("std=80", "std=", "line 5: not a line of statistics"),
        ("count=50", "count=0", "0 runs"),
        ("INFO: count=10", "INFO: runs=10", "1 lines of statistics before the timings"),
        ("Inference timings", "Inference figures", "did not finish"),
        ("INFO: Initialized", "WARN: Unconsumed cmdline flags: --use_xnnpack=true\nINFO: ", "ignored options.*xnnpack"),
    ],
)
def test_damaged_outputs_are_refused(old, new, message):
    """Other layouts, zeros, contradictions and options that were ignored."""
    with pytest.raises(InputError, match=message):
        read_report(TIMED.replace(old, new))


def test_the_output_of_two_calls_is_refused():
    """A device's log keeps earlier ones."""
    with pytest.raises(InputError, match="line 15: the output of more than one call"):
        read_report(TIMED + TIMED)


@pytest.mark.parametrize(
    "line", ["ERROR: Could not open 'm.tflite'.", "sh: ./benchmark_model: not found", "INFO: Benchmarking failed."]
)
def test_a_failure_is_told_with_its_own_words(line):
    """The program says why."""
    with pytest.raises(InputError, match="benchmark_model failed: ") as caught:
        read_report(f"INFO: STARTING!\n{line}\n")
    assert line.removeprefix("ERROR: ").removeprefix("INFO: ") in caught.value.message


@pytest.mark.parametrize("name", [None, ANDROID, GPU, LINUX])
def test_an_output_cut_anywhere_is_refused_or_has_the_whole_figure(name):
    """Wherever it ends, it is refused, unless the closing line is there."""
    text = TIMED if name is None else sample(name)
    whole = read_report(text).stats
    for end in range(min(len(text), 3000)):
        try:
            found = read_report(text[:end]).stats
        except InputError:
            continue
        assert found == whole
