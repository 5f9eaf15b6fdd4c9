"""Reads the output of `trtexec`: whether it succeeded, and if not, why."""

from __future__ import annotations

import re

from natdeploy.errors import InputError, MissingRuntimeError, NatdeployError
from natdeploy.runtimes.program_failure import find_failure, make_failure_error

_VERDICT = re.compile(r"^&&&& (RUNNING|PASSED|FAILED|WAIVED) TensorRT\.trtexec \[TensorRT v[0-9]{4,6}\]", re.MULTILINE)
_PREFIX = re.compile(r"^\[[^\]]+\] (?:\[TRT\] )?\[([VIWEF])\] ?(?:\[TRT\] ?)?")
_OLD_ERROR = re.compile(r"^\[TensorRT\] ERROR: ")
_REBUILD = "build the engine on the device itself, with its own TensorRT"
_MEMORY = "close other programs on the device, including a desktop; or use a smaller workspace or network"
# Some versions crash on the engine of another one.
_CRASHED = (134, 139)
_UNTAGGED = re.compile(r"^&&&& PASSED TensorRT\.trtexec(?! \[)", re.MULTILINE)
OTHER_TRTEXEC = "use the trtexec of TensorRT 8.0 to 11; on a Jetson it is /usr/src/tensorrt/bin/trtexec"
# Reason and hint for each known text in the output. Earlier entries are closer to the cause than later ones.
_KNOWN = (
    (r"Unknown option: (\S+)", "this trtexec has no option {0}", "use only options that its --help lists"),
    (
        r"[Vv]ersion tag does not match.*Current Version: (\d+), Serialized Engine Version: (\d+)",
        "the engine was built by another version of TensorRT (serialization version {1}; this one reads {0})",
        _REBUILD,
    ),
    (r"[Vv]ersion tag does not match", "the engine was built by another version of TensorRT", _REBUILD),
    (
        r"incompatible device, expecting compute (\S+) got compute (\S+?),",
        "the engine was built for another GPU (compute capability {1}; this one has {0})",
        _REBUILD,
    ),
    (
        r"PLAN_MAGIC_TAG",
        "the file is not an engine for this TensorRT: it is from another version or system, or damaged",
        _REBUILD,
    ),
    (
        r"(?:No importer registered for op: |could not find plugin: )(\w+)",
        "this TensorRT has no operator {0}",
        "export the ONNX file with a lower opset, which uses simpler operators (13 for TensorRT 8.0 and 8.2)",
    ),
    (
        r"Invalid Node - (\S+)",
        "this TensorRT cannot take node {0} of the ONNX file",
        "export the ONNX file with the opset of the device's TensorRT",
    ),
    (
        r"Could not find any implementation for node ([^\s)]+)",
        "no kernel for {0} fits into the memory of the build, or this GPU has none",
        "close other programs on the device; or export with a lower opset, another precision or a smaller network",
    ),
    (
        r"(CU(?:DNN|BLAS)_STATUS_\w+)",
        "a library of CUDA failed ({0}): most often for lack of memory, or because its version is not TensorRT's",
        "close other programs on the device; if it stays so, install nvidia-jetpack (or tensorrt with cuDNN) again",
    ),
    (
        r"(?i)out ?of ?memory|insufficient memory|cudaErrorMemoryAllocation|std::bad_alloc|^Killed\b",
        "the device ran out of memory",
        _MEMORY,
    ),
)


def require_success(text: str, *, source: str = "trtexec log", exit_code: int = 0, program: str = "trtexec") -> None:
    """Check that trtexec succeeded.

    It succeeded if its last verdict is PASSED, its exit code is 0 and no line is an error. Some versions print PASSED
    in spite of an error.

    Args:
        text: Stdout and stderr of trtexec.
        source: Name of the text, used in messages.
        exit_code: Exit code of trtexec.
        program: Path of trtexec on the device, used in hints.

    Raises:
        MissingRuntimeError: trtexec cannot run on the device, or is of a TensorRT that natdeploy does not know.
        InputError: trtexec failed or did not finish. The message has the reason if the text states it.
    """
    verdicts = _VERDICT.findall(text)
    lines = text.splitlines()
    errors = [number for number, line in enumerate(lines) if _is_error(line)]
    if errors or exit_code != 0 or "FAILED" in verdicts[-1:]:
        raise _make_error(lines, errors, source, exit_code, program)
    if _UNTAGGED.search(text):
        msg = f"{source}: trtexec is of TensorRT 7 or older: its PASSED line names no version"
        raise MissingRuntimeError(msg, hint=OTHER_TRTEXEC)
    if verdicts[-1:] != ["PASSED"]:
        failure = make_failure_error(source, text, exit_code, program=program, otherwise=InputError)
        if failure is not None:
            raise failure
        msg = f"{source}: trtexec did not finish: the output does not end with a '&&&& PASSED' line"
        raise InputError(msg, hint="check that the output is complete, and that the device has enough free memory")


def _is_error(line: str) -> bool:
    prefix = _PREFIX.match(line)
    return bool(_OLD_ERROR.match(line)) or (prefix is not None and prefix[1] in "EF")


def _is_warning(line: str) -> bool:
    prefix = _PREFIX.match(line)
    return prefix is not None and prefix[1] in "VW"


def find_reason(text: str) -> tuple[int, str, str] | None:
    """Return line number, reason and hint if a line of `text` shows a known failure of TensorRT, else None."""
    telling = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if not _is_warning(line)]
    for pattern, reason, hint in _KNOWN:
        for number, line in telling:
            found = re.search(pattern, _PREFIX.sub("", line))
            if found:
                return number, reason.format(*found.groups()), hint
    return None


def _make_error(lines: list[str], errors: list[int], source: str, exit_code: int, program: str) -> NatdeployError:
    text = "\n".join(_PREFIX.sub("", line) for line in lines if not _is_warning(line))
    general = find_failure(text, exit_code, program)
    known = find_reason("\n".join(lines))
    if known is not None and (general is None or general.starts):
        number, reason, hint = known
        return InputError(f"{source}, line {number}: trtexec failed: {reason}", hint=hint)
    if errors and (general is None or general.starts):
        shown = _OLD_ERROR.sub("", _PREFIX.sub("", lines[errors[0]]))
        return InputError(f"{source}, line {errors[0] + 1}: trtexec failed: {shown}")
    failure = make_failure_error(source, text, exit_code, program=program, otherwise=InputError)
    if failure is not None and exit_code in _CRASHED:
        return InputError(failure.message, hint=_REBUILD)
    return failure or InputError(f"{source}: trtexec failed and says no more than: {lines[-1]}")
