"""Why programs on devices give no result; the lines are constructed after public reports."""

from __future__ import annotations

import pytest

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.runtimes.benchmark_model import read_stats
from natdeploy.runtimes.program_failure import find_failure, make_failure_error
from natdeploy.runtimes.trtexec_log import require_success

PROGRAM = "/data/local/tmp/benchmark_model"
# What a program or its shell prints, its exit code, the reason and a part of the hint.
STARTS_NOT = [
    ("sh: /data/local/tmp/benchmark_model: can't execute: Permission denied", 126, "may not be executed", "chmod +x"),
    ("setsid: failed to execute ./bm: Permission denied", 126, "may not be executed", f"chmod +x {PROGRAM}"),
    ("sh: 1: ./bm: Text file busy", 126, "is being written", "wait"),
    (
        'CANNOT LINK EXECUTABLE "./bm": library "libc++_shared.so" not found: needed by main executable',
        1,
        r"library libc\+\+_shared\.so is missing",
        "linked statically",
    ),
    (
        'CANNOT LINK EXECUTABLE "./bm": cannot locate symbol "__emutls_v" referenced by "./bm"',
        1,
        "newer Android",
        "older",
    ),
    ('"./bm" is 64-bit instead of 32-bit', 1, "another kind of processor", "uname -m"),
    ("bm: not executable: 64-bit ELF file", 126, "another kind of processor", "uname -m"),
    ("bash: ./trtexec: cannot execute binary file: Exec format error", 126, "another kind of processor", "uname -m"),
    ("ImportError: /x/lib.so: wrong ELF class: ELFCLASS32", 1, "another kind of processor", "uname -m"),
    ('./bm: line 1: syntax error: unexpected "("', 2, "another kind of processor", "uname -m"),
    (
        "./bm: /lib/libc.so.6: version `GLIBC_2.34' not found (required by ./bm)",
        1,
        "newer system, with GLIBC_2.34",
        "build",
    ),
    (
        "trtexec: error while loading shared libraries: libnvinfer.so.8: cannot open shared object file: No such file",
        127,
        "library libnvinfer.so.8 is missing",
        "nvidia-jetpack",
    ),
    ("NvMapMemAllocInternalTagged: 1074810371 error 13\nCuda failure: 999", 134, "may not use the GPU", "video"),
    ("NvMapMemAlloc: /dev/nvmap: Permission denied\nCuda failure: 999", 1, "may not use the GPU", "usermod -aG video"),
    ("Cuda failure: 999", 134, "driver failed", "restart"),
    ("Cuda failure: no CUDA-capable device is detected", 1, "finds no GPU", "nvidia-smi"),
    ("[E] [TRT] CUDA initialization failure with error: 100", 1, "finds no GPU", "container"),
    ("Cuda failure: CUDA driver version is insufficient for CUDA runtime version", 1, "driver is older", "update"),
    (
        "ERROR: Didn't find op for builtin opcode 'CONV_2D' version '5'. An older version of it may work",
        1,
        "older than the model: it has no version 5 of CONV_2D",
        "newer build",
    ),
    ("Op builtin_code out of range: 150. Are you using old TFLite binary with newer model?", 1, "older than", "newer"),
    ("Illegal instruction (core dumped)", 132, "instructions that the processor does not have", "OPENBLAS_CORETYPE"),
    ("", 132, "instructions that the processor does not have", "OPENBLAS_CORETYPE"),
    (
        "Failed to apply XNNPACK delegate.\nBenchmarking failed.",
        1,
        "XNNPACK of the program does not take",
        "newer build",
    ),
    (
        "Cuda failure: no kernel image is available for execution on the device",
        1,
        "no code for this GPU",
        "releases for",
    ),
    ("ImportError: numpy.core.multiarray failed to import", 1, "another version of numpy", "numpy<2"),
    (
        "RuntimeError: module compiled against API version 0xe but this version of numpy is 0xd",
        1,
        "another version of numpy",
        "--upgrade numpy",
    ),
    ("sh: bm: inaccessible or not found", 127, "no such program", "ls -l"),
    (
        "ImportError: /usr/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block",
        1,
        r"libgomp.so.1 is loaded too late",
        "LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1",
    ),
    (
        'dlopen failed: library "libedgetpu.so.1" not found\nCould not load OpenCL library. (dlopen failed: x)',
        1,
        "library libedgetpu.so.1 is missing",
        "LD_LIBRARY_PATH",
    ),
]
ENDED = [
    ("Killed", 137, "lack of memory", "close other programs"),
    ("terminate called after throwing an instance of 'std::bad_alloc'", 134, "lack of memory", "smaller network"),
    ("Segmentation fault", 139, "crashed", "by hand"),
    ("Aborted", 134, "aborted", "by hand"),
    ("", -9, "lack of memory", "smaller network"),
    ("", -11, "crashed", "by hand"),
    ("Bad system call", 159, "the system forbids it a call", "by hand"),
    ("Terminated", 143, "ended by a signal", "by hand"),
    ("Cuda failure: 2", 1, "lack of memory", "smaller network"),
    ("OSError: [Errno 28] No space left on device", 1, "cannot write its files", "TMPDIR"),
    ("tmp.engine: Read-only file system", 1, "cannot write its files", "free some space"),
    (
        'Could not load OpenCL library. (dlopen failed: library "libOpenCL.so" not found)\nSegmentation fault',
        139,
        "crashed: 'Segmentation fault'",
        "by hand",
    ),
    ("first\nsomething else went wrong", 3, "exit code 3: 'something else went wrong'", "by hand"),
]


