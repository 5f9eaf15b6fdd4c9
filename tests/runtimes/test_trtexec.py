"""Arguments of trtexec: chosen by what its help lists. The help texts of `tests.support.tool_outputs` are made up."""

from __future__ import annotations

import re

import pytest

from natdeploy.errors import InputError
from natdeploy.runtimes.trtexec import (
    EngineRun,
    TrtexecFlags,
    find_version,
    gives_outputs,
    make_build_arguments,
    make_output_arguments,
    make_profile_arguments,
    make_timing_arguments,
    writes_layer_info,
)
from tests.support.tool_outputs import HELP_8_0, HELP_8_5, HELP_10, HELP_11, trtexec_help

HELPS = {"8.0": HELP_8_0, "8.5": HELP_8_5, "10": HELP_10, "11": HELP_11}


def flags(version: str) -> TrtexecFlags:
    """Return what the trtexec of a version knows."""
    return TrtexecFlags.from_help(HELPS[version])


def build(version: str, precision: str = "fp16") -> list[str]:
    """Return arguments of a build."""
    return make_build_arguments(
        flags(version), onnx="m.onnx", engine="m.engine", precision=precision, workspace_mib=512, timing_cache="t.cache"
    )


def test_options_and_version_are_read_from_the_help():
    """An option is known by its name, whatever its value and its explanation."""
    found = TrtexecFlags.from_help(HELP_8_0 + "                              Note: see --stronglyTyped\n")
    assert {"--workspace", "--fp16", "--exportTimes"} <= found.known
    assert not found.known & {"--memPoolSize", "--workspace=N", "--stronglyTyped"}
    assert found.version == (8, 0, 1)


@pytest.mark.parametrize("text", ["", "bash: trtexec: command not found", "--onnx", "\0\x7fELF", HELP_8_0[:300]])
def test_what_is_no_help_of_trtexec_is_refused(text):
    """Another program's output, or one that is cut short, tells no options."""
    with pytest.raises(InputError, match="not the help of a usable trtexec"):
        TrtexecFlags.from_help(text)


@pytest.mark.parametrize(
    ("tag", "version"),
    [("8001", (8, 0, 1)), ("8201", (8, 2, 1)), ("8500", (8, 5, 0)), ("100300", (10, 3, 0)), ("110100", (11, 1, 0))],
)
def test_a_version_is_read_from_its_tag(tag, version):
    """Tags have two digits a part from version 10 on, one for the minor version before."""
    assert find_version(f"&&&& PASSED TensorRT.trtexec [TensorRT v{tag}] [b34] # trtexec") == version


@pytest.mark.parametrize("version", HELPS)
def test_arguments_hold_nothing_that_this_trtexec_does_not_know(version):
    """An unknown option would end the program."""
    run = EngineRun(warmup_ms=500, duration_s=5, iterations=50)
    calls = [
        build(version, "fp32"),
        make_timing_arguments(flags(version), engine="m.engine", times="t.json", run=run),
        make_profile_arguments(flags(version), engine="m.engine", profile="p.json", run=run, layer_info="l.json"),
    ]
    for arguments in calls:
        assert {argument.split("=")[0] for argument in arguments} <= flags(version).known
        assert len(arguments) == len(set(arguments))


def test_a_build_uses_the_options_of_its_version():
    """Workspace and building alone have other names in other versions."""
    assert build("8.0") == [
        "--onnx=m.onnx",
        "--saveEngine=m.engine",
        "--fp16",
        "--workspace=512",
        "--buildOnly",
        "--timingCacheFile=t.cache",
    ]
    assert build("10", "int8") == [
        "--onnx=m.onnx",
        "--saveEngine=m.engine",
        "--int8",
        "--memPoolSize=workspace:512",
        "--skipInference",
        "--timingCacheFile=t.cache",
        "--profilingVerbosity=detailed",
    ]
    assert "--memPoolSize=workspace:512" in build("8.5")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_that_trtexec_cannot_set_is_refused(precision):
    """From 11 on the ONNX file alone says the precision; fp32 would be built without a word."""
    with pytest.raises(InputError, match=f"trtexec of TensorRT 11.1.0 has no --{precision}") as caught:
        build("11", precision)
    assert precision in (caught.value.hint or "")
    assert "--fp16" not in build("11", "fp32")


def test_an_unknown_precision_or_workspace_is_refused():
    """Only precisions that natdeploy knows are passed on."""
    with pytest.raises(InputError, match="unknown precision 'best'"):
        build("8.0", "best")
    with pytest.raises(InputError, match="workspace_mib is 0"):
        make_build_arguments(flags("10"), onnx="m", engine="e", precision="fp32", workspace_mib=0)


def test_a_trtexec_that_cannot_build_alone_or_limit_memory_is_refused():
    """What is needed and missing is named."""
    for lacking, name in (("--buildOnly", "--skipInference"), ("--workspace", "--memPoolSize")):
        text = re.sub(rf"  {lacking}.*\n", "", HELP_8_0)
        with pytest.raises(InputError, match=f"no {name}"):
            make_build_arguments(TrtexecFlags.from_help(text), onnx="m", engine="e", precision="fp32", workspace_mib=1)


