"""What trtexec prints: success, and the reasons for failures."""

from __future__ import annotations

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec_log import require_success
from tests.support.tool_outputs import TRTEXEC_LOG, sample

NANO = "trtexec_8.0.1_jetson_nano_b01.log"
OLD, UNSTABLE = "trtexec_8.5_x86_tail.log", "trtexec_10.9_unstable_tail.log"


def failures() -> list[str]:
    """Return the fragments of failed runs."""
    return sample("trtexec_failures.log").split("# --- ")[1:]


@pytest.mark.parametrize("name", [None, NANO, OLD, UNSTABLE])
def test_a_passed_run_is_a_success(name):
    """Of TensorRT 8.0.1 on a Jetson Nano with lines behind the verdict, and of newer versions with warnings."""
    require_success(TRTEXEC_LOG if name is None else sample(name))


@pytest.mark.parametrize(
    ("place", "message", "hint"),
    [
        (0, "cannot take node /Tile of the ONNX file", "opset"),
        (1, "no operator HardSwish", "13 for TensorRT 8.0 and 8.2"),
        (2, r"another version of TensorRT \(serialization version 43; this one reads 0\)", "on the device itself"),
    ],
)
def test_real_failures_have_a_reason_and_a_hint(place, message, hint):
    """Parse failure, missing importer, foreign engine."""
    with pytest.raises(InputError, match=message) as caught:
        require_success(failures()[place])
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (slice(2, 3), "another GPU .compute capability 7.5; this one has 6.1"),
        (slice(3, 8), "not an engine for this TensorRT"),
    ],
)
def test_each_way_an_engine_does_not_fit_is_told(lines, message):
    """Foreign GPU, and a file that is no plan."""
    text = "\n".join(failures()[2].splitlines()[1:][lines])
    with pytest.raises(InputError, match=message):
        require_success(text)


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
        require_success("\n".join([*lines[:4], line, *lines[4:]]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("10: [optimizer.cpp] Error Code 10: (Could not find any implementation for node ArgMax_532.)", "ArgMax_532"),
        ("1: [convolutionRunner.cpp] Error Code 1: Cudnn (CUDNN_STATUS_EXECUTION_FAILED)", "CUDNN_STATUS_EXECUTION"),
        ("1: [caskUtils.cpp] Error Code 1: Cublas (CUBLAS_STATUS_ALLOC_FAILED)", "CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_what_small_gpus_fail_with_has_a_hint(line, reason):
    """A missing kernel and a failure inside CUDA's libraries say what to try."""
    with pytest.raises(InputError, match=f"trtexec failed: .*{reason}") as caught:
        require_success(f"[x] [E] [TRT] {line}\n[x] [E] Engine set up failed\n", exit_code=1)
    assert "close other programs" in str(caught.value.hint)


def test_a_warning_is_not_taken_for_the_reason():
    """Kernels that need too much memory are skipped with a warning; the error line counts."""
    lines = ["[x] [W] [TRT] Skipping tactic 3 due to insufficient memory", "[x] [E] cannot open the file"]
    with pytest.raises(InputError, match="cannot open the file"):
        require_success("\n".join(lines))


@pytest.mark.parametrize(("code", "message"), [(137, "killed"), (139, "crashed"), (1, "exit code 1")])
def test_an_exit_code_is_a_failure_whatever_was_printed(code, message):
    """Killed for memory, crashed, or failed without a word."""
    with pytest.raises(InputError, match=message):
        require_success(TRTEXEC_LOG, exit_code=code)


def test_a_failed_verdict_is_a_failure():
    """The last verdict counts."""
    with pytest.raises(InputError, match="trtexec failed"):
        require_success(TRTEXEC_LOG + TRTEXEC_LOG.splitlines()[-1].replace("PASSED", "FAILED"))


@pytest.mark.parametrize("name", [None, NANO, OLD, UNSTABLE])
def test_a_log_without_its_verdict_is_refused(name):
    """Wherever a log ends before the verdict, trtexec did not finish."""
    text = TRTEXEC_LOG if name is None else sample(name)
    verdict = text.rindex("&&&& PASSED")
    for end in range(0, verdict, 7):
        with pytest.raises(InputError, match="did not finish"):
            require_success(text[:end])


def test_a_damaged_verdict_is_refused():
    """A verdict with half a version is none."""
    text = TRTEXEC_LOG.replace("&&&& PASSED TensorRT.trtexec [TensorRT v8201]", "&&&& PASSED TensorRT.trtexec [Tens")
    with pytest.raises(InputError, match="did not finish"):
        require_success(text)
