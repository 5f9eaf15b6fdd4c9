"""Device descriptions: the shipped ones, the user's own, and what is wrong with a bad one."""

from __future__ import annotations

import pytest

from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.errors import InputError
from natdeploy.io.devices import USER_FILE, find_device, load_devices

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
# Figures of one precision, and those of a device.
FIGURES = """
[my-board.roofline.{}]
bandwidth_gb_s = 1.0
operator_ms = 0.5
efficiency = {{ dense = 0.1, pointwise = 0.2, depthwise = 0.3 }}
"""
ROOFLINE = """
[my-board.roofline]
bandwidth_gb_s = 8.0
operator_ms = 0.1
efficiency = { dense = 0.4, pointwise = 0.5, depthwise = 0.6 }
peak_gmadds = { fp32 = 10.0, int8 = 20.0 }
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give the user an empty home folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    return tmp_path


def test_shipped_devices_have_the_defaults_that_users_rely_on(home):
    """Each shipped device names its class, runtime, precision and transport, and where its figures come from."""
    devices = load_devices()
    found = {name: (d.kind, d.runtime, d.precision, d.transport) for name, d in devices.items()}
    phone, jetson = ("mobile-cpu", "litert", "fp32", "adb"), ("jetson-gpu", "tensorrt", "fp16", "ssh")
    board = ("mobile-cpu", "litert", "fp32", "ssh")
    assert found == {
        "android": phone,
        "galaxy-a03s": phone,
        "galaxy-note10": phone,
        "galaxy-s10": phone,
        "galaxy-s23": phone,
        "host": ("server-cpu", "onnxruntime", "fp32", "local"),
        "jetson-agx-orin": jetson,
        "jetson-nano": jetson,
        "jetson-orin-nano": jetson,
        "jetson-xavier-nx": jetson,
        "pixel-4": phone,
        "pixel-8": phone,
        "raspberry-pi-4": board,
        "raspberry-pi-5": board,
        "server-cpu": ("server-cpu", "onnxruntime", "fp32", "ssh"),
        "server-gpu": ("server-gpu", "tensorrt", "fp16", "ssh"),
    }
    assert all(device.source for device in devices.values())


def test_a_jetson_nano_says_what_it_cannot_do(home):
    """TensorRT 8.2 ends at opset 13 and has no HardSwish, and Maxwell has no fast int8."""
    nano = find_device("jetson-nano")
    assert (nano.tensorrt, nano.max_opset, nano.slow_precisions) == ("8.2.1", 13, ("int8",))
    assert "HardSwish" in nano.missing_operators
    assert find_device("jetson-orin-nano").missing_operators == ()


def test_estimated_devices_have_figures_for_their_default_precision(home):
    """Every device but this machine and the generic phone can be estimated, and wider arithmetic is never quicker."""
    for device in load_devices().values():
        if device.name in {"host", "android"}:
            assert device.roofline is None
            continue
        assert device.roofline is not None
        peaks = device.roofline.peak_gmadds
        assert device.precision in peaks
        assert [peaks[name] for name in ("fp32", "fp16", "int8") if name in peaks] == sorted(peaks.values())


def test_a_device_may_begin_from_a_shipped_one(home):
    """`like` takes over the keys of the shipped device; the user's own stand above them."""
    (home / USER_FILE).write_text(
        '[my-pi]\nlike = "raspberry-pi-5"\nthreads = 4\naddress = "pi@10.0.0.7"\nport = 2222\n'
    )
    device, shipped = find_device("my-pi"), find_device("raspberry-pi-5")
    assert (device.threads, device.address, device.port) == (4, "pi@10.0.0.7", 2222)
    assert (device.chip, device.roofline, device.transport) == (shipped.chip, shipped.roofline, "ssh")
    assert shipped.address is None


