"""Android devices: the real adb client where no phone is, and a stand-in for it where one is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from natdeploy.errors import DeviceUnreachableError, InputError, MissingRuntimeError
from natdeploy.runtimes.adb import AdbLink, find_serial
from natdeploy.runtimes.connection import Connection
from natdeploy.testing.transports import TransportContract
from tests.support.ssh_server import free_port, write_program
from tests.support.stand_ins import write_adb_stand_in

pytestmark = pytest.mark.device


@pytest.fixture
def real_adb(monkeypatch):
    """The real adb with a server of its own, which is ended afterwards."""
    if shutil.which("adb") is None:
        pytest.skip("needs adb: apt install adb")
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    yield
    subprocess.run(["adb", "kill-server"], check=True, capture_output=True)


class TestAdb(TransportContract):
    """A phone behind the stand-in for adb does what every transport must do."""

    @pytest.fixture(scope="class")
    @classmethod
    def connect(cls, tmp_path_factory):
        """A connection to the phone."""
        programs, phone = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("phone")
        write_adb_stand_in(programs / "adb", phone, "SERIAL1\\tdevice")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
            yield lambda: Connection("phone", AdbLink(serial="SERIAL1"))


def listing(monkeypatch: pytest.MonkeyPatch, folder: Path, listed: str) -> None:
    """Put the stand-in for adb on PATH, listing these devices."""
    write_adb_stand_in(folder / "adb", folder, listed)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("wanted", ["any", "SERIAL1"])
def test_no_phone_is_a_device_that_cannot_be_reached(real_adb, wanted):
    """With the real client and no phone, the error says what to look at."""
    with pytest.raises(DeviceUnreachableError, match="no Android device is connected") as caught:
        find_serial(wanted)
    assert "adb devices" in str(caught.value.hint)


def test_a_lost_phone_is_a_device_that_cannot_be_reached(real_adb):
    """With the real client, a connection to a phone that is not there fails as such."""
    with pytest.raises(DeviceUnreachableError, match="phone: the connection to SERIAL1 was cut"):
        Connection("phone", AdbLink(serial="SERIAL1"))


def test_without_adb_the_package_is_named(monkeypatch, tmp_path):
    """A machine without adb gets the install command."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingRuntimeError, match="adb is not installed") as caught:
        find_serial("any")
    assert caught.value.hint == "apt install adb"


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("unauthorized", "confirm the USB debugging prompt"),
        ("offline", "does not answer"),
        ("recovery", "a mode for repairs"),
        ("sideload", "'sideload'"),
        ("bootloader", "a mode for repairs"),
        ("host", "'host'"),
    ],
)
def test_a_phone_that_does_not_let_adb_in_says_why(monkeypatch, tmp_path, state, said):
    """Each state that adb knows besides a usable device is explained."""
    listing(monkeypatch, tmp_path, f"SERIAL1\\t{state}")
    with pytest.raises(DeviceUnreachableError, match=said):
        find_serial("SERIAL1")


@pytest.mark.parametrize(
    "listed", ["SERIAL1\\tno permissions (user in plugdev group)", "????????????\\tno permissions"]
)
@pytest.mark.parametrize("wanted", ["any", "SERIAL1"])
def test_a_phone_whose_port_may_not_be_opened_names_udev(monkeypatch, tmp_path, listed, wanted):
    """Without udev rules the phone is there, under its serial or without one; the hint says how to get the rules."""
    listing(monkeypatch, tmp_path, listed)
    with pytest.raises(DeviceUnreachableError, match="does not let your user open the phone's USB port") as caught:
        find_serial(wanted)
    assert "plugdev" in str(caught.value.hint)


LOST = [
    ("adb: device unauthorized.", "confirm the USB debugging prompt"),
    ("adb: device 'SERIAL1' not found", "not connected any more"),
    ("error: device 'SERIAL1' not found", "not connected any more"),
    ("adb: no devices/emulators found", "not connected any more"),
    ("adb: device offline", "does not answer"),
    ("error: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set", "confirm the USB debugging"),
    ("error: insufficient permissions for device: user in plugdev group; are your udev rules wrong?", "USB port"),
    ("adb: error: failed to get feature set: device 'SERIAL1' not found", "not connected any more"),
    ("error: closed", "error: closed"),
    ("error: protocol fault (couldn't read status): Connection reset by peer", "protocol fault"),
    ("* cannot connect to daemon at tcp:5037: Connection refused", "cannot connect to daemon"),
]


@pytest.mark.parametrize("listed", ["", "192.168.0.21:5555\\toffline"])
def test_a_phone_over_a_network_is_connected_not_plugged_in(monkeypatch, tmp_path, listed):
    """A phone that adb reaches by an address needs `adb connect`, whether adb has lost it or does not know it."""
    listing(monkeypatch, tmp_path, listed)
    with pytest.raises(DeviceUnreachableError) as caught:
        find_serial("192.168.0.21:5555")
    assert "adb connect 192.168.0.21:5555" in str(caught.value.hint)


def use_phone(calls: int) -> None:
    """Connect to the phone, and run some commands there."""
    with Connection("phone", AdbLink(serial="SERIAL1")) as connection:
        for _ in range(calls):
            connection.run(["true"], timeout_s=9)


@pytest.mark.parametrize(("said", "told"), LOST)
@pytest.mark.parametrize("calls", [0, 3])
def test_a_phone_that_leaves_is_named_in_the_words_of_every_adb(monkeypatch, tmp_path, said, told, calls):
    """Old and new versions of adb say it differently, at once or midway; the phone is what failed, not the program."""
    write_adb_stand_in(tmp_path / "adb.real", tmp_path, "SERIAL1\\tdevice")
    (tmp_path / "said").write_text(said + "\n", encoding="utf-8")
    write_program(
        tmp_path / "adb",
        f"""#!/bin/sh
n=$(cat {tmp_path}/n 2>/dev/null || echo 0); echo $((n + 1)) >{tmp_path}/n
[ $n -lt {calls} ] && exec {tmp_path}/adb.real "$@"
cat {tmp_path}/said >&2; exit 1
""",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceUnreachableError, match="the connection to SERIAL1 was cut") as caught:
        use_phone(calls)
    assert told in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "said", ["adb: error: failed to copy 'a' to 'b': remote No space left on device", "error: bad model"]
)
def test_an_error_of_a_file_or_a_program_is_not_a_lost_phone(said):
    """What is not about the phone stays the error of what was run."""
    assert AdbLink(serial="SERIAL1").interpret_failure(1, said) is None


def test_of_several_phones_one_must_be_named(monkeypatch, tmp_path):
    """Any of several phones is not guessed: the serials are named."""
    listing(monkeypatch, tmp_path, "SERIAL1\\tdevice\\nSERIAL2\\tdevice")
    with pytest.raises(InputError, match="several Android devices are connected: SERIAL1, SERIAL2"):
        find_serial("any")
    assert find_serial("SERIAL2") == "SERIAL2"
    with pytest.raises(DeviceUnreachableError, match="no device SERIAL3 is connected"):
        find_serial("SERIAL3")