@pytest.mark.parametrize(("text", "code", "reason", "hint"), STARTS_NOT)
def test_a_program_that_cannot_run_is_a_missing_runtime(text, code, reason, hint):
    """The error shows the reason, the program's own telling line and the next step."""
    error = make_failure_error("bm on phone", text, code, program=PROGRAM, otherwise=InputError)
    assert isinstance(error, MissingRuntimeError)
    with pytest.raises(MissingRuntimeError, match=rf"^bm on phone: it cannot run: .*{reason}") as caught:
        raise error
    assert hint in str(caught.value.hint)
    failure = find_failure(text, code, PROGRAM)
    assert failure is not None
    assert failure.line in text


@pytest.mark.parametrize(("text", "code", "reason", "hint"), ENDED)
def test_a_program_that_ended_early_says_how(text, code, reason, hint):
    """What may go better another time is the error of the caller."""
    error = make_failure_error("bm on phone", text, code, program=PROGRAM, otherwise=InputError)
    with pytest.raises(InputError, match=f"^bm on phone: it did not finish: .*{reason}") as caught:
        raise error
    assert hint in str(caught.value.hint)


def test_a_program_without_a_failure_has_none():
    """Exit code 0 and output that names no failure are no failure."""
    assert make_failure_error("bm", "fine", 0, program=PROGRAM, otherwise=InputError) is None


@pytest.mark.parametrize(("text", "code", "reason", "hint"), [*STARTS_NOT, *ENDED])
def test_every_program_is_explained_alike(text, code, reason, hint):
    """benchmark_model and trtexec name the same cause, whatever they are used for."""
    for read in (
        lambda: read_stats(text, source="bm on phone", exit_code=code, program=PROGRAM),
        lambda: require_success(text, source="trtexec on jetson", exit_code=code, program=PROGRAM),
    ):
        with pytest.raises((MissingRuntimeError, InputError)) as caught:
            read()
        if code != 134:  # trtexec itself knows some causes of an abortion better
            assert "cut short" not in caught.value.message
            assert caught.value.hint


def test_a_benchmark_model_of_2018_is_named():
    """It ignores options that it does not know, so its figures are refused."""
    text = (
        "count=50 first=9 curr=9 min=9 max=9 avg=9 std=0\ncount=50 first=9 curr=9 min=9 max=9 avg=9 std=0\n"
        "Average inference timings in us: Warmup: 91093.4, Init: 7061, no stats: 91020.6\n"
    )
    with pytest.raises(MissingRuntimeError, match="is of 2018") as caught:
        read_stats(text)
    assert "newer benchmark_model" in str(caught.value.hint)


def test_trtexec_of_tensorrt_7_is_named():
    """Its PASSED line has no version: it is not an output that was cut short."""
    text = (
        "&&&& RUNNING TensorRT.trtexec # trtexec --onnx=m.onnx\n&&&& PASSED TensorRT.trtexec # trtexec --onnx=m.onnx\n"
    )
    with pytest.raises(MissingRuntimeError, match="TensorRT 7 or older") as caught:
        require_success(text)
    assert "TensorRT 8.0" in str(caught.value.hint)
