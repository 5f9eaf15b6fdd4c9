"""TensorRT's `trtexec`: which options the one at hand knows, and the arguments that build, time and profile an engine.

Options come and go between versions, and an unknown one ends the program; version 11 turned the defaults for CUDA
graph, spin-wait and data transfers around. So options are chosen by what `trtexec --help` lists, never by version, and
these three are always settled on purpose.
"""

from __future__ import annotations

import dataclasses
import re

from natdeploy.core.device import PRECISIONS
from natdeploy.errors import InputError

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
_OTHER_TRTEXEC = "use the trtexec of TensorRT 8.0 to 11; on a Jetson it is /usr/src/tensorrt/bin/trtexec"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrtexecFlags:
    """The options that one `trtexec` knows.

    Args:
        known: Options with their dashes, without values.
        version: Version of TensorRT, where the text names it.
    """

    known: frozenset[str]
    version: Version | None = None

    @classmethod
    def from_help(cls, text: str) -> TrtexecFlags:
        """Read what `trtexec --help` prints.

        Raises:
            InputError: The text is not that of a usable `trtexec`, or it was cut short.
        """
        known = frozenset(_OPTION.findall(text))
        missing = [flag for flag in _ESSENTIAL if flag not in known]
        if missing:
            what = "lists no options" if not known else f"does not list {', '.join(missing)}"
            msg = f"trtexec --help: not the help of a usable trtexec: it {what}"
            raise InputError(msg, hint=_OTHER_TRTEXEC)
        return cls(known=known, version=find_version(text))

    def find_first(self, *flags: str) -> str | None:
        """Return the first of `flags` that this trtexec knows, None if it knows none of them."""
        return next((flag for flag in flags if flag in self.known), None)

    @property
    def has_new_defaults(self) -> bool:
        """Whether CUDA graph and spin-wait are on, and data transfers off, unless an option says otherwise (11)."""
        return _NEW_DEFAULTS in self.known

    def __str__(self) -> str:
        return "trtexec" if self.version is None else f"trtexec of TensorRT {format_version(self.version)}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EngineRun:
    """How an engine is run.

    Args:
        warmup_ms: Milliseconds before anything counts.
        duration_s: Least seconds that count.
        iterations: Least runs that count.
        transfers: Whether input and output are copied between host and device.
        spin_wait: Whether the host waits actively for the device.
        cuda_graph: Whether the network is launched as one CUDA graph; right only where the deployed program does so.

    Raises:
        InputError: A number is not positive; no warm-up is not allowed either.
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
    """Return the arguments that build an engine and do not run it.

    Args:
        flags: What this trtexec knows.
        onnx: ONNX file on the device.
        engine: Engine file to write there.
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
    """Return the arguments that time a built engine and write every run's times to the file `times`.

    Raises:
        InputError: This trtexec cannot do it.
    """
    return [*_make_run_arguments(flags, engine, run), f"--exportTimes={times}"]


def make_profile_arguments(
    flags: TrtexecFlags, *, engine: str, profile: str, run: EngineRun, layer_info: str | None = None
) -> list[str]:
    """Return the arguments that time each layer of a built engine, apart from the run that is timed as a whole.

    Args:
        flags: What this trtexec knows.
        engine: Engine file on the device.
        profile: File to write the times of the layers to.
        run: How it is run; CUDA graphs, which hide the layers, are refused.
        layer_info: File to write what the layers are to, used where trtexec knows how: see `writes_layer_info`.

    Raises:
        InputError: This trtexec cannot do it, or `run` wants a CUDA graph.
    """
    if run.cuda_graph:
        msg = "layers cannot be timed within a CUDA graph"
        raise InputError(msg, hint="profile without the CUDA graph; only the whole network can be timed with it")
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
    """Return the arguments that run a built engine once on given values.

    Args:
        flags: What this trtexec knows; see `gives_outputs`.
        engine: Engine file on the device.
        name: Name of the engine's input.
        values: File of the values of the input there, as they lie in memory.
        output: JSON file to write the values of the outputs to.

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
    """Tell whether this trtexec can run an engine on given values and write its outputs."""
    return {"--loadInputs", "--exportOutput"} <= flags.known


def writes_layer_info(flags: TrtexecFlags) -> bool:
    """Tell whether this trtexec can write what the layers of an engine are."""
    return "--exportLayerInfo" in flags.known


def find_version(text: str) -> Version | None:
    """Return the version that the last `[TensorRT v8201]` of `text` stands for, None where there is none."""
    tags = _TAG.findall(text)
    if not tags:
        return None
    number = int(tags[-1])
    base = 10 if number < 10_000 else 100
    return number // (base * 100), number // 100 % base, number % 100


def format_version(version: Version) -> str:
    """Return a version as users know it: `8.2.1`."""
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
    """Return what states `wanted`: nothing where the only option that is known states the opposite."""
    chosen, opposite = (on, off) if wanted else (off, on)
    if chosen in flags.known:
        return [chosen]
    if opposite in flags.known:
        return []
    raise _make_cannot_error(flags, f"tell whether {on} holds", on, off)


def _make_precision_arguments(flags: TrtexecFlags, precision: str) -> list[str]:
    if precision not in PRECISIONS:
        msg = f"unknown precision {precision!r} (known: {', '.join(PRECISIONS)})"
        raise InputError(msg)
    if precision == "fp32":
        # TF32, the default where the GPU has it, keeps ten bits of a weight: too few to compute the same.
        return ["--noTF32"] if "--noTF32" in flags.known else []
    flag = f"--{precision}"
    if flag not in flags.known:
        msg = f"{flags} has no {flag}: from version 11 on, an engine has the precision of the ONNX file's own types"
        raise InputError(msg, hint=f"give it an ONNX file that is {precision} itself, with precision fp32")
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
    return InputError(f"{flags} cannot {what}: it has no {' and no '.join(wanted)}", hint=_OTHER_TRTEXEC)
