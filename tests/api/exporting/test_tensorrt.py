"""Engines: built on a board over a real ssh server, here, or prepared; trtexec is a stand-in, no Jetson can be had."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest

from natdeploy import cli
from natdeploy.api.exporting import images, tensorrt
from natdeploy.core.device import Device
from natdeploy.io.devices import find_device
from natdeploy.runtimes import trtexec_program
from tests.support.ssh_server import ADDRESS, SshServer, free_port, ssh_server, write_program
from tests.support.stand_ins import write_quick_trtexec
from tests.support.tensorrt_stand_in import VERSIONS, FakeMemory, make_package
from tests.support.tool_outputs import sample
from tests.support.waiting import wait_until

pytestmark = pytest.mark.device
HIDDEN = {"net.json", "net.safetensors"}
PREPARED = {"net.tensorrt.onnx", "net.tensorrt.manifest.json", "net.build.sh"}
SYSTEM = "/usr/bin:/bin"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """A board behind ssh, with a trtexec that can be exchanged."""

    server: SshServer
    folder: Path

    @property
    def program(self) -> Path:
        """Its trtexec."""
        return self.folder / "programs" / "trtexec"

    @property
    def calls(self) -> list[str]:
        """The arguments of each call of trtexec."""
        return (self.folder / "calls").read_text(encoding="utf-8").splitlines()

    def left_over(self) -> list[str]:
        """Return what lies in its folder for temporary files, when it has had time to be removed."""
        folder = self.folder / "tmp"
        wait_until(lambda: not list(folder.iterdir()))
        return [path.name for path in folder.iterdir()]

    def becomes(self, build: str = "", *, run: str = "", without: str = "") -> None:
        """Let its trtexec do something else when it builds or runs, and not know an option."""
        real = shlex.quote(str(self.folder / "real" / "trtexec"))
        hide = f" | grep -v -e '{without}'" if without else ""
        write_program(
            self.program,
            f'#!/bin/sh\necho "$*" >>{self.folder}/calls\ncase "$*" in\n'
            f"--help) {real} --help{hide}; exit;;\n*--saveEngine*) {build or ':'};;\n*) {run or ':'};;\nesac\n"
            f'exec {real} "$@"\n',
        )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The board, switched on."""
    folder, keys = tmp_path_factory.mktemp("board"), tmp_path_factory.mktemp("keys")
    for name in ("tmp", "programs"):
        (folder / name).mkdir()
    (folder / "real").mkdir()
    write_quick_trtexec(folder / "real")
    there = {
        "PATH": f"{folder / 'programs'}:{SYSTEM}",
        "TMPDIR": str(folder / "tmp"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    with ssh_server(keys, there) as server:
        yield Board(server=server, folder=folder)


@pytest.fixture
def board(started: Board) -> Board:
    """The board, with a trtexec that works and a fresh list of calls."""
    (started.folder / "calls").write_text("", encoding="utf-8")
    shutil.rmtree(started.folder / "cache", ignore_errors=True)
    started.becomes()
    return started


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits_subnet: Path) -> Path:
    """A folder with a subnet that is good at the digits."""
    folder = tmp_path_factory.mktemp("trained")
    content = json.loads(digits_subnet.read_text(encoding="utf-8"))
    (folder / "net.json").write_text(json.dumps({**content, "weights": "net.safetensors"}), encoding="utf-8")
    shutil.copy(digits_subnet.with_suffix(".safetensors"), folder / "net.safetensors")
    return folder


@pytest.fixture(autouse=True)
def work(started: Board, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with a subnet, and a home that knows the board and one that is switched off."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    local = f'transport = "local"\nprogram = "{started.program}"\n'
    (home / "devices.toml").write_text(
        f'[nano]\nlike = "jetson-nano"\naddress = "{ADDRESS}"\ntensorrt = "8.0.1"\n'
        f'[other]\nlike = "jetson-nano"\n{local}'
        f'[here]\nlike = "jetson-nano"\n{local}tensorrt = "8.0.1"\n'
        f'[orin]\nlike = "jetson-orin-nano"\n{local}tensorrt = "8.0.1"\n'
        f'[off]\nlike = "jetson-nano"\naddress = "127.0.0.1"\nport = {free_port()}\n',
        encoding="utf-8",
    )
    for name in HIDDEN:
        shutil.copy(trained / name, work / name)
    monkeypatch.chdir(work)
    monkeypatch.setenv("NATDEPLOY_HOME", str(home))
    monkeypatch.setenv("PATH", f"{started.server.folder / 'bin'}:{SYSTEM}")
    monkeypatch.setattr(tensorrt, "_CHECK_IMAGES", 2)
    monkeypatch.setattr(tensorrt, "_COUNTED_IMAGES", 2)
    monkeypatch.setattr(images, "CHECK_IMAGES", 4)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setenv("TMPDIR", str(started.folder / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(started.folder / "cache"))
    return work


Command = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Command:
    """Export the subnet as an engine; return exit code, JSON document and stderr."""

    def run(*arguments: str, format_name: str = "tensorrt") -> tuple[int, dict[str, Any], str]:
        code = cli.run(["export", "net.json", "--format", format_name, *arguments, "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out), told.err

    return run


def names(folder: Path) -> set[str]:
    """Return the names of the files that were written."""
    return {path.name for path in folder.iterdir()} - HIDDEN


def test_an_engine_is_built_checked_and_timed_on_its_board(board, work, export):
    """The ONNX file goes there, the engine comes back, checked and timed there; the manifest tells it all."""
    code, result, told = export("--device", "nano", "--precision", "fp16")
    assert code == 0, told
    assert (result["format"], result["precision"], result["device"]) == ("tensorrt", "fp16", "nano")
    assert names(work) == {"net.engine", "net.manifest.json", "net.build.log"}
    assert (result["artifact"], result["extra_files"]) == ("net.engine", ["net.build.log"])
    assert result["parity"]["passed"]
    assert result["parity"]["inputs"] == 2
    assert result["parity"]["cosine"] > 0.999
    assert result["latency_ms"] > 0
    model = onnx.load(work / "net.engine")  # the stand-in's engine is the file that it was built of
    assert model.opset_import[0].version == 13
    assert not {"HardSwish", "ReduceMean"} & {node.op_type for node in model.graph.node}
    manifest = json.loads((work / "net.manifest.json").read_text(encoding="utf-8"))
    assert manifest["tools"]["tensorrt"] == "8.0.1"
    assert manifest["target"]["device"] == manifest["latency"]["device"] == "nano"
    assert manifest["target"]["built_by"] == "trtexec"
    assert "TensorRT 8.0.1" in manifest["target"]["fingerprint"]
    assert manifest["size_bytes"] == (work / "net.engine").stat().st_size
    assert "&&&& PASSED" in (work / "net.build.log").read_text(encoding="utf-8")
    assert board.left_over() == []


def test_a_board_that_is_not_as_described_is_told(board, export):
    """The version that is there decides, and that it differs from the description is a warning."""
    board.becomes(without="--exportOutput")
    code, _, told = export("--device", "other")
    assert code == 0
    assert "other has TensorRT 8.0.1, but its description says 8.2.1" in told


def test_options_are_those_of_the_boards_trtexec(board, export):
    """The workspace is an eighth of the board's memory, fp16 is allowed only where it is asked for."""
    board.becomes(without="--exportOutput")
    assert export("--device", "here", "--precision", "fp16")[0] == 0
    build = next(call for call in board.calls if "--saveEngine" in call)
    assert "--workspace=500 " in build
    assert "--fp16" in build
    assert "--buildOnly" in build
    (board.folder / "calls").write_text("", encoding="utf-8")
    assert export("--device", "here")[0] == 0
    build = next(call for call in board.calls if "--saveEngine" in call)
    assert "--fp16" not in build
    assert "--noTF32" in build


def test_the_times_of_kernels_are_kept_on_the_board(board, export):
    """A second build starts with the timing cache of the first one, which lies in the user's cache there."""
    board.becomes(without="--exportOutput")
    cache = board.folder / "cache" / "natdeploy" / "tensorrt-8.0.1.timing"
    assert export("--device", "here")[0] == 0
    assert cache.read_text(encoding="utf-8") == "built\n"
    assert export("--device", "here")[0] == 0
    assert cache.read_text(encoding="utf-8") == "built\nbuilt\n"
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_a_failed_build_leaves_the_cache_as_it_was(board, work, export):
    """What a build that failed left of its cache is not kept."""
    board.becomes('for one; do case "$one" in --timing*) echo broken >"${one#*=}";; esac; done; exit 1')
    assert export("--device", "here")[0] == 2
    assert not (board.folder / "cache").exists()
    assert names(work) == set()


def test_int8_is_quantized_as_tensorrt_needs_it(board, work, export):
    """The file is calibrated here, symmetric, and int8 is allowed in the build."""
    code, result, told = export("--device", "orin", "--precision", "int8")
    assert code == 0, told
    assert result["precision"] == "int8"
    assert result["accuracy"]["images"] == 2
    assert "--int8" in next(call for call in board.calls if "--saveEngine" in call)
    model = onnx.load(work / "net.engine")
    stored = {item.name: onnx.numpy_helper.to_array(item) for item in model.graph.initializer}
    pairs = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert pairs
    assert not any(stored[node.input[2]].any() for node in pairs)


def test_an_engine_that_computes_something_else_is_rejected(board, work, export):
    """fp16 that gives garbage, as old versions do, is exit code 1; the file is kept as rejected only."""
    board.becomes(run=f'case "$*" in *exportOutput=*) {_garbage()}; esac')
    code, result, _ = export("--device", "here", "--precision", "fp16")
    assert code == 1
    assert "cosine similarity" in result["error"]["message"]
    assert names(work) == {"net.engine.rejected"}
    assert board.left_over() == []


def test_outputs_that_are_no_numbers_are_rejected(board, export):
    """NaN among the outputs, which is no JSON, is told as what it is."""
    board.becomes(run=f'case "$*" in *exportOutput=*) {_garbage("nan")}; esac')
    code, result, _ = export("--device", "here", "--precision", "fp16")
    assert code == 1
    assert "some outputs of the file are not finite" in result["error"]["message"]


def test_a_trtexec_that_gives_no_outputs_leaves_the_engine_unchecked(board, work, export):
    """The outcome of the check is null, with the reason, and a warning says so; the engine is there."""
    board.becomes(without="--exportOutput")
    code, result, told = export("--device", "here")
    assert code == 0
    assert result["parity"]["passed"] is None
    assert "cannot write outputs" in result["parity"]["reason"]
    assert "not compared with the subnet" in told
    assert "net.engine" in names(work)


@pytest.mark.parametrize(
    ("build", "code", "said"),
    [
        ("exit 137", 2, "killed, most likely for lack of memory"),
        ("echo '[x] [E] Error Code 2: OutOfMemory'; exit 1", 2, "ran out of memory"),
        ("echo 'write: No space left on device'; exit 1", 2, "no space left in"),
        ("echo '[x] [E] [TRT] No importer registered for op: Mish'; exit 1", 2, "no operator Mish"),
        ("exit 0", 2, "did not finish"),
    ],
)
def test_a_build_that_fails_is_one_error_and_leaves_nothing(board, work, export, build, code, said):
    """Out of memory, disk full, an operator without importer, no verdict: the reason, and nothing here or there."""
    board.becomes(build)
    found, result, told = export("--device", "here")
    assert found == code
    assert said in result["error"]["message"]
    assert "Traceback" not in told
    assert names(work) == set()
    assert board.left_over() == []


def test_a_full_disk_that_trtexec_does_not_name_is_found(board, work, export):
    """All that trtexec says is that it could not save; whether the disk is full is looked up."""
    write_program(board.server.folder / "bin" / "df", "#!/bin/sh\necho head; echo disk 100 100 0 100% /\n")
    board.becomes("echo '[x] [E] Saving engine to file failed.'; exit 1")
    try:
        code, result, _ = export("--device", "here")
    finally:
        (board.server.folder / "bin" / "df").unlink()
    assert code == 2
    assert "no space left in" in result["error"]["message"]
    assert result["error"]["code"] == "cannot-write"


def test_a_build_that_takes_too_long_is_ended(board, work, export, monkeypatch):
    """On time-out the build is ended there, and what it can be built of elsewhere is written here."""
    monkeypatch.setattr(trtexec_program.TrtexecProgram, "__init__", _impatient(trtexec_program.TrtexecProgram.__init__))
    board.becomes("sleep 60")
    code, result, _ = export("--device", "nano")
    assert code == 4
    assert "did not finish within 1 s and was killed" in result["error"]["message"]
    assert names(work) == PREPARED
    assert board.left_over() == []


def test_a_cut_connection_is_one_error(board, work, export):
    """When the connection is cut during a build, nothing is left there; here is what it can be built of."""
    board.becomes("sleep 60")
    cutting = threading.Thread(target=_cut_when_building, args=[board])
    cutting.start()
    code, result, _ = export("--device", "nano")
    cutting.join()
    assert code == 4
    assert "the connection was cut" in result["error"]["message"]
    assert names(work) == PREPARED
    assert board.left_over() == []


def test_a_board_without_trtexec_gets_a_script(board, work, export):
    """Exit code 3; ONNX file, manifest and script are written and listed, and the message says the two ways on."""
    board.program.unlink()
    code, result, _ = export("--device", "nano", "--precision", "fp16")
    assert (code, result["error"]["code"]) == (3, "missing-runtime")
    assert "there is no trtexec" in result["error"]["message"]
    assert result["artifacts"] == ["net.tensorrt.onnx", "net.tensorrt.manifest.json", "net.build.sh"]
    assert names(work) == PREPARED
    assert "sh net.build.sh" in result["error"]["hint"]
    assert "--no-build" in result["error"]["hint"]
    assert "--fp16" in (work / "net.build.sh").read_text(encoding="utf-8")


@pytest.mark.parametrize(("device", "said"), [("off", "refuses the connection"), ("jetson-nano", "not connected")])
def test_a_device_that_cannot_be_reached_gets_a_script(work, export, device, said):
    """Exit code 4, with the same files, and how to reach the device."""
    code, result, _ = export("--device", device)
    assert (code, result["error"]["code"]) == (4, "device-unreachable")
    assert said in result["error"]["message"]
    assert "devices.toml" in result["error"]["hint"]
    assert names(work) == PREPARED
    model = onnx.load(work / "net.tensorrt.onnx")
    assert model.opset_import[0].version == 13
    manifest = json.loads((work / "net.tensorrt.manifest.json").read_text(encoding="utf-8"))
    assert manifest["target"] == {"importer": f"TensorRT 8.2.1 of {device}"}


def test_no_build_wants_just_the_script(work, export):
    """With --no-build the same files are success, and no device is touched."""
    code, result, _ = export("--device", "off", "--no-build")
    assert (code, result["ok"]) == (0, True)
    assert (result["artifact"], result["extra_files"]) == ("net.tensorrt.onnx", ["net.build.sh"])
    assert result["parity"]["passed"]
    assert names(work) == PREPARED


def test_the_script_builds_the_engine_on_the_board(work, export, board):
    """The script that is written runs against the board's trtexec as it is."""
    assert export("--device", "off", "--precision", "fp16", "--no-build")[0] == 0
    done = subprocess.run(["sh", "net.build.sh", str(board.program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (work / "net.engine").read_bytes() == (work / "net.tensorrt.onnx").read_bytes()


def test_what_was_written_before_an_error_is_listed(work, export):
    """Formats that were finished before another one failed are among the artifacts, and stay what they were."""
    code, result, _ = export("--format", "tensorrt", "--device", "off", "--precision", "fp16", format_name="onnx")
    assert code == 4
    finished = ["net.onnx", "net.manifest.json"]
    assert result["artifacts"] == [*finished, "net.tensorrt.onnx", "net.tensorrt.manifest.json", "net.build.sh"]
    assert names(work) == {*finished, *PREPARED}
    assert json.loads((work / "net.manifest.json").read_text(encoding="utf-8"))["precision"] == "fp16"


def test_without_tensorrt_here_a_script_is_written(work, export):
    """Neither trtexec nor the package on this machine: exit code 3, with the usual opset."""
    code, result, _ = export()
    assert (code, result["error"]["code"]) == (3, "missing-runtime")
    assert "there is no TensorRT on this machine: no trtexec" in result["error"]["message"]
    assert "pip install tensorrt" in result["error"]["hint"]
    assert names(work) == PREPARED
    assert onnx.load(work / "net.tensorrt.onnx").opset_import[0].version == 17


def test_trtexec_of_this_machine_is_used(work, export, board, monkeypatch):
    """With trtexec on PATH the engine is built here, with the opset of the version that it turns out to be."""
    monkeypatch.setenv("PATH", f"{board.program.parent}:{SYSTEM}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(board.folder / "cache"))
    code, result, told = export()
    assert code == 0, told
    assert result["device"] == "host"
    assert onnx.load(work / "net.engine").opset_import[0].version == 13
    assert names(work) == {"net.engine", "net.manifest.json", "net.build.log"}


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[3]])
def test_the_package_of_this_machine_is_used(work, export, monkeypatch, tmp_path, version):
    """Without trtexec the Python package builds, checks and times; here a stand-in, in memory of this machine.

    The engine is timed in another process, which gets the stand-in from Python's own start-up file.
    """
    from natdeploy.runtimes import tensorrt

    monkeypatch.setitem(sys.modules, "tensorrt", make_package(version))
    monkeypatch.setattr(tensorrt.TensorrtRuntime.__init__, "__defaults__", (FakeMemory,))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])]))
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfrom tests.support.tensorrt_stand_in import FakeMemory, make_package\n"
        f"sys.modules['tensorrt'] = make_package({version!r})\nfrom natdeploy.runtimes import tensorrt\n"
        "tensorrt.TensorrtRuntime.__init__.__defaults__ = (FakeMemory,)\n",
        encoding="utf-8",
    )
    code, result, told = export("--precision", "fp16")
    assert code == 0, told
    assert result["latency_ms"] > 0
    assert result["parity"]["passed"]
    manifest = json.loads((work / "net.manifest.json").read_text(encoding="utf-8"))
    assert manifest["tools"]["tensorrt"] == version
    assert manifest["target"]["built_by"] == "tensorrt (Python)"
    types = {item.data_type for item in onnx.load(work / "net.engine").graph.initializer}
    assert (onnx.TensorProto.FLOAT16 in types) == version.startswith("11.")


def test_int8_on_a_nano_is_refused_with_the_reason(work, export):
    """Maxwell has no fast int8: refused before anything is written or touched."""
    code, result, _ = export("--device", "off", "--precision", "int8")
    assert code == 2
    assert "off has no fast int8 arithmetic" in result["error"]["message"]
    assert "Maxwell" in result["error"]["message"]
    assert result["error"]["hint"] == "use --precision fp16"
    assert names(work) == set()


def test_onnx_for_a_device_has_its_opset_and_is_timed_there(board, work, export):
    """`--format onnx --device` gives the device's opset, and the latency of the engine that it builds of it."""
    code, result, told = export("--device", "nano", format_name="onnx")
    assert code == 0, told
    assert (result["format"], result["device"]) == ("onnx", "nano")
    assert result["latency_ms"] > 0
    assert onnx.load(work / "net.onnx").opset_import[0].version == 13
    code, result, told = export("--device", "nano", "--opset", "17", format_name="onnx")
    assert code == 1
    assert "HardSwish" in result["error"]["message"]


def test_onnx_for_a_device_that_is_not_there_has_no_latency(work, export):
    """The file is checked here and written; that its latency is not measured is said."""
    code, result, told = export("--device", "jetson-nano", format_name="onnx")
    assert (code, result["latency_ms"]) == (0, None)
    assert "the latency on jetson-nano is not measured: jetson-nano is not connected" in told
    assert names(work) == {"net.onnx", "net.manifest.json"}


def test_an_engine_is_measured_where_it_was_built(board, work, export, capsys):
    """`measure FILE.engine --device` runs the engine as it is, without building anything."""
    board.becomes(without="--exportOutput")
    assert export("--device", "nano")[0] == 0
    (board.folder / "calls").write_text("", encoding="utf-8")
    assert cli.run(["measure", "net.engine", "--device", "nano", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["runtime"], result["device"]) == ("tensorrt", "nano")
    assert result["median_ms"] > 0
    assert not any("--saveEngine" in call for call in board.calls)


def test_an_engine_of_another_version_is_one_error(board, work, capsys):
    """What TensorRT really says of a foreign engine is one error that says what to do."""
    lines = sample("trtexec_failures.log").split("# --- ")[3].splitlines()[1:3]
    (board.folder / "says").write_text("\n".join(lines) + "\n", encoding="utf-8")
    board.becomes(run=f"cat {board.folder}/says; exit 1")
    (work / "old.engine").write_bytes(b"built by another version")
    assert cli.run(["measure", "old.engine", "--device", "here", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "built by another version of TensorRT (serialization version 43; this one reads 0)" in error["message"]
    assert "on the device itself" in error["hint"]


def test_an_engine_of_another_version_is_known_by_its_manifest(board, work, export, capsys):
    """Some versions crash on a foreign engine: where a manifest tells who built it, it is not run at all."""
    board.becomes(without="--exportOutput")
    assert export("--device", "here")[0] == 0
    manifest = json.loads((work / "net.manifest.json").read_text(encoding="utf-8"))
    manifest["tools"]["tensorrt"] = "10.3.0"
    (work / "net.manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    board.becomes(run="kill -SEGV $$")
    assert cli.run(["measure", "net.engine", "--device", "here", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == "net.engine: built by TensorRT 10.3.0 and cannot be run by TensorRT 8.0.1"
    (work / "net.engine").write_bytes(b"another file")
    assert cli.run(["measure", "net.engine", "--device", "here", "--json"]) == 2
    assert "it crashed" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_an_engine_without_tensorrt_is_one_error(work, capsys):
    """On a machine without TensorRT the error says what to install; a file that is not there is told first."""
    (work / "net.engine").write_bytes(b"engine")
    assert cli.run(["measure", "net.engine", "--json"]) == 3
    assert "pip install tensorrt" in json.loads(capsys.readouterr().out)["error"]["hint"]
    assert cli.run(["measure", "gone.engine", "--json"]) == 2
    assert "gone.engine: no such file" in json.loads(capsys.readouterr().out)["error"]["message"]


@pytest.mark.parametrize(("memory_gb", "expected"), [(4.0, 500), (8.0, 1000), (64.0, 1024), (0.5, 128), (None, 500)])
def test_the_workspace_is_an_eighth_of_the_memory(memory_gb, expected):
    """At most a GiB, and the figure of a board of 4 GB where nobody has said."""
    device: Device = dataclasses.replace(find_device("jetson-nano"), memory_gb=memory_gb)
    assert tensorrt.workspace_mib(device) == expected


def _garbage(value: str = "1") -> str:
    """Return shell lines that write outputs which have nothing to do with the image."""
    values = ", ".join([value, *("0.5" for _ in range(9))])
    text = f'[ {{ "name" : "logits", "dimensions" : "1x10", "values" : [ {values} ] }} ]'
    passed = "&&&& PASSED TensorRT.trtexec [TensorRT v8001] # trtexec"
    return (
        f'for one; do case "$one" in --exportOutput=*) echo \'{text}\' >"${{one#*=}}";; esac; done; '
        f"echo '{passed}'; exit 0;"
    )


def _impatient(init: Callable[..., None]) -> Callable[..., None]:
    def changed(self: object, **arguments: object) -> None:
        init(self, **{**arguments, "build_s": 1.0})

    return changed


def _cut_when_building(board: Board) -> None:
    wait_until(lambda: any("--saveEngine" in call for call in board.calls))
    board.server.cut()
