"""Engines timed by trtexec over a real ssh server; trtexec itself is a stand-in, since no Jetson can be had here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.core.architecture import uniform
from natdeploy.core.layers import walk
from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.io.spaces import find_space
from natdeploy.profilers.covering_networks import make_covering_networks
from natdeploy.profilers.in_context import compute_layer_shares
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.trtexec_timer import TrtexecTimer
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.runtimes.ssh import SshLink
from natdeploy.testing.timers import ModelTimerContract
from tests.support.ssh_server import ADDRESS, ssh_server, write_program
from tests.support.stand_ins import write_stand_in
from tests.support.tool_outputs import HELP_8_0

pytestmark = pytest.mark.device
SPACE = find_space("starter")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    """Model files as a Jetson Nano takes them."""
    return ModelFiles(OnnxExporter(13), tmp_path_factory.mktemp("models"), seed=0)


@pytest.fixture(scope="module")
def jetson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A connection over ssh to a board that has the stand-in for trtexec on its PATH."""
    folder = tmp_path_factory.mktemp("jetson")
    programs = tmp_path_factory.mktemp("programs")
    write_stand_in(programs / "trtexec", "trtexec")
    with pytest.MonkeyPatch.context() as patch, ssh_server(folder, {"PATH": f"{programs}:/usr/bin:/bin"}) as server:
        patch.setenv("PATH", f"{server.folder / 'bin'}:/usr/bin:/bin")
        with Connection("jetson", SshLink(ADDRESS)) as connection:
            yield connection


class TestTrtexecTimer(ModelTimerContract):
    """trtexec, here its stand-in, does what every timer must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrtexecTimer]:
        """The timer of a board that has the stand-in."""
        program = tmp_path_factory.mktemp("programs") / "trtexec"
        write_stand_in(program, "trtexec")
        with Connection("jetson", LocalLink()) as connection:
            yield TrtexecTimer(transport=connection, precision="fp16", program=str(program))

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> OnnxExporter:
        """The exporter of ONNX files as a Jetson Nano takes them."""
        return OnnxExporter(13)


def test_engines_are_built_timed_and_profiled(jetson, files):
    """Files go there, engines are built once, and times and layers come back, with the device's own version."""
    timer = TrtexecTimer(transport=jetson, precision="fp16", rounds=2)
    networks = [
        walk(SPACE, uniform(SPACE, resolution=32, width=0.5, depth=depth, kernel=3, expand_ratio=3), 10)
        for depth in (2, 4)
    ]
    paths = [files.path(layers) for layers in networks]
    assert timer.version() == "8.0.1"
    assert "TensorRT 8.0.1" in timer.fingerprint()
    small, large = timer.time(paths, seed=0).stats
    assert 0 < small.median_ms < large.median_ms
    assert small.runs == 40
    built = {path.stat().st_mtime_ns for path in Path(jetson.folder).glob("*.engine")}
    profiles = timer.operators(paths, seed=0)
    assert {path.stat().st_mtime_ns for path in Path(jetson.folder).glob("*.engine")} == built
    for layers, profile in zip(networks, profiles, strict=True):
        shares = compute_layer_shares(layers, profile)
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["stem"] > 0


def test_engines_that_are_not_needed_leave_the_board(jetson, files):
    """An engine goes with the model that it was built from."""
    timer = TrtexecTimer(transport=jetson, precision="fp32", rounds=1)
    networks = make_covering_networks(SPACE, 0.5, 32)[:2]
    timer.time([files.path(layers) for layers in networks], seed=0)
    timer.time([files.path(networks[1])], seed=0)
    assert len(timer._built) == 1
    assert all(Path(engine).exists() for engine in timer._built.values())


def test_a_device_without_trtexec_says_where_it_comes_from(tmp_path):
    """Where trtexec is missing, the error names the places that were tried."""
    with Connection("jetson", LocalLink()) as connection:
        timer = TrtexecTimer(transport=connection, precision="fp16", program=str(tmp_path / "trtexec"))
        with pytest.raises(MissingRuntimeError, match="jetson: there is no trtexec") as caught:
            timer.version()
    assert "nvidia-jetpack" in str(caught.value.hint)


def test_a_failed_build_tells_trtexecs_reason(tmp_path, files):
    """What trtexec says of a model that it does not take is in the error."""
    write_stand_in(tmp_path / "real", "trtexec")
    failing = (
        f'#!/bin/sh\n[ "$1" = --help ] && exec {tmp_path / "real"} --help\n'
        "echo '[1/2/26-03:04:05] [E] [TRT] No importer registered for op: HardSwish'\nexit 1\n"
    )
    write_program(tmp_path / "trtexec", failing)
    path = files.path(make_covering_networks(SPACE, 0.5, 32)[0])
    with Connection("jetson", LocalLink()) as connection:
        timer = TrtexecTimer(transport=connection, precision="fp16", program=str(tmp_path / "trtexec"))
        with pytest.raises(InputError, match=r"trtexec on jetson, line 1: .*no operator HardSwish"):
            timer.time([path], seed=0)


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("error while loading shared libraries: libnvinfer.so.8: cannot open shared object file", 127, "libnvinfer"),
        ("NvMapMemAllocInternalTagged: /dev/nvmap: Permission denied", 1, "may not use the GPU"),
        ("Illegal instruction", 132, "instructions"),
    ],
)
def test_a_trtexec_that_cannot_even_print_its_help_says_why(tmp_path, text, code, reason):
    """The cause is named where the options of trtexec are read, before anything is built."""
    write_program(tmp_path / "trtexec", f"#!/bin/sh\necho '{text}' >&2\nexit {code}\n")
    with Connection("jetson", LocalLink()) as connection:
        timer = TrtexecTimer(transport=connection, precision="fp16", program=str(tmp_path / "trtexec"))
        with pytest.raises(MissingRuntimeError, match=f"trtexec on jetson: it cannot run: .*{reason}"):
            timer.version()


def test_trtexec_of_tensorrt_7_is_refused_by_name(tmp_path):
    """Its help names no version."""
    untagged = HELP_8_0.replace("[TensorRT v8001] ", "")
    (tmp_path / "help").write_text(untagged, encoding="utf-8")
    write_program(tmp_path / "trtexec", f"#!/bin/sh\ncat {tmp_path / 'help'}\n")
    with Connection("jetson", LocalLink()) as connection:
        timer = TrtexecTimer(transport=connection, precision="fp16", program=str(tmp_path / "trtexec"))
        with pytest.raises(MissingRuntimeError, match="TensorRT 7 or older"):
            timer.version()
