"""The one way to time: in another process, in turns with the reference networks of the table."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from natdeploy import api
from natdeploy.api.latency import levels
from natdeploy.api.latency.levels import Level, LevelledTimes, time_networks
from natdeploy.api.latency.lookup import make_host_fingerprint
from natdeploy.core.architecture import smallest
from natdeploy.core.latency import LatencyStats
from natdeploy.core.layers import walk
from natdeploy.core.timed import Disturbance
from natdeploy.io.spaces import find_space
from natdeploy.io.tables import write_table
from natdeploy.profilers.references import Reference, choose_reference_place
from natdeploy.profilers.timing import Timing
from natdeploy.temporary import remove_stale
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import HOST, made_up_table
from tests.support.waiting import wait_until

STARTER = find_space("starter")
REFERENCE_MS = 0.5
QUICK = Timing(
    warmup_runs=1, warmup_s=0.0, rounds=4, quiet_rounds=2, max_rounds=4, settle_s=0.0, round_s=0.0, processes=2
)
NETWORK = walk(STARTER, smallest(STARTER), 10)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and timing that takes a moment."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("natdeploy.profilers.timing.choose_timing", lambda _: QUICK)
    return tmp_path / "home"


def store_table(home: Path, *, fingerprint: str | None = None, with_reference: bool = True) -> Path:
    """Write a table of this machine whose reference networks take half a millisecond."""
    reference = Reference(place=choose_reference_place(STARTER), latency_ms=REFERENCE_MS)
    table = dataclasses.replace(
        made_up_table(STARTER, fingerprint=fingerprint or make_host_fingerprint(HOST)),
        conditions=reference.to_conditions() if with_reference else {},
    )
    path = home / "latency_tables" / "host" / HOST.file_name
    write_table(path, table)
    return path


def measure() -> LevelledTimes:
    """Time a small network on this machine."""
    return time_networks(HOST, [NETWORK], seed=0, context=api.Context())


def test_a_latency_comes_with_the_level_of_the_machine(home: Path) -> None:
    """The level is that of the references in the same turns; their files are written once."""
    store_table(home)
    timed = measure()
    assert len(timed.stats) == 1
    assert timed.level.value is not None
    assert 0 < timed.level.value < 1e3
    assert timed.levelled_ms() == pytest.approx(timed.stats[0].median_ms * timed.level.value)
    assert timed.comparable_ms() == timed.levelled_ms()
    files = sorted((home / "references").iterdir())
    written = [path.stat().st_mtime_ns for path in files]
    assert len(files) == 3
    measure()
    assert [path.stat().st_mtime_ns for path in sorted((home / "references").iterdir())] == written


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (None, "there is no latency table of host"),
        ({"with_reference": False}, "has no reference networks"),
        ({"fingerprint": "another machine"}, "is of another machine, runtime or way of timing"),
    ],
)
def test_without_a_fitting_table_there_is_no_level(home: Path, table: dict[str, object] | None, reason: str) -> None:
    """The latency is then given as it was timed, and the reason is told."""
    if table is not None:
        store_table(home, **table)  # type: ignore[arg-type]
    timed = measure()
    assert timed.level.value is None
    assert reason in str(timed.level)
    assert (timed.levelled_ms(), timed.comparable_ms()) == (None, timed.stats[0].median_ms)


def test_what_disturbed_is_told() -> None:
    """A quiet machine is worth a line, a busy one a warning that says by how much figures may be too high."""
    stats = LatencyStats(median_ms=2.0, p10_ms=2.0, p90_ms=2.0, mean_ms=2.0, std_ms=0.0, runs=1)
    busy = Disturbance(others=0.48, steal=0.02, lost=0.2)
    reporter = RecordingReporter()
    LevelledTimes(stats=(stats,), level=Level(value=0.83), disturbance=busy).tell("here", reporter)
    assert "0.83 of the speed at which its table was made" in reporter.said[0]
    assert reporter.warnings == [
        "here: other programs took 48 % of the time of the cores that were used, the hypervisor 2 %; "
        "waiting for them made the latencies too high by at most 25.0 %"
    ]
    quiet = dataclasses.replace(busy, others=0.01, steal=0.0, lost=0.0)
    reporter = RecordingReporter()
    LevelledTimes(stats=(stats,), level=Level(value=1.0), disturbance=quiet).tell("here", reporter)
    assert reporter.warnings == []
    unknown = dataclasses.replace(busy, lost=None)
    assert "made the latencies too high is not known" in str(unknown)
    assert levels.describe_disturbance(None) is None


def test_measuring_a_file_loads_no_runtime_here(tmp_path: Path, home: Path) -> None:
    """The process that asks for a latency imports neither a runtime nor torch, and is idle meanwhile."""
    from natdeploy.export.onnx import OnnxExporter
    from natdeploy.profilers.model_files import ModelFiles

    path = ModelFiles(OnnxExporter(), tmp_path, seed=0).path(NETWORK)
    code = (
        "import sys, time\nfrom natdeploy import api\n"
        f"before = time.process_time(), time.perf_counter()\nmeasured = api.measure({str(path)!r})\n"
        "busy, took = time.process_time() - before[0], time.perf_counter() - before[1]\n"
        "loaded = {'onnxruntime', 'torch', 'ai_edge_litert'} & set(sys.modules)\n"
        "print(sorted(loaded), busy < 0.5 * took, measured.stats.median_ms > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[] True True"


# A shell makes a job in the background ignore this signal. If the tests are one, so would their children.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from natdeploy.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interruption_leaves_no_agent(how: signal.Signals, tmp_path: Path, home: Path) -> None:
    """However the command ends, the agent ends too. Its folders go with it, or after a kill with the next command."""
    from natdeploy.export.onnx import OnnxExporter
    from natdeploy.profilers.model_files import ModelFiles

    path = ModelFiles(OnnxExporter(), tmp_path, seed=0).path(NETWORK)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "measure", str(path)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_until(lambda: bool(find_agents(temporary)))
        agents = find_agents(temporary)
        # The agent stands still until the signal is there, so that it cannot be ready before.
        for agent in agents:
            os.kill(agent, signal.SIGSTOP)
        process.send_signal(how)
        for agent in agents:
            with contextlib.suppress(ProcessLookupError):
                os.kill(agent, signal.SIGCONT)
        assert process.wait() != 0
    finally:
        process.kill()
    assert wait_until(lambda: not find_agents(temporary))
    if how == signal.SIGKILL:
        remove_stale(temporary)
    assert wait_until(lambda: not list(temporary.iterdir()))


def find_agents(folder: Path) -> list[int]:
    """Return the processes whose command line names an agent in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and "agent.py" in command:
            found.append(int(place.name))
    return found
