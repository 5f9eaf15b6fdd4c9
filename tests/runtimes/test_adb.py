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
from tests.support.ssh_server import free_port
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
    [("unauthorized", "confirm the USB debugging prompt"), ("offline", "unplug it"), ("recovery", "'recovery'")],
)
def test_a_phone_that_does_not_let_adb_in_says_why(monkeypatch, tmp_path, state, said):
    """Each state that adb knows besides a usable device is explained."""
    listing(monkeypatch, tmp_path, f"SERIAL1\\t{state}")
    with pytest.raises(DeviceUnreachableError, match=said):
        find_serial("SERIAL1")


def test_of_several_phones_one_must_be_named(monkeypatch, tmp_path):
    """Any of several phones is not guessed: the serials are named."""
    listing(monkeypatch, tmp_path, "SERIAL1\\tdevice\\nSERIAL2\\tdevice")
    with pytest.raises(InputError, match="several Android devices are connected: SERIAL1, SERIAL2"):
        find_serial("any")
    assert find_serial("SERIAL2") == "SERIAL2"
    with pytest.raises(DeviceUnreachableError, match="no device SERIAL3 is connected"):
        find_serial("SERIAL3")
