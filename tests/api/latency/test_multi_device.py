"""Several devices in one call: the order, the failures and the news."""

from __future__ import annotations

import os
import threading

import pytest

from natdeploy import api
from natdeploy.errors import DeviceUnreachableError, InputError
from natdeploy.io.devices import find_device
from natdeploy.io.locks import lock_device
from natdeploy.testing.fakes import RecordingReporter


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))


def test_remote_devices_run_at_once_and_this_machine_after_them():
    """Two boards are worked on at the same time; the host begins when both are done; results keep the asked order."""
    together = threading.Barrier(2)
    done: list[str] = []

    def work(device, context):
        if device != "host":
            together.wait(timeout=20)
        context.reporter.info("hello")
        context.reporter.progress("profile", 1, 1, "width 1")
        done.append(device)
        return device

    reporter = RecordingReporter()
    devices = ("host", "jetson-nano", "pixel-8")
    result = api.profile_devices(devices, work, context=api.Context(reporter=reporter))
    assert result.profiles == devices
    assert done[-1] == "host"
    assert {"host: hello", "pixel-8: hello", "jetson-nano: profile: 1/1, width 1"} <= set(reporter.said)


def test_one_that_fails_stops_no_other():
    """The failure is told at once and kept as the device's result."""
    off = DeviceUnreachableError("it is off", hint="switch it on")

    def work(device, context):
        if device == "pixel-8":
            raise off
        return device

    reporter = RecordingReporter()
    result = api.profile_devices(("pixel-8", "jetson-nano"), work, context=api.Context(reporter=reporter))
    assert [failure.device for failure in result.failures] == ["pixel-8"]
    assert result.failures[0].to_json() == {
        "ok": False,
        "device": "pixel-8",
        "error": {"code": "device-unreachable", "message": "it is off", "hint": "switch it on"},
    }
    assert result.profiles[1] == "jetson-nano"
    assert "pixel-8: failed: it is off" in reporter.warnings


@pytest.mark.parametrize(
    ("devices", "said"), [(("host", "host"), "given twice"), (("host", "nobody"), "unknown device")]
)
def test_devices_are_checked_before_any_is_measured(devices, said):
    """A name that is wrong or given twice ends the call before work begins."""
    with pytest.raises(InputError, match=said):
        api.profile_devices(devices, lambda device, context: pytest.fail("measured"))


def test_a_device_is_locked_for_one_job():
    """A second job on the same place is refused with the process that holds it, whatever the device is called there."""
    busy = pytest.raises(InputError, match=f"host is busy: process {os.getpid()} on \\S+ measures there")
    with lock_device(find_device("host")):
        with busy, lock_device(find_device("host")):
            pytest.fail("locked twice")
        with lock_device(find_device("jetson-nano")):
            pass
    with lock_device(find_device("host")):
        pass