def test_timing_states_what_is_on_and_off():
    """Before 11 the defaults are off, so that only what is on needs a word; transfers are on and are switched off."""
    arguments = make_timing_arguments(flags("8.0"), engine="m.engine", times="t.json", run=EngineRun())
    assert arguments == [
        "--loadEngine=m.engine",
        "--warmUp=1000",
        "--duration=10",
        "--iterations=100",
        "--avgRuns=1",
        "--noDataTransfers",
        "--useSpinWait",
        "--exportTimes=t.json",
    ]
    on = make_timing_arguments(
        flags("10"), engine="e", times="t", run=EngineRun(transfers=True, spin_wait=False, cuda_graph=True)
    )
    assert "--useCudaGraph" in on
    assert not {"--noDataTransfers", "--useSpinWait"} & set(on)


def test_the_turned_around_defaults_of_11_are_undone():
    """There a CUDA graph would be used, and transfers left out, without being asked for."""
    off = make_timing_arguments(flags("11"), engine="e", times="t", run=EngineRun(transfers=True, spin_wait=False))
    assert {"--includeDataTransfers", "--noSpinWait", "--noCudaGraph"} <= set(off)
    on = make_timing_arguments(flags("11"), engine="e", times="t", run=EngineRun(cuda_graph=True))
    assert {"--noDataTransfers", "--useSpinWait", "--useCudaGraph"} <= set(on)
    assert flags("11").has_new_defaults
    assert not flags("10").has_new_defaults


def test_a_trtexec_that_knows_neither_side_of_a_switch_is_refused():
    """What holds could not be told."""
    text = re.sub(r"  --noDataTransfers.*\n", "", HELP_10)
    with pytest.raises(InputError, match="no --includeDataTransfers and no --noDataTransfers"):
        make_timing_arguments(TrtexecFlags.from_help(text), engine="e", times="t", run=EngineRun())


def test_a_profile_is_taken_apart_from_the_timed_run():
    """Profiling slows the network down; versions from 11 on always keep it apart."""
    call = {"engine": "e", "profile": "p.json", "run": EngineRun(), "layer_info": "l.json"}
    old = make_profile_arguments(flags("8.0"), **call)
    assert old[-3:] == ["--dumpProfile", "--separateProfileRun", "--exportProfile=p.json"]
    assert not writes_layer_info(flags("8.0"))
    new = make_profile_arguments(flags("8.5"), **call)
    assert new[-2:] == ["--exportLayerInfo=l.json", "--profilingVerbosity=detailed"]
    without = re.sub(r"  --separateProfileRun.*\n", "", HELP_10)
    with pytest.raises(InputError, match="cannot profile apart"):
        make_profile_arguments(TrtexecFlags.from_help(without), **call)
    without = re.sub(r"  --separateProfileRun.*\n", "", HELP_11)
    assert "--dumpProfile" in make_profile_arguments(TrtexecFlags.from_help(without), **call)


def test_layers_are_not_profiled_within_a_cuda_graph():
    """A graph is launched as one."""
    with pytest.raises(InputError, match="CUDA graph"):
        make_profile_arguments(flags("8.5"), engine="e", profile="p", run=EngineRun(cuda_graph=True))


@pytest.mark.parametrize("name", ["warmup_ms", "duration_s", "iterations"])
def test_a_run_without_warmup_or_length_is_refused(name):
    """Each must be at least 1."""
    with pytest.raises(InputError, match=f"{name} is 0"):
        EngineRun(**{name: 0})


def test_a_help_without_version_is_read_too():
    """The version is for messages and exported times; the log tells it again."""
    text = trtexec_help(" ".join(sorted(flags("8.0").known))).split("\n", 1)[1]
    assert TrtexecFlags.from_help(text).version is None


@pytest.mark.parametrize("version", HELPS)
def test_outputs_need_inputs_and_transfers(version):
    """An engine is run once on given values; from 11 on, copying them has to be asked for."""
    assert gives_outputs(flags(version))
    arguments = make_output_arguments(flags(version), engine="e", name="image", values="i.bin", output="o.json")
    assert "--loadInputs=image:i.bin" in arguments
    assert "--exportOutput=o.json" in arguments
    assert ("--includeDataTransfers" in arguments) == (version == "11")
    assert {argument.split("=")[0] for argument in arguments} <= flags(version).known


@pytest.mark.parametrize("flag", ["--loadInputs", "--exportOutput"])
def test_a_trtexec_without_inputs_or_outputs_gives_none(flag):
    """Both options are needed."""
    assert not gives_outputs(TrtexecFlags.from_help(re.sub(rf"  {flag}.*\n", "", HELP_10)))


def test_fp32_is_built_without_tf32():
    """TF32 would round weights to ten bits; what is asked for is fp32."""
    assert "--noTF32" in build("10", "fp32")
    assert "--noTF32" not in build("10", "fp16")
