"""Options of TensorRT's `trtexec`, and the arguments that build, time and profile an engine.

Versions differ in their options, and an unknown option ends the program. Version 11 also reversed the defaults for CUDA
graph, spin-wait and data transfers. natdeploy therefore uses the options that `trtexec --help` lists, whatever the
version, and never relies on these three defaults.
"""

from __future__ import annotations

import dataclasses
import re

from natdeploy.core.device import PRECISIONS
from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec_log import OTHER_TRTEXEC

Version = tuple[int, int, int]
_OPTION = re.compile(r"^[ \t]{1,4}(--[A-Za-z]\w*)(?=[=\s,]|$)", re.MULTILINE)
_TAG = re.compile(r"\[TensorRT v([0-9]{4,6})\]")
_ESSENTIAL = (
    "--onnx",
    "--saveEngine",
    "--loadEngine",
    "--warmUp",
    "--duration",
    "--iterations",
    "--avgRuns",
    "--exportTimes",
    "--dumpProfile",
    "--exportProfile",
)
_NEW_DEFAULTS = "--includeDataTransfers"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrtexecFlags:
    """The options that a `trtexec` supports.

    Args:
        known: Options with their dashes and without values.
        version: Version of TensorRT, None if the help does not state it.
    """

    known: frozenset[str]
    version: Version | None = None

    @classmethod
    def from_help(cls, text: str) -> TrtexecFlags:
        """Read the output of `trtexec --help`.

        Raises:
            InputError: The text is not the help of a usable `trtexec`, or is incomplete.
        """
        known = frozenset(_OPTION.findall(text))
        missing = [flag for flag in _ESSENTIAL if flag not in known]
        if missing:
            what = "lists no options" if not known else f"does not list {', '.join(missing)}"
            msg = f"trtexec --help: not the help of a usable trtexec: it {what}"
            raise InputError(msg, hint=OTHER_TRTEXEC)
        return cls(known=known, version=find_version(text))

    def find_first(self, *flags: str) -> str | None:
        """Return the first of `flags` that this trtexec supports, None if it supports none."""
        return next((flag for flag in flags if flag in self.known), None)

    @property
    def has_new_defaults(self) -> bool:
        """Whether the defaults are those of version 11: CUDA graph and spin-wait on, data transfers off."""
        return _NEW_DEFAULTS in self.known

    def __str__(self) -> str:
        return "trtexec" if self.version is None else f"trtexec of TensorRT {format_version(self.version)}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EngineRun:
    """How trtexec runs an engine.

    Args:
        warmup_ms: Milliseconds of warm-up, which do not count.
        duration_s: Minimum seconds of runs that count.
        iterations: Minimum number of runs that count.
        transfers: Whether input and output are copied between host and device.
        spin_wait: Whether the host waits actively for the device.
        cuda_graph: Whether the network is launched as one CUDA graph. Use it only if the deployed program does so.

    Raises:
        InputError: A number is not positive. There must be a warm-up, too.
    """

    warmup_ms: int = 1000
    duration_s: int = 10
    iterations: int = 100
    transfers: bool = False
    spin_wait: bool = True
    cuda_graph: bool = False

    def __post_init__(self) -> None:
        for name in ("warmup_ms", "duration_s", "iterations"):
            if getattr(self, name) < 1:
                msg = f"{name} is {getattr(self, name)}: it must be at least 1"
                raise InputError(msg)


def make_build_arguments(
    flags: TrtexecFlags,
    *,
    onnx: str,
    engine: str,
    precision: str,
    workspace_mib: int,
    timing_cache: str | None = None,
) -> list[str]:
    """Return the arguments that build an engine without running it.

    Args:
        flags: Options of this trtexec.
        onnx: ONNX file on the device.
        engine: Engine file to write on the device.
        precision: Lowest precision that layers may use, one of `natdeploy.core.device.PRECISIONS`.
        workspace_mib: Most memory that a layer may use for itself, in MiB.
        timing_cache: File that keeps the times of kernels from one build to the next; used where trtexec knows how.

    Raises:
        InputError: This trtexec cannot do it.
    """
    arguments = [f"--onnx={onnx}", f"--saveEngine={engine}", *_make_precision_arguments(flags, precision)]
    arguments.append(_make_workspace_argument(flags, workspace_mib))
    build_only = flags.find_first("--skipInference", "--buildOnly")
    if build_only is None:
        raise _make_cannot_error(flags, "build an engine without running it", "--skipInference", "--buildOnly")
    arguments.append(build_only)
    if timing_cache is not None and flags.find_first("--timingCacheFile"):
        arguments.append(f"--timingCacheFile={timing_cache}")
    return arguments + _make_verbosity_arguments(flags)


def make_timing_arguments(flags: TrtexecFlags, *, engine: str, times: str, run: EngineRun) -> list[str]:
    """Return the arguments that time a built engine and write the times of every run to the file `times`.

    Raises:
        InputError: This trtexec cannot do it.
    """
    return [*_make_run_arguments(flags, engine, run), f"--exportTimes={times}"]


