"""Commands on boards: over a real ssh server on loopback, with configuration as a user writes it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy import cli
from natdeploy.io.devices import find_device
from natdeploy.io.locks import lock_device
from natdeploy.profilers.setup import ProfilingSetup
from tests.support.ssh_server import ADDRESS, SshServer, free_port, ssh_server, write_program
from tests.support.stand_ins import write_adb_stand_in

pytestmark = [pytest.mark.integration, pytest.mark.device]
ARCHITECTURE = {"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 32, "w": 0.5}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A board."""
    folder = tmp_path_factory.mktemp("board")
    (folder / "tmp").mkdir()
    with ssh_server(folder, {"TMPDIR": str(folder / "tmp")}) as server:
        yield server


@pytest.fixture(scope="module")
def environment(board: SshServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home that knows a board, one without numpy, and one that is switched off; no phone is connected."""
    home = tmp_path_factory.mktemp("home")
    bare = home / "bare-python"
    write_program(bare, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    cpu = 'like = "server-cpu"\nthreads = 1\n'
    (home / "devices.toml").write_text(
        f'[board]\n{cpu}address = "{ADDRESS}"\npython = "{sys.executable}"\n'
        f'[bare]\n{cpu}address = "{ADDRESS}"\npython = "{bare}"\n'
        f'[off]\nlike = "raspberry-pi-5"\naddress = "127.0.0.1"\nport = {free_port()}\n'
        '[phone]\nlike = "pixel-8"\naddress = "any"\n',
        encoding="utf-8",
    )
    write_adb_stand_in(board.folder / "bin" / "adb", home, "")
    return {**os.environ, "NATDEPLOY_HOME": str(home), "PATH": f"{board.folder / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def subnet(folder: Path) -> Path:
    """A bare architecture."""
    path = folder / "architecture.json"
    path.write_text(json.dumps(ARCHITECTURE), encoding="utf-8")
    return path


def test_devices_are_asked_whether_they_can_be_reached(natdeploy):
    """`devices --check` tells which devices answer, and of those that do not, why."""
    done = natdeploy("devices", "--check", "--json")
    states = {state["name"]: state for state in json.loads(done.stdout)["devices"]}
    assert (states["board"]["state"], states["board"]["problem"]) == ("reachable", None)
    assert states["off"]["state"] == "unreachable"
    assert "refuses the connection" in states["off"]["problem"]
    assert "no Android device is connected" in states["phone"]["problem"]
    assert states["jetson-nano"]["state"] == "not connected"


def test_a_network_is_measured_on_a_board(natdeploy, subnet, board):
    """`measure` runs a bare architecture on the board, and leaves nothing there."""
    done = natdeploy("measure", str(subnet), "--device", "board", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["ok"], result["device"], result["runtime"]) == (0, True, "board", "onnxruntime")
    assert 0 < result["p10_ms"] <= result["median_ms"] <= result["p90_ms"]
    assert list((board.folder / "tmp").iterdir()) == []


def test_boards_are_profiled_side_by_side_and_one_that_fails_stops_no_other(environment, monkeypatch, capsys):
    """Each device gets its table or its error, the news name the device, and the exit code is that of the failure."""
    for name in ("NATDEPLOY_HOME", "PATH"):
        monkeypatch.setenv(name, environment[name])
    defaults = ProfilingSetup.__init__.__kwdefaults__
    assert "validation_networks" in defaults
    monkeypatch.setitem(defaults, "validation_networks", 2)  # the usual 20 take a minute to write
    options = ["--resolutions", "32", "--budget", "3s", "--measured-only", "--json"]
    code = cli.run(["profile", "--device", "off", "--device", "board", *options])
    told = capsys.readouterr()
    result = json.loads(told.out)
    assert (code, result["ok"]) == (4, False)
    failed, profiled = result["profiles"]
    assert (failed["device"], failed["ok"], failed["error"]["code"]) == ("off", False, "device-unreachable")
    assert (profiled["device"], profiled["ok"], profiled["provenance"]) == ("board", True, "measured")
    assert profiled["validation"]["networks"] == 2
    assert Path(profiled["table"]).is_relative_to(environment["NATDEPLOY_HOME"])
    assert "board: profile: 1/1" in told.err
    assert "off: failed: " in told.err


def test_a_board_without_the_runtime_exits_3(natdeploy, subnet):
    """A missing package on the board is told with the command that installs it there."""
    done = natdeploy("measure", str(subnet), "--device", "bare", "--json")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (3, "missing-runtime")
    assert "-m pip install numpy" in error["hint"]


@pytest.mark.parametrize("device", ["off", "phone"])
def test_a_device_that_does_not_answer_is_estimated_or_exits_4(natdeploy, device, subnet):
    """Without `--measured-only` the description's estimate is written with a warning; measuring is an error."""
    refused = natdeploy("profile", "--device", device, "--resolutions", "32", "--measured-only")
    assert refused.returncode == 4
    assert natdeploy("measure", str(subnet), "--device", device).returncode == 4
    done = natdeploy("profile", "--device", device, "--resolutions", "32", "--json")
    assert (done.returncode, json.loads(done.stdout)["provenance"]) == (0, "estimated")
    assert "estimated from its description, nothing is run" in done.stderr


def test_a_device_that_is_in_use_is_refused(natdeploy, subnet, environment, monkeypatch):
    """A second job on a device is refused with the process that is there; another device is free."""
    monkeypatch.setenv("NATDEPLOY_HOME", environment["NATDEPLOY_HOME"])
    with lock_device(find_device("board")):
        done = natdeploy("measure", str(subnet), "--device", "board")
    assert done.returncode == 2
    assert f"board is busy: process {os.getpid()} on " in done.stderr
