"""The agent on real aarch64 programs, over a real ssh server. Times are the emulator's and mean nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.io.devices import load_devices
from natdeploy.profilers.agent_timer import AgentTimer
from natdeploy.runtimes.connect import connect
from tests.support.arm_boards import make_board, make_system
from tests.support.ssh_server import ADDRESS, SshServer, ssh_server

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.device]
ARCHITECTURE = {"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 32, "w": 0.5}
CORE = (
    "processor\t: {}\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: {}\nCPU part\t: {}\nCPU revision\t: {}\n\n"
)
PI_5 = CORE.format(0, "0x4", "0xd0b", 1)
ROCK_5B = CORE.format(0, "0x2", "0xd05", 0) + CORE.format(4, "0x4", "0xd0b", 0)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """The ssh server through which both boards are reached."""
    folder = tmp_path_factory.mktemp("board")
    (folder / "tmp").mkdir()
    with ssh_server(folder, {"TMPDIR": str(folder / "tmp")}) as server:
        yield server


@pytest.fixture(scope="module")
def environment(board: SshServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A home that knows two boards, which have no serial number."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("arm")
    system = make_system(folder)
    pi = make_board(folder / "pi", system, PI_5, "Raspberry Pi 5 Model B Rev 1.0")
    rock = make_board(folder / "rock", system, ROCK_5B, "Radxa ROCK 5B")
    (home / "devices.toml").write_text(
        f'[pi]\nlike = "raspberry-pi-5"\naddress = "{ADDRESS}"\npython = "{pi}"\n'
        f'[rock]\nlike = "raspberry-pi-5"\naddress = "{ADDRESS}"\npython = "{rock}"\n',
        encoding="utf-8",
    )
    return {**os.environ, "NATDEPLOY_HOME": str(home), "PATH": f"{board.folder / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def subnet(folder: Path) -> Path:
    """A bare architecture."""
    path = folder / "architecture.json"
    path.write_text(json.dumps(ARCHITECTURE), encoding="utf-8")
    return path


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_a_network_is_measured_on_an_arm_board(natdeploy, board, subnet, runtime):
    """`measure` runs a network with either runtime on aarch64, and leaves nothing on the board."""
    done = natdeploy("measure", str(subnet), "--device", "pi", "--runtime", runtime, "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["ok"], result["device"], result["runtime"]) == (0, True, "pi", runtime)
    assert 0 < result["p10_ms"] <= result["median_ms"] <= result["p90_ms"]
    assert list((board.folder / "tmp").iterdir()) == []


def test_two_boards_have_two_fingerprints_that_stay(environment, monkeypatch):
    """Each board is named by its model and its cores, in one connection and in the next."""
    for name in ("NATDEPLOY_HOME", "PATH"):
        monkeypatch.setenv(name, environment[name])
    found = []
    for name in ("pi", "rock", "pi"):
        device = load_devices()[name]
        with connect(device) as connection:
            timer = AgentTimer(transport=connection, runtime="onnxruntime", threads=1, python=device.python)
            found.append(timer.fingerprint())
            assert timer.conditions()["system"].startswith("Linux")
    pi, rock, again = found
    assert "Raspberry Pi 5 Model B Rev 1.0 (0x41/0xd0b r4p1)" in pi
    assert "Radxa ROCK 5B (0x41/0xd05 r2p0, 0x41/0xd0b r4p0)" in rock
    assert "Linux aarch64" in pi
    assert pi == again != rock
