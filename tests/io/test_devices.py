"""Device descriptions: the shipped ones, the user's own, and what is wrong with a bad one."""

from __future__ import annotations

import pytest

from natdeploy.errors import InputError
from natdeploy.io.devices import USER_FILE, find_device, load_devices, target_of

BOARD = """
[my-board]
kind = "mobile-cpu"
chip = "Some core"
runtime = "litert"
precision = "fp32"
threads = 2
transport = "ssh"
address = "me@board"
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return tmp_path


def test_shipped_devices_have_the_defaults_that_users_rely_on(home):
    """Each shipped device names its runtime, precision and transport."""
    devices = load_devices()
    found = {name: (d.runtime, d.precision, d.transport) for name, d in devices.items()}
    assert found == {
        "galaxy-note10": ("litert", "fp32", "adb"),
        "host": ("onnxruntime", "fp32", "local"),
        "jetson-nano": ("tensorrt", "fp16", "ssh"),
        "pixel-8": ("litert", "fp32", "adb"),
        "raspberry-pi-5": ("litert", "fp32", "ssh"),
    }
    assert devices["jetson-nano"].max_opset == 13
    assert all(device.source for device in devices.values())


def test_estimated_devices_have_figures_for_their_default_precision(home):
    """Every device but this machine can be estimated with its defaults."""
    for device in load_devices().values():
        if device.name != "host":
            assert device.roofline is not None
            assert device.precision in device.roofline.peak_gmadds


def test_users_add_devices_of_their_own(home):
    """A table of the user's file is a device."""
    (home / USER_FILE).write_text(BOARD)
    device = find_device("my-board")
    assert (device.name, device.threads, device.address, device.roofline) == ("my-board", 2, "me@board", None)


def test_users_change_single_keys_of_a_shipped_device(home):
    """What the user's file does not name stays as shipped."""
    (home / USER_FILE).write_text('[jetson-nano]\naddress = "nano.local"\n')
    device = find_device("jetson-nano")
    assert (device.address, device.runtime, device.max_opset) == ("nano.local", "tensorrt", 13)


def test_an_unknown_device_is_refused_with_the_nearest_name(home):
    """A misspelt name is answered by the name that was meant."""
    with pytest.raises(InputError, match="unknown device 'jetson-nanno'") as caught:
        find_device("jetson-nanno")
    assert caught.value.hint == "did you mean 'jetson-nano'?"


def test_a_name_like_no_other_is_answered_by_the_file_to_write(home):
    """Where no name is near, the hint says where devices are described."""
    with pytest.raises(InputError) as caught:
        find_device("zzzzzz")
    assert USER_FILE in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOARD + "thread = 1\n", "key 'thread'"),
        (BOARD.replace("threads = 2", 'threads = "2"'), "key 'threads'"),
        (BOARD.replace("threads = 2", "threads = 0"), "key 'threads'"),
        (BOARD.replace('chip = "Some core"\n', ""), "key 'chip'"),
        (BOARD.replace("litert", "tflite"), "key 'runtime'"),
        (BOARD + "[my-board.roofline]\nbandwidth_gb_s = -1.0\n", "key 'roofline"),
        ('name = "x"\n', "'name' is not in a table"),
        ('["../x"]\nkind = "server-cpu"\n', "not a device name"),
        ("[my-board\n", "not valid TOML"),
    ],
)
def test_a_bad_description_is_refused_by_file_and_key(home, text, reason):
    """The message names the file and the key, or the place."""
    (home / USER_FILE).write_text(text)
    with pytest.raises(InputError) as caught:
        load_devices()
    assert USER_FILE in caught.value.message
    assert reason in caught.value.message


def test_a_description_that_is_not_text_is_refused(home):
    """Bytes that are not UTF-8 are an input error that names the file."""
    (home / USER_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=USER_FILE):
        load_devices()


def test_a_target_takes_the_devices_defaults(home):
    """What no option says is the device's default."""
    target = target_of(find_device("jetson-nano"))
    assert target.file_name == "tensorrt-fp16-b1-t1.csv"
    assert target_of(find_device("host"), threads=2).file_name == "onnxruntime-fp32-b1-t2.csv"


@pytest.mark.parametrize(
    ("options", "reason", "hint"),
    [
        ({"runtime": "onnx"}, "unknown runtime 'onnx'", "did you mean 'onnxruntime'?"),
        ({"precision": "fp23"}, "unknown precision 'fp23'", "did you mean 'fp32'?"),
        ({"threads": 0}, "threads is 0", None),
        ({"batch": -1}, "batch is -1", None),
    ],
)
def test_bad_options_of_a_target_are_refused(home, options, reason, hint):
    """Each option is checked, with the nearest word as a hint."""
    with pytest.raises(InputError, match=reason) as caught:
        target_of(find_device("host"), **options)
    assert caught.value.hint == hint
