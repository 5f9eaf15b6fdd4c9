"""Boards timed by the agent: over a real ssh server, and over this machine's own shell."""

from __future__ import annotations

import ast
import dataclasses
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.api.context import SystemClock
from natdeploy.core.architecture import uniform
from natdeploy.core.device import Deployment
from natdeploy.core.layers import walk
from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError, OutputError
from natdeploy.export.onnx import OnnxExporter
from natdeploy.export.tflite_direct import TfliteDirectExporter
from natdeploy.io.spaces import find_space
from natdeploy.profilers.agent_timer import AgentTimer
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.table_building import profile_device
from natdeploy.runtimes import agent
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.runtimes.litert import LitertRuntime
from natdeploy.runtimes.ssh import SshLink
from natdeploy.testing.choices import with_choices
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.timers import ModelTimerContract
from tests.support.host_timer import SHORT
from tests.support.ssh_server import ADDRESS, SshServer, ssh_server, write_program

pytestmark = pytest.mark.device
SPACE = with_choices(
    dataclasses.replace(find_space("starter"), name="tiny", resolutions=(32, 48)),
    kernels=(3,),
    expand_ratios=(3, 4),
    depths=(1, 2),
)
DEPLOYMENT = Deployment(device="board", runtime="onnxruntime", precision="fp32", batch=1, threads=1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A board."""
    with ssh_server(tmp_path_factory.mktemp("board")) as server:
        yield server


@pytest.fixture
def board(running: SshServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A connection to the board, over ssh."""
    monkeypatch.setenv("PATH", f"{running.folder / 'bin'}:/usr/bin:/bin")
    with Connection("board", SshLink(ADDRESS)) as connection:
        yield connection


@pytest.fixture
def here() -> Iterator[Connection]:
    """A connection to this machine, without ssh."""
    with Connection("board", LocalLink()) as connection:
        yield connection


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small and a large network."""
    files = ModelFiles(OnnxExporter(), tmp_path_factory.mktemp("models"), seed=0)
    space = find_space("starter")
    networks = [
        uniform(space, resolution=32, width=0.5, depth=2, kernel=3, expand_ratio=3),
        uniform(space, resolution=48, width=0.5, depth=4, kernel=7, expand_ratio=6),
    ]
    return [files.path(walk(space, network, 10)) for network in networks]


class TestAgentTimer(ModelTimerContract):
    """The agent does what every timer must do, with ONNX files."""

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls) -> Iterator[AgentTimer]:
        """The agent on this machine, as a board without a network."""
        with Connection("board", LocalLink()) as connection:
            yield timer_on(connection)

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> OnnxExporter:
        """The exporter of ONNX files."""
        return OnnxExporter()


class TestLitertAgentTimer(TestAgentTimer):
    """The agent does what every timer must do, with TFLite files, of which it does not tell the operators."""

    @pytest.fixture(scope="class")
    @classmethod
    def timer(cls) -> Iterator[AgentTimer]:
        """The agent with LiteRT."""
        pytest.importorskip("ai_edge_litert")
        with Connection("board", LocalLink()) as connection:
            yield timer_on(connection, runtime="litert")

    @pytest.fixture(scope="class")
    @classmethod
    def exporter(cls) -> TfliteDirectExporter:
        """The exporter of TFLite files."""
        return TfliteDirectExporter()


def timer_on(connection: Connection, **options) -> AgentTimer:
    """Return the timer of a board whose Python is this one."""
    return AgentTimer(
        **{"transport": connection, "runtime": "onnxruntime", "threads": 1, "python": sys.executable, **options},
        timing=SHORT,
        profile_runs=8,
    )


def profiled(timer, folder: Path, reporter: RecordingReporter | None = None):
    """Profile a board over the small space."""
    setup = ProfilingSetup(
        timer=timer,
        exporter=OnnxExporter(),
        clock=SystemClock(),
        reporter=reporter or RecordingReporter(),
        seed=0,
        validation_networks=2,
    )
    return profile_device(SPACE, DEPLOYMENT, setup, existing=None, journal=folder / "rows.jsonl")


def test_a_board_is_timed_as_this_machine_is(board, here, models):
    """Over ssh the same version, machine and operators are found as here, and the larger network is slower."""
    remote, local = timer_on(board), timer_on(here)
    assert (remote.version(), remote.fingerprint()) == (local.version(), local.fingerprint())
    assert remote.protocol() == local.protocol()
    assert remote.conditions().keys() == local.conditions().keys()
    small, large = remote.time(models, seed=0).stats
    assert 0 < small.median_ms < large.median_ms
    assert small.runs == SHORT.rounds * SHORT.min_runs
    for there, own in zip(remote.operators(models, seed=0), local.operators(models, seed=0), strict=True):
        assert sorted(node.op for node in there.nodes) == sorted(node.op for node in own.nodes)
        assert there.times_us.shape == own.times_us.shape == (8, len(there.nodes))
        assert there.with_overhead


def test_a_board_is_profiled_and_what_was_measured_before_a_cut_is_kept(running, monkeypatch, tmp_path):
    """A connection that is cut costs the resolution that was being measured; the next call goes on from there."""
    monkeypatch.setenv("PATH", f"{running.folder / 'bin'}:/usr/bin:/bin")
    with Connection("board", SshLink(ADDRESS)) as connection:
        first = RecordingReporter(lambda step: running.cut() if step.done == 1 else None)
        with pytest.raises(DeviceUnreachableError, match=r"board: the connection was cut"):
            profiled(timer_on(connection), tmp_path, first)
    with Connection("board", SshLink(ADDRESS)) as connection:
        second = RecordingReporter()
        table = profiled(timer_on(connection), tmp_path, second)
    assert first.details == ["width 0.5, resolution 32", "width 0.5, resolution 48"]
    assert second.details == ["width 0.5, resolution 48"]
    assert table.find_covered_resolutions(SPACE, 1000) == SPACE.resolutions
    assert (table.provenance, table.method, table.validation.networks) == ("measured", "in-context", 2)


def test_model_files_are_sent_once_and_removed_when_not_needed(here, models):
    """A file that is timed twice is sent once; one that is not timed any more leaves the board."""
    timer = timer_on(here)
    timer.time(models, seed=0)
    there = sorted(Path(here.folder).glob("*.onnx"))
    written = [path.stat().st_mtime_ns for path in there]
    timer.time(models, seed=1)
    assert [path.stat().st_mtime_ns for path in there] == written
    timer.time(models[:1], seed=1)
    assert len(list(Path(here.folder).glob("*.onnx"))) == 1


@pytest.mark.parametrize(("runtime", "package"), [("onnxruntime", "numpy"), ("litert", "numpy")])
def test_a_board_without_numpy_gets_the_install_command(board, tmp_path, runtime, package):
    """Where Python lacks a package, the error names it and the command that installs it on the board."""
    bare = tmp_path / "python3"
    write_program(bare, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    with pytest.raises(MissingRuntimeError, match=f"board: {package} cannot be used there") as caught:
        timer_on(board, runtime=runtime, python=str(bare)).version()
    assert caught.value.hint == f"on board: {bare} -m pip install {package}"


@pytest.mark.parametrize(
    ("runtime", "modules", "package"),
    [
        ("onnxruntime", ["onnxruntime"], "onnxruntime"),
        ("litert", ["ai_edge_litert", "tflite_runtime"], "ai-edge-litert"),
    ],
)
def test_a_board_without_the_runtime_gets_the_install_command(board, tmp_path, runtime, modules, package):
    """A board with numpy and without the runtime is told apart from one that cannot be reached."""
    for module in modules:
        folder = tmp_path / module
        folder.mkdir()
        (folder / "__init__.py").write_text(f"raise ImportError('no module {module}')", encoding="utf-8")
    bare = tmp_path / "python3"
    write_program(bare, f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(tmp_path))} exec {shlex.quote(sys.executable)} "$@"\n')
    with pytest.raises(MissingRuntimeError, match=f"board: {package} cannot be used there") as caught:
        timer_on(board, runtime=runtime, python=str(bare)).version()
    assert caught.value.hint == f"on board: {bare} -m pip install {package}"


def test_a_board_without_python_gets_the_install_command(board):
    """Where there is no Python at all, the error says so."""
    with pytest.raises(MissingRuntimeError, match=r"board: there is no python3\.99") as caught:
        timer_on(board, python="python3.99").version()
    assert "sudo apt install python3" in str(caught.value.hint)


def test_a_damaged_model_is_refused_by_the_board(here, tmp_path):
    """A file that the runtime does not take is bad input, not a lost device."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"broken\.onnx: not a model that onnxruntime on board takes"):
        timer_on(here).time([path], seed=0)


def test_a_measurement_that_is_killed_is_no_latency(here, models, tmp_path):
    """What was printed before the agent was killed is not taken for the whole result."""
    dying = tmp_path / "python3"
    write_program(dying, "#!/bin/sh\necho '{\"rounds\": [[0.001]]}'\nkill -9 $$\n")
    with pytest.raises(DeviceUnreachableError, match=r"it was killed, most likely for lack of memory"):
        timer_on(here, python=str(dying)).time(models, seed=0)


def test_a_board_whose_disk_is_full_while_it_measures_says_so(here, models, tmp_path):
    """A profile that cannot be written on the board is an error of the board's disk."""
    full = tmp_path / "python3"
    write_program(full, '#!/bin/sh\necho \'{"error": "no-space", "message": "[Errno 28] No space left on device"}\'\n')
    with pytest.raises(OutputError, match=r"board: no space left in .* for the results of a measurement"):
        timer_on(here, python=str(full)).operators(models, seed=0)


def test_the_agent_is_one_file_for_an_old_python():
    """It parses as Python 3.8 and imports nothing but the standard library and numpy at its top."""
    tree = ast.parse(Path(agent.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in imports if isinstance(node, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names)


def test_a_board_with_litert_is_timed(here, tmp_path):
    """TFLite files run there as here: the larger network is the slower one, and operators are not told."""
    pytest.importorskip("ai_edge_litert")
    files = ModelFiles(TfliteDirectExporter(), tmp_path, seed=0)
    space = find_space("starter")
    networks = [
        uniform(space, resolution=32, width=0.5, depth=2, kernel=3, expand_ratio=3),
        uniform(space, resolution=48, width=0.5, depth=4, kernel=7, expand_ratio=6),
    ]
    timer = timer_on(here, runtime="litert")
    small, large = timer.time([files.path(walk(space, network, 10)) for network in networks], seed=0).stats
    assert 0 < small.median_ms < large.median_ms
    assert timer.version() == LitertRuntime().version()
    assert not timer.times_operators


@pytest.mark.parametrize(
    ("script", "reason", "hint"),
    [
        ("kill -ILL $$", "instructions that the processor does not have", "OPENBLAS_CORETYPE=ARMV8"),
        ("echo 'libpython3.8.so.1.0: cannot open shared object file' >&2; exit 127", r"libpython3\.8", "ldconfig"),
        ("echo 'something new' >&2; exit 3", "exit code 3: 'something new'", "by hand"),
    ],
)
def test_a_python_that_cannot_run_says_why(here, tmp_path, script, reason, hint):
    """The cause is read as for every other program of a device."""
    write_program(tmp_path / "python3", f"#!/bin/sh\n{script}\n")
    with pytest.raises((MissingRuntimeError, DeviceUnreachableError), match=reason) as caught:
        timer_on(here, python=str(tmp_path / "python3")).version()
    assert hint in str(caught.value.hint)


def write_package(folder: Path, name: str, content: str) -> Path:
    """Write a package in place of an installed one, and return a Python that finds it first."""
    package = folder / "site-packages" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(content, encoding="utf-8")
    python = folder / "python3"
    path = shlex.quote(str(package.parent))
    write_program(python, f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.quote(sys.executable)} "$@"\n')
    return python


def test_a_package_whose_library_is_missing_is_not_installed_again(here, tmp_path):
    """A package that is there and cannot load a library gets the hint of the library, not of pip."""
    told = "raise ImportError('long text\\nlibopenblas.so.0: cannot open shared object file: No such file')\n"
    python = write_package(tmp_path, "onnxruntime", told)
    with pytest.raises(MissingRuntimeError, match=r"cannot be used there: the library libopenblas\.so\.0") as caught:
        timer_on(here, python=str(python)).version()
    assert "brings libopenblas.so.0" in str(caught.value.hint)


def test_a_package_that_crashes_is_named(here, tmp_path):
    """Where the runtime uses instructions that the processor lacks, the error says in which package it was."""
    python = write_package(tmp_path, "onnxruntime", "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    with pytest.raises(MissingRuntimeError, match="Illegal instruction, in onnxruntime") as caught:
        timer_on(here, python=str(python)).version()
    assert "another version of the package" in str(caught.value.hint)


@pytest.mark.parametrize("machine", ["armv7l", "armv6l", "i686"])
@pytest.mark.parametrize(("runtime", "package"), [("onnxruntime", "onnxruntime"), ("litert", "ai_edge_litert")])
def test_a_board_of_32_bits_gets_no_command_that_fails(here, tmp_path, machine, runtime, package):
    """Pip has no such packages there, so the hint is another system or runtime."""
    refused = f"import platform\nplatform.machine = lambda: {machine!r}\nraise ImportError('No module named x')\n"
    python = write_package(tmp_path, package, refused)
    if runtime == "litert":
        write_package(tmp_path, "tflite_runtime", refused)
    with pytest.raises(MissingRuntimeError, match=rf"32-bit system \({machine}\)") as caught:
        timer_on(here, runtime=runtime, python=str(python)).version()
    assert "64-bit system" in str(caught.value.hint)
    assert "pip" not in str(caught.value.hint)
