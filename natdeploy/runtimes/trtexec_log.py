"""What `trtexec` prints: whether it did its work, why not, and its summary of the times."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from natdeploy.errors import InputError
from natdeploy.runtimes.tool_output import NUMBER, in_order
from natdeploy.runtimes.trtexec import Version, version_in

_VERDICT = re.compile(r"^&&&& (RUNNING|PASSED|FAILED|WAIVED) TensorRT\.trtexec \[TensorRT v[0-9]{4,6}\]", re.MULTILINE)
_PREFIX = re.compile(r"^\[[^\]]+\] (?:\[TRT\] )?\[([VIWEF])\] ?(?:\[TRT\] ?)?")
_OLD_ERROR = re.compile(r"^\[TensorRT\] ERROR: ")
_SUMMARIES = (
    "Latency",
    "End-to-End Host Latency",
    "Enqueue Time",
    "H2D Latency",
    "GPU Compute Time",
    "D2H Latency",
)
_SUMMARY_START = re.compile(rf"({'|'.join(_SUMMARIES)}): ")
_SUMMARY = re.compile(
    rf"min = ({NUMBER}) ms, max = ({NUMBER}) ms, mean = ({NUMBER}) ms, median = ({NUMBER}) ms"
    rf"((?:, percentile\({NUMBER}%\) = {NUMBER} ms)+)"
)
_PERCENTILE = re.compile(rf"percentile\(({NUMBER})%\) = ({NUMBER}) ms")
_SETTING = re.compile(
    r"(Precision|Data transfers|Spin-wait|CUDA Graph|Selected Device|Compute Capability|Compute Clock Rate"
    r"|Memory Clock Rate): (.+)"
)
_UNSTABLE = re.compile(rf"GPU compute time is unstable, with coefficient of variance = ({NUMBER})%")
_ENQUEUE_BOUND = "may be bound by Enqueue Time"
_REBUILD = "build the engine on the device itself, with its own TensorRT"
_MEMORY = "close other programs on the device (a desktop too), give a smaller workspace or use a smaller network"
_KILLED_CODES = {134: "it was aborted", 137: "it was killed, most likely for lack of memory", 139: "it crashed"}
# Reason and hint by the text that trtexec gives; earlier ones are closer to the cause than later ones.
_KNOWN = (
    (r"Unknown option: (\S+)", "this trtexec has no option {0}", "give the options that its --help lists"),
    (
        r"[Vv]ersion tag does not match.*Current Version: (\d+), Serialized Engine Version: (\d+)",
        "the engine was built by another version of TensorRT (serialization {1}, this one reads {0})",
        _REBUILD,
    ),
    (r"[Vv]ersion tag does not match", "the engine was built by another version of TensorRT", _REBUILD),
    (
        r"incompatible device, expecting compute (\S+) got compute (\S+?),",
        "the engine was built for another GPU (compute capability {1}, this one has {0})",
        _REBUILD,
    ),
    (
        r"PLAN_MAGIC_TAG",
        "the file is not an engine of this TensorRT: of another version or system, or damaged",
        _REBUILD,
    ),
    (
        r"(?:No importer registered for op: |could not find plugin: )(\w+)",
        "this TensorRT has no operator {0}",
        "export the ONNX file with a lower opset, which is made of simpler operators (13 for TensorRT 8.0 and 8.2)",
    ),
    (
        r"Invalid Node - (\S+)",
        "this TensorRT cannot take node {0} of the ONNX file",
        "export the ONNX file with the opset of the device's TensorRT",
    ),
    (
        r"(?i)out ?of ?memory|insufficient memory|cudaErrorMemoryAllocation|std::bad_alloc|^Killed\b",
        "the device ran out of memory",
        _MEMORY,
    ),
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TimeSummary:
    """One line of the summary, in milliseconds; times of copies may be zero.

    Raises:
        InputError: The figures contradict each other.
    """

    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    percentiles_ms: Mapping[float, float]

    def __post_init__(self) -> None:
        for value in (self.mean_ms, self.median_ms, *self.percentiles_ms.values()):
            if self.max_ms > 0 and not in_order([max(low, 1e-9) for low in (self.min_ms, value, self.max_ms)]):
                msg = f"{value:g} ms does not lie between {self.min_ms:g} and {self.max_ms:g} ms"
                raise InputError(msg)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrtexecLog:
    """A successful run of trtexec.

    Args:
        version: Version of TensorRT.
        summaries: Lines of the summary by their name: `GPU Compute Time`, `Latency`, ..; none where nothing was run.
        variation_percent: Coefficient of variance where trtexec warns that the compute time is unstable, else None.
        enqueue_bound: Whether trtexec warns that launching takes longer than computing: layers then say nothing.
        settings: Device, clocks, precision and what was on and off, as printed.
    """

    version: Version
    summaries: Mapping[str, TimeSummary]
    variation_percent: float | None
    enqueue_bound: bool
    settings: Mapping[str, str]

    @property
    def compute(self) -> TimeSummary:
        """The time that the GPU computes.

        Raises:
            InputError: The log has none.
        """
        found = self.summaries.get("GPU Compute Time")
        if found is None or not (found.min_ms > 0 and found.median_ms > 0):
            msg = f"trtexec log: {'no' if found is None else 'a zero'} GPU Compute Time: nothing was timed"
            raise InputError(msg)
        return found


def read_log(text: str, *, source: str = "trtexec log", exit_code: int = 0) -> TrtexecLog:
    """Read what trtexec printed.

    It did its work where the last verdict is PASSED, no line is an error (some versions pass in spite of one) and the
    exit code is 0.

    Args:
        text: Both of its outputs.
        source: Name of the text, for messages.
        exit_code: Exit code, where it is known.

    Raises:
        InputError: It failed, with the reason where the text tells it; it did not finish; or a line is damaged.
    """
    verdicts = _VERDICT.findall(text)
    lines = text.splitlines()
    errors = [number for number, line in enumerate(lines) if _is_error(line)]
    if errors or exit_code != 0 or "FAILED" in verdicts[-1:]:
        raise _failure(lines, errors, source, exit_code)
    version = version_in(text)
    if verdicts[-1:] != ["PASSED"] or version is None:
        msg = f"{source}: trtexec did not finish: there is no '&&&& PASSED' line at its end"
        raise InputError(msg, hint="the output was cut short, or trtexec was killed; look at the device's memory")
    bare = [_PREFIX.sub("", line) for line in lines]
    variation = _UNSTABLE.search(text)
    return TrtexecLog(
        version=version,
        summaries=_summaries(bare, source),
        variation_percent=float(variation[1]) if variation else None,
        enqueue_bound=_ENQUEUE_BOUND in text,
        settings={found[1]: found[2].strip() for line in bare if (found := _SETTING.fullmatch(line))},
    )


def _is_error(line: str) -> bool:
    prefix = _PREFIX.match(line)
    return bool(_OLD_ERROR.match(line)) or (prefix is not None and prefix[1] in "EF")


def _is_warning(line: str) -> bool:
    prefix = _PREFIX.match(line)
    return prefix is not None and prefix[1] in "VW"


def reason_in(text: str) -> tuple[int, str, str] | None:
    """Return the number of the line that tells why TensorRT failed, the reason and a hint; None where none is known."""
    telling = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if not _is_warning(line)]
    for pattern, reason, hint in _KNOWN:
        for number, line in telling:
            found = re.search(pattern, _PREFIX.sub("", line))
            if found:
                return number, reason.format(*found.groups()), hint
    return None


def _failure(lines: list[str], errors: list[int], source: str, exit_code: int) -> InputError:
    known = reason_in("\n".join(lines))
    if known is not None:
        number, reason, hint = known
        return InputError(f"{source}, line {number}: trtexec failed: {reason}", hint=hint)
    if errors:
        shown = _OLD_ERROR.sub("", _PREFIX.sub("", lines[errors[0]]))
        return InputError(f"{source}, line {errors[0] + 1}: trtexec failed: {shown}")
    if exit_code in _KILLED_CODES:
        hint = _MEMORY if exit_code == 137 else _REBUILD
        return InputError(f"{source}: trtexec did not finish: {_KILLED_CODES[exit_code]}", hint=hint)
    return InputError(f"{source}: trtexec failed with exit code {exit_code}, without an error line")


def _summaries(lines: list[str], source: str) -> dict[str, TimeSummary]:
    found: dict[str, TimeSummary] = {}
    for number, line in enumerate(lines, start=1):
        start = _SUMMARY_START.match(line)
        if start is None:
            continue
        if start[1] in found:
            msg = f"{source}, line {number}: a second {start[1]}: the output of more than one run"
            raise InputError(msg)
        found[start[1]] = _summary(line[start.end() :], f"{source}, line {number}: {start[1]}")
    return found


def _summary(text: str, place: str) -> TimeSummary:
    figures = _SUMMARY.fullmatch(text.strip())
    if figures is None:
        msg = (
            f"{place}: not 'min = .. ms, max = .. ms, mean = .. ms, median = .. ms, percentile(..%) = .. ms': {text!r}"
        )
        raise InputError(msg)
    low, high, mean, median = (float(value) for value in figures.groups()[:4])
    percentiles = {float(share): float(value) for share, value in _PERCENTILE.findall(figures[5])}
    try:
        return TimeSummary(min_ms=low, max_ms=high, mean_ms=mean, median_ms=median, percentiles_ms=percentiles)
    except InputError as error:
        msg = f"{place}: {error.message}"
        raise InputError(msg) from error
