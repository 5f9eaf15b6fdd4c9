"""SIGINT, SIGTERM and SIGHUP end a command in the same way."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import EXIT_CODES, Workplace
from tests.support.waiting import wait_until

# Far longer than any of it takes: what hangs ends the test, and not the whole run.
LIMIT_S = 120
pytestmark = pytest.mark.integration

# A command that has a large temporary file and a program on a device, as `profile` has.
WORK = """
import signal, sys
from natdeploy import api, cli
from natdeploy.runtimes.connection import Connection, LocalLink
from natdeploy.temporary import temporary_folder

def work():
    with temporary_folder() as folder, Connection("here", LocalLink()) as connection:
        (folder / "large.bin").write_bytes(bytes(1000))
        connection.run(["sleep", "1000"], timeout_s=1000)

# Whatever started the tests may ignore some, as nohup does.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
if len(sys.argv) > 1:
    signal.signal(signal.Signals[sys.argv[1]], signal.SIG_IGN)
api.doctor = work
cli.main(["doctor"])
"""


def start(workplace: Workplace, *ignored: str) -> "subprocess.Popen[bytes]":
    """Start the command, and wait until its program on the device runs."""
    process = workplace.start("-c", WORK, *ignored)

    def has_begun() -> bool:
        lines = [Path(f"/proc/{number}/cmdline") for number in workplace.list_processes()]
        return any(line.exists() and line.read_bytes().startswith(b"sleep\0") for line in lines)

    assert wait_until(has_begun)
    assert workplace.list_temporary()
    return process


def send(number: int) -> Callable[["subprocess.Popen[bytes]"], None]:
    """Return what sends a signal."""
    return lambda process: process.send_signal(number)


def hang_up(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGHUP twice, as a terminal does that is closed."""
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)


@pytest.mark.parametrize(
    ("stop", "code"),
    [*((send(number), code) for number, code in EXIT_CODES.items()), (hang_up, 129)],
    ids=[*(number.name for number in EXIT_CODES), "terminal-closed"],
)
def test_a_signal_ends_a_command_and_all_that_it_started(
    stop: Callable[["subprocess.Popen[bytes]"], None], code: int, tmp_path: Path
) -> None:
    """It says how to go on, its exit code names the signal, and neither files nor processes of it stay."""
    workplace = Workplace(tmp_path)
    process = start(workplace)
    stop(process)
    assert process.wait(LIMIT_S) == code
    assert workplace.said.strip() == "natdeploy: interrupted\n  go on with: natdeploy doctor"
    assert workplace.all_have_ended()
    assert workplace.list_temporary() == []


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """Under `nohup`, a command goes on when the terminal is closed."""
    workplace = Workplace(tmp_path)
    process = start(workplace, "SIGHUP")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 143


def test_what_a_killed_command_started_ends(tmp_path: Path) -> None:
    """SIGKILL leaves a temporary folder, which the next command removes, but no process."""
    workplace = Workplace(tmp_path)
    process = start(workplace)
    process.kill()
    process.wait()
    assert workplace.all_have_ended()
    (left,) = workplace.list_temporary()
    assert (left / "large.bin").exists()
    again = start(workplace)
    assert not left.exists()
    again.terminate()
    assert again.wait(LIMIT_S) == 143
    assert workplace.all_have_ended()
    assert workplace.list_temporary() == []
