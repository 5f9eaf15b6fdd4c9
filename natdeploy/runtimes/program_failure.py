"""Why a program on a device gave no result: read from its exit code and from the line of its output that tells it.

Every program that natdeploy starts on a device is explained here: the agent's Python, benchmark_model and trtexec.
"""

from __future__ import annotations

import dataclasses
import re

from natdeploy.errors import MissingRuntimeError, NatdeployError

_NOT_EXECUTABLE, _NO_COMMAND, _ILLEGAL = 126, 127, 132
_MEMORY = "close other programs on the device, including a desktop; or use a smaller network"
_LIBRARY = (
    "install the package on the device that brings {0} (libnvinfer: tensorrt, on a Jetson nvidia-jetpack; libopenblas: "
    "libopenblas0; libf77blas: libatlas-base-dev; libcuda: the driver); if it is installed, name its folder in a file "
    "of /etc/ld.so.conf.d and run: sudo ldconfig"
)
_OTHER_INSTRUCTIONS = "it uses instructions that the processor does not have"
_OTHER_BUILD = (
    "get a build for this processor: another version of the package, such as the one before; for numpy on a Jetson, "
    "write OPENBLAS_CORETYPE=ARMV8 into /etc/environment"
)
_OTHER_PROCESSOR = (
    r"(?i)exec format error|cannot execute binary file|not executable: \d+-bit|wrong ELF class|unexpected e_machine"
    r"|is (?:32|64)-bit instead of (?:32|64)-bit|syntax error: .*unexpected|syntax error near unexpected"
)
# Pattern, reason and hint of failures that end a program whatever it is given. Earlier entries are closer to the cause.
_STARTS_NOT = (
    (
        _OTHER_PROCESSOR,
        "the program or one of its libraries is built for another kind of processor",
        "`uname -m` on the device names its processor; get the program for that one (on most phones arm64)",
    ),
    (
        r"version [`'](\w+?_[\d.]+)' not found",
        "the program needs a newer system, with {0}",
        "get a build for the system of the device, or update that system",
    ),
    (
        r"cannot locate symbol \"?(\w+)",
        "the program needs a newer Android: this one lacks {0}",
        "get an older build of the program, or one that is linked statically",
    ),
    (
        # TFLite tells so of OpenCL, which it does not need.
        r"^(?!.*Could not load).*?library \"([^\"]+)\" (?:not found|needed)",
        "the library {0} is missing on the device",
        "get a build that is linked statically; or put {0} beside the program and name the folder in LD_LIBRARY_PATH",
    ),
    (
        r"^(?!.*Could not load).*?(?:CANNOT LINK EXECUTABLE|dlopen failed)",
        "its libraries cannot be loaded",
        "get a build for this device",
    ),
    (
        r"(\S+): cannot allocate memory in static TLS block",
        "the library {0} is loaded too late",
        "load it first: write LD_PRELOAD={0} into /etc/environment on the device",
    ),
    (
        # LiteRT tells so of plug-ins that it does not need.
        r"^(?!.*Could not load shared library).*?(lib[\w.+-]+\.so[\w.]*): cannot open shared object",
        "the library {0} is missing on the device, or is in a folder that is not searched",
        _LIBRARY,
    ),
    (
        r"(?i)nvmap.*permission denied|nvmap.*error 13\b|/dev/(?:nv|dri).*permission denied|permission denied.*/dev/nv",
        "the user of the login may not use the GPU",
        "on the device: sudo usermod -aG video,render $USER; then log out everywhere and log in again",
    ),
    (
        r"(?i)no CUDA-capable device|no CUDA devices? (?:is|are)|cuda\w* (?:failure|error)\w*:? ?(?:with error )?100\b"
        r"|initialization failure with error:? ?(?:100|3)\b|libcuda\.so.*not found",
        "it finds no GPU",
        "`nvidia-smi` (on a Jetson `sudo tegrastats`) must show the GPU; a container must be started with its runtime",
    ),
    (
        r"(?i)driver version is insufficient|cuda\w* (?:failure|error)\w*:? ?(?:with error )?35\b",
        "the GPU's driver is older than the CUDA of the program",
        "update the driver on the device, or use a TensorRT for this driver",
    ),
    (
        r"(?i)cuda\w* (?:failure|error)\w*:? ?(?:with error )?999\b",
        "the GPU's driver failed",
        "restart the device; on a Jetson, check that `groups` lists video for the user of the login",
    ),
    (
        r"Didn't find op for builtin opcode '?(\w+)'? version '?(\d+)'?",
        "the program is older than the model: it has no version {1} of {0}",
        "get a newer build of the program",
    ),
    (
        r"(?i)old TFLite binary|op builtin_code out of range|schema version \d+ not equal to supported",
        "the program is older than the model",
        "get a newer build of the program",
    ),
    (
        r"(?i)no kernel image is available",
        "the program has no code for this GPU",
        "use the TensorRT that NVIDIA releases for this GPU; old GPUs are dropped by new versions",
    ),
    (
        r"numpy\.\S+ failed to import|_ARRAY_API not found|module (?:was )?compiled (?:against|using) .*API|NumPy 1\.x",
        "the runtime is built for another version of numpy",
        "on the device, install versions that fit: python3 -m pip install --upgrade numpy and the runtime (numpy<2 for "
        "tflite-runtime)",
    ),
    (
        r"Failed to apply (\w+) delegate",
        "the {0} of the program does not take the model",
        "get a newer build of the program",
    ),
    (r"(?i)illegal instruction|SIGILL", _OTHER_INSTRUCTIONS, _OTHER_BUILD),
    (r"(?i)text file busy", "the program is being written", "wait until its copying has ended"),
)
_MAY_NOT_RUN = (
    "the program may not be executed",
    "make it executable on the device: chmod +x {0}; nothing is executed in a folder that is mounted noexec, as "
    "/sdcard is (/data/local/tmp works)",
)
_NO_MEMORY = "it was killed, most likely for lack of memory"
# Pattern, reason and hint of failures that end a program after it has begun.
_ENDED = (
    (
        r"(?i)no space left on device|disk quota exceeded|read-only file system",
        "it cannot write its files",
        "free some space on the device, or set TMPDIR there to a folder on a larger disk",
    ),
    (
        r"(?i)^killed\b|out of memory|cannot allocate memory|std::bad_alloc|MemoryError"
        r"|cuda\w* (?:failure|error)\w*:? ?(?:with error )?2\b",
        _NO_MEMORY,
        _MEMORY,
    ),
)
_BY_HAND = "run it by hand on the device to see what it says"
_SIGNALLED = {
    133: ("it crashed", _BY_HAND),
    134: ("it was aborted", _BY_HAND),
    135: ("it crashed", _BY_HAND),
    137: (_NO_MEMORY, _MEMORY),
    139: ("it crashed", _BY_HAND),
    143: ("it was ended by a signal", _BY_HAND),
    159: ("the system forbids it a call", _BY_HAND),
}
# A line of the stack that Python prints when it crashes; the innermost comes first.
_IN_PACKAGE = re.compile(r'File "[^"]*/(?:site|dist)-packages/(\w+)')


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ProgramFailure:
    """Why a program gave no result.

    Args:
        reason: The reason.
        hint: What to do.
        line: The line of its output that tells the reason; empty if only the exit code does.
        starts: Whether it ran: it may do better with less to do, or at another time.
    """

    reason: str
    hint: str
    line: str = ""
    starts: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.line!r}" if self.line else self.reason