def test_only_the_shipped_device_calls_itself_so(home):
    """A device that is like a shipped one, or has another chip, has other models; the user may name them."""
    (home / USER_FILE).write_text(
        '[my-pi]\nlike = "raspberry-pi-5"\n[pixel-8]\nchip = "another"\n[pixel-4]\naddress = "any"\n'
        '[my-phone]\nlike = "pixel-8"\nmodels = ["CPH*"]\n'
    )
    found = {name: find_device(name).models for name in ("my-pi", "pixel-8", "pixel-4", "my-phone")}
    assert found == {"my-pi": (), "pixel-8": (), "pixel-4": ("Pixel 4", "Pixel 4 XL"), "my-phone": ("CPH*",)}


def test_a_device_like_an_unknown_one_is_refused_with_the_nearest(home):
    """A misspelt `like` is answered by the device that was meant; devices of the user are not meant."""
    (home / USER_FILE).write_text('[my-pi]\nlike = "rasberry-pi-5"\n')
    with pytest.raises(InputError, match="device 'my-pi', key 'like': 'rasberry-pi-5'") as caught:
        load_devices()
    assert caught.value.hint == "did you mean 'raspberry-pi-5'?"
    (home / USER_FILE).write_text(BOARD + '[my-pi]\nlike = "my-board"\n')
    with pytest.raises(InputError, match="'my-board' is not a shipped device"):
        load_devices()


def test_what_a_runtime_cannot_do_is_described_too(home):
    """Connection keys and limits of the runtime reach the device as they stand in the file."""
    limits = 'python = "python3.9"\nprogram = "/opt/bin/trtexec"\nmax_opset = 17\ntensorrt = "8.4.1"\n'
    (home / USER_FILE).write_text(BOARD + limits + 'missing_operators = ["Mish"]\nslow_precisions = ["fp16", "int8"]\n')
    device = find_device("my-board")
    assert (device.python, device.program, device.tensorrt) == ("python3.9", "/opt/bin/trtexec", "8.4.1")
    assert (device.missing_operators, device.slow_precisions) == (("Mish",), ("fp16", "int8"))


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
        (BOARD + ROOFLINE + "[my-board.roofline.int8]\nbandwidth_gb_s = 1.0\n", "key 'roofline.int8.efficiency'"),
        (BOARD + ROOFLINE + FIGURES.format("fp16"), "key 'roofline.fp16': peak_gmadds has no rate of fp16"),
        (BOARD + ROOFLINE + FIGURES.format("int4"), "key 'roofline.int4'"),
        (BOARD + "max_opset = 1300\n", "key 'max_opset'"),
        (BOARD + 'missing_operators = [""]\n', "key 'missing_operators[0]'"),
        (BOARD + 'slow_precisions = ["int4"]\n', "key 'slow_precisions[0]'"),
        (BOARD + 'tensorrt = "new"\n', "key 'tensorrt'"),
        (BOARD + "port = 0\n", "key 'port'"),
        (BOARD + 'program = ""\n', "key 'program'"),
        (BOARD.replace("me@board", "-oProxyCommand=x"), "key 'address': it is empty, begins with '-'"),
        (BOARD.replace("ssh", "local"), "key 'address': a device behind transport 'local' has no address"),
        (BOARD.replace("ssh", "adb") + "port = 22\n", "key 'port': a device behind transport 'adb' has no port"),
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


def test_a_precision_can_have_figures_of_its_own(home):
    """What is given for int8 holds there alone; fp32 keeps the figures that all precisions share."""
    (home / USER_FILE).write_text(BOARD + ROOFLINE + FIGURES.format("int8"))
    roofline = find_device("my-board").roofline
    assert roofline is not None
    assert (roofline.get_figures("fp32").bandwidth_gb_s, roofline.get_figures("int8").bandwidth_gb_s) == (8.0, 1.0)
    assert roofline.get_figures("int8").efficiency == {"dense": 0.1, "pointwise": 0.2, "depthwise": 0.3}


def test_a_target_takes_the_devices_defaults(home):
    """What no option says is the device's default."""
    deployment = find_deployment(find_device("jetson-nano"))
    assert deployment.file_name == "tensorrt-fp16-b1-t1.csv"
    assert find_deployment(find_device("host"), TableSelector(threads=2)).file_name == "onnxruntime-fp32-b1-t2.csv"


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
        find_deployment(find_device("host"), TableSelector(**options))
    assert caught.value.hint == hint
