"""What trtexec prints: success, reasons for failures, and the summary of the times."""

from __future__ import annotations

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec_log import read_log
from tests.support.tool_outputs import TRTEXEC_LOG, sample

NANO = "trtexec_8.0.1_jetson_nano_b01.log"
OLD, UNSTABLE = "trtexec_8.5_x86_tail.log", "trtexec_10.9_unstable_tail.log"


def failures() -> list[str]:
    """Return the fragments of failed runs."""
    return sample("trtexec_failures.log").split("# --- ")[1:]


def test_a_log_is_read():
    """Verdict, summary, warnings and settings of a constructed log."""
    log = read_log(TRTEXEC_LOG)
    assert log.version == (8, 2, 1)
    assert (log.compute.min_ms, log.compute.median_ms, log.compute.mean_ms, log.compute.max_ms) == (9.5, 10, 10, 11)
    assert log.summaries["H2D Latency"].max_ms == 0
    assert log.variation_percent == 2.5
    assert not log.enqueue_bound
    assert log.settings["CUDA Graph"] == "Disabled"


def test_the_log_of_a_jetson_nano_is_read():
    """TensorRT 8.0.1 with end-to-end latency, one percentile, and lines after the verdict."""
    log = read_log(sample(NANO))
    assert log.version == (8, 0, 1)
    assert log.compute.median_ms == 39.9982
    assert log.compute.percentiles_ms == {99: 40.1931}
    assert log.summaries["End-to-End Host Latency"].mean_ms == 40.6771
    assert log.summaries["Latency"].median_ms == 40.6337
    assert log.summaries["Enqueue Time"].min_ms == 40.2849
    assert log.summaries["D2H Latency"].min_ms == 0.0678711
    assert log.enqueue_bound
    assert log.variation_percent is None
    assert log.settings["Selected Device"] == "NVIDIA Tegra X1"
    assert log.settings["Data transfers"] == "Enabled"


def test_newer_logs_are_read():
    """From 8.5 on there are three percentiles and no end-to-end latency; the build follows the version."""
    old, unstable = read_log(sample(OLD)), read_log(sample(UNSTABLE))
    assert (old.version, unstable.version) == ((8, 5, 0), (10, 9, 0))
    assert old.compute.median_ms == 7.32544
    assert old.compute.percentiles_ms == {90: 7.38696, 95: 7.3988, 99: 7.46777}
    assert "End-to-End Host Latency" not in old.summaries
    assert unstable.compute.median_ms == 111.208
    assert unstable.variation_percent == 1.08662


@pytest.mark.parametrize(
    ("place", "message", "hint"),
    [
        (0, "cannot take node /Tile of the ONNX file", "opset"),
        (1, "no operator HardSwish", "13 for TensorRT 8.0 and 8.2"),
        (2, r"another version of TensorRT \(serialization 43, this one reads 0\)", "on the device itself"),
    ],
)
def test_real_failures_have_a_reason_and_a_hint(place, message, hint):
    """Parse failure, missing importer, foreign engine."""
    with pytest.raises(InputError, match=message) as caught:
        read_log(failures()[place])
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (slice(2, 3), "another GPU .compute capability 7.5, this one has 6.1"),
        (slice(3, 8), "not an engine of this TensorRT"),
    ],
)
def test_each_way_an_engine_does_not_fit_is_told(lines, message):
    """Foreign GPU, and a file that is no plan."""
    text = "\n".join(failures()[2].splitlines()[1:][lines])
    with pytest.raises(InputError, match=message):
        read_log(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[01/02/2026-03:04:05] [E] Unknown option: --workspace 2048", "no option --workspace"),
        ("[01/02/2026-03:04:05] [E] Error[2]: [x.cpp::f::1] Error Code 2: OutOfMemory (no further)", "out of memory"),
        ("[01/02/2026-03:04:05] [E] [TRT] something new", "line 5: trtexec failed: something new"),
    ],
)
def test_a_passed_run_with_an_error_line_is_a_failure(line, message):
    """Some versions pass although the engine could not be read."""
    lines = TRTEXEC_LOG.splitlines()
    with pytest.raises(InputError, match=message):
        read_log("\n".join([*lines[:4], line, *lines[4:]]))


def test_a_warning_is_not_taken_for_the_reason():
    """Kernels that need too much memory are skipped with a warning; the error line counts."""
    lines = ["[x] [W] [TRT] Skipping tactic 3 due to insufficient memory", "[x] [E] cannot open the file"]
    with pytest.raises(InputError, match="cannot open the file"):
        read_log("\n".join(lines))


@pytest.mark.parametrize(("code", "message"), [(137, "killed"), (139, "crashed"), (1, "exit code 1")])
def test_an_exit_code_is_a_failure_whatever_was_printed(code, message):
    """Killed for memory, crashed, or failed without a word."""
    with pytest.raises(InputError, match=message):
        read_log(TRTEXEC_LOG, exit_code=code)


def test_a_failed_verdict_is_a_failure():
    """The last verdict counts."""
    with pytest.raises(InputError, match="trtexec failed"):
        read_log(TRTEXEC_LOG + TRTEXEC_LOG.splitlines()[-1].replace("PASSED", "FAILED"))


def test_a_log_without_times_gives_no_latency():
    """A build passes without timing anything, and a zero is no latency."""
    lines = [line for line in TRTEXEC_LOG.splitlines() if "GPU Compute Time" not in line]
    with pytest.raises(InputError, match="no GPU Compute Time"):
        _ = read_log("\n".join(lines)).compute
    zero = TRTEXEC_LOG.replace("GPU Compute Time: min = 9.5", "GPU Compute Time: min = 0")
    with pytest.raises(InputError, match="a zero GPU Compute Time"):
        _ = read_log(zero).compute


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("median = 10 ms", "median = 12 ms", "does not lie between"),
        ("median = 10 ms", "median = nan ms", "line 9: Latency: not 'min"),
        ("median = 10 ms", "mode = 10 ms", "not 'min"),
        ("median = 10 ms", "median = 10 us", "not 'min"),
        (", percentile(99%) = 11 ms", "", "not 'min"),
        ("min = 9.5 ms, max = 11.5 ms", "max = 11.5 ms, min = 9.5 ms", "not 'min"),
        ("H2D Latency", "Latency", "a second Latency"),
        ("&&&& PASSED TensorRT.trtexec [TensorRT v8201]", "&&&& PASSED TensorRT.trtexec", "did not finish"),
    ],
)
def test_damaged_logs_are_refused(old, new, message):
    """Contradictions, other layouts and several runs in one text."""
    with pytest.raises(InputError, match=message):
        read_log(TRTEXEC_LOG.replace(old, new))


@pytest.mark.parametrize("name", [None, NANO, OLD, UNSTABLE])
def test_a_log_cut_anywhere_is_refused_or_has_the_whole_figure(name):
    """Wherever a log ends, it is refused, unless the verdict is there."""
    text = TRTEXEC_LOG if name is None else sample(name)
    whole = read_log(text).compute
    for end in range(0, len(text), 7):
        try:
            found = read_log(text[:end]).compute
        except InputError:
            continue
        assert found == whole
        assert "&&&& PASSED" in text[:end]