def find_failure(text: str, exit_code: int, program: str = "PROGRAM") -> ProgramFailure | None:
    """Return why a program gave no result, or None if neither its output nor its exit code tells.

    Args:
        text: What it printed.
        exit_code: Its exit code.
        program: Path of the program on the device, for hints.
    """
    # A program that this machine started itself and that a signal ended has a negative exit code.
    exit_code = 128 - exit_code if exit_code < 0 else exit_code
    lines = [line.strip() for line in text.splitlines()]
    for pattern, reason, hint in _STARTS_NOT:
        found, line = _search(pattern, lines)
        if found is not None:
            module = _IN_PACKAGE.search(text) if reason == _OTHER_INSTRUCTIONS else None
            line += f", in {module[1]}" if module else ""
            return ProgramFailure(reason=reason.format(*found.groups()), hint=hint.format(*found.groups()), line=line)
    return _explain_exit(lines, exit_code, program)


def _explain_exit(lines: list[str], exit_code: int, program: str) -> ProgramFailure | None:
    told = _last(lines)
    if exit_code == _NOT_EXECUTABLE:
        reason, hint = _MAY_NOT_RUN
        return ProgramFailure(reason=reason, hint=hint.format(program), line=told)
    if exit_code == _NO_COMMAND:
        reason = "there is no such program, or it needs a loader that is not there"
        return ProgramFailure(reason=reason, hint=f"`ls -l {program}` shows on the device what is there", line=told)
    if exit_code == _ILLEGAL:
        return ProgramFailure(reason=_OTHER_INSTRUCTIONS, hint=_OTHER_BUILD, line=told)
    for pattern, reason, hint in _ENDED:
        found, line = _search(pattern, lines)
        if found is not None:
            return ProgramFailure(reason=reason, hint=hint, line=line, starts=True)
    if exit_code in _SIGNALLED:
        reason, hint = _SIGNALLED[exit_code]
        return ProgramFailure(reason=reason, hint=hint, line=told, starts=True)
    return None


def make_failure_error(
    source: str, text: str, exit_code: int, *, program: str, otherwise: type[NatdeployError]
) -> NatdeployError | None:
    """Return the error of a program that gave no result, or None if it claims success and nothing tells why.

    Args:
        source: Program and device, for the message.
        text: What the program printed.
        exit_code: Its exit code.
        program: Its path on the device.
        otherwise: Class of the error if the program could start.
    """
    failure = find_failure(text, exit_code, program)
    if failure is None and exit_code == 0:
        return None
    if failure is None:
        told = _last([line.strip() for line in text.splitlines()])
        reason = f"it failed with exit code {exit_code}"
        failure = ProgramFailure(reason=reason, hint=_BY_HAND, line=told, starts=True)
    if failure.starts:
        return otherwise(f"{source}: it did not finish: {failure}", hint=failure.hint)
    return MissingRuntimeError(f"{source}: it cannot run: {failure}", hint=failure.hint)


def _search(pattern: str, lines: list[str]) -> tuple[re.Match[str] | None, str]:
    for line in lines:
        found = re.search(pattern, line)
        if found is not None:
            return found, line
    return None, ""


def _last(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line), "")