def make_profile_arguments(
    flags: TrtexecFlags, *, engine: str, profile: str, run: EngineRun, layer_info: str | None = None
) -> list[str]:
    """Return the arguments that time each layer of a built engine, in runs separate from those timed as a whole.

    Args:
        flags: Options of this trtexec.
        engine: Engine file on the device.
        profile: File on the device to write the layer times to.
        run: How the engine is run. CUDA graphs are refused, because they hide the layers.
        layer_info: File on the device to write the layer information to, if `writes_layer_info`.

    Raises:
        InputError: This trtexec does not support it, or `run` asks for a CUDA graph.
    """
    if run.cuda_graph:
        msg = "the layers of a CUDA graph cannot be timed"
        raise InputError(msg, hint="profile without the CUDA graph; with it, only the whole network can be timed")
    arguments = [*_make_run_arguments(flags, engine, run), "--dumpProfile"]
    if flags.find_first("--separateProfileRun"):
        arguments.append("--separateProfileRun")
    elif not flags.has_new_defaults:
        raise _make_cannot_error(flags, "profile apart from the timed run", "--separateProfileRun")
    arguments.append(f"--exportProfile={profile}")
    if layer_info is not None and writes_layer_info(flags):
        arguments.append(f"--exportLayerInfo={layer_info}")
    return arguments + _make_verbosity_arguments(flags)


def make_output_arguments(flags: TrtexecFlags, *, engine: str, name: str, values: str, output: str) -> list[str]:
    """Return the arguments that run a built engine once on the given input values.

    Args:
        flags: Options of this trtexec. Check them with `gives_outputs` first.
        engine: Engine file on the device.
        name: Name of the engine's input.
        values: File on the device with the raw bytes of the input values.
        output: JSON file on the device to write the output values to.

    Raises:
        InputError: This trtexec cannot do it.
    """
    return [
        f"--loadEngine={engine}",
        f"--loadInputs={name}:{values}",
        "--warmUp=0",
        "--duration=0",
        "--iterations=1",
        *_choose_switch(flags, wanted=True, on="--includeDataTransfers", off="--noDataTransfers"),
        f"--exportOutput={output}",
    ]


def gives_outputs(flags: TrtexecFlags) -> bool:
    """Tell whether this trtexec can run an engine on given input values and write the outputs."""
    return {"--loadInputs", "--exportOutput"} <= flags.known


def writes_layer_info(flags: TrtexecFlags) -> bool:
    """Tell whether this trtexec can write information about the layers of an engine."""
    return "--exportLayerInfo" in flags.known


def find_version(text: str) -> Version | None:
    """Return the version from the last tag in `text`, such as `[TensorRT v8201]`, None if there is no tag."""
    tags = _TAG.findall(text)
    if not tags:
        return None
    number = int(tags[-1])
    base = 10 if number < 10_000 else 100
    return number // (base * 100), number // 100 % base, number % 100


def format_version(version: Version) -> str:
    """Format a version as `8.2.1`."""
    return ".".join(map(str, version))


def _make_run_arguments(flags: TrtexecFlags, engine: str, run: EngineRun) -> list[str]:
    return [
        f"--loadEngine={engine}",
        f"--warmUp={run.warmup_ms}",
        f"--duration={run.duration_s}",
        f"--iterations={run.iterations}",
        "--avgRuns=1",
        *_choose_switch(flags, wanted=run.transfers, on="--includeDataTransfers", off="--noDataTransfers"),
        *_choose_switch(flags, wanted=run.spin_wait, on="--useSpinWait", off="--noSpinWait"),
        *_choose_switch(flags, wanted=run.cuda_graph, on="--useCudaGraph", off="--noCudaGraph"),
    ]


def _choose_switch(flags: TrtexecFlags, *, wanted: bool, on: str, off: str) -> list[str]:
    """Return the option that sets `wanted`, or nothing if trtexec has only an option for the opposite."""
    chosen, opposite = (on, off) if wanted else (off, on)
    if chosen in flags.known:
        return [chosen]
    if opposite in flags.known:
        return []
    raise _make_cannot_error(flags, f"be told whether to use {on}", on, off)


def _make_precision_arguments(flags: TrtexecFlags, precision: str) -> list[str]:
    if precision not in PRECISIONS:
        msg = f"unknown precision {precision!r} (known: {', '.join(PRECISIONS)})"
        raise InputError(msg)
    if precision == "fp32":
        # TF32 is the default on GPUs that have it. It keeps 10 bits of a weight, too few for the same results.
        return ["--noTF32"] if "--noTF32" in flags.known else []
    flag = f"--{precision}"
    if flag not in flags.known:
        msg = f"{flags} has no {flag}: since version 11, the types in the ONNX file set the precision of the engine"
        raise InputError(msg, hint=f"pass an ONNX file that is {precision} itself, and set the precision to fp32")
    return [flag]


def _make_workspace_argument(flags: TrtexecFlags, workspace_mib: int) -> str:
    if workspace_mib < 1:
        msg = f"workspace_mib is {workspace_mib}: it must be at least 1"
        raise InputError(msg)
    if "--memPoolSize" in flags.known:
        return f"--memPoolSize=workspace:{workspace_mib}"
    if "--workspace" in flags.known:
        return f"--workspace={workspace_mib}"
    raise _make_cannot_error(flags, "limit the workspace", "--memPoolSize", "--workspace")


def _make_verbosity_arguments(flags: TrtexecFlags) -> list[str]:
    return ["--profilingVerbosity=detailed"] if "--profilingVerbosity" in flags.known else []


def _make_cannot_error(flags: TrtexecFlags, what: str, *wanted: str) -> InputError:
    return InputError(f"{flags} cannot {what}: it has no {' and no '.join(wanted)}", hint=OTHER_TRTEXEC)
