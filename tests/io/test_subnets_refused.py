"""What is said of files that are no subnet."""

import json
import re

import pytest

from natdeploy.core.architecture import smallest
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_subnet
from tests.support.netconfigs import net_config
from tests.support.published import PUBLISHED

M1 = from_encoding(PUBLISHED[0].encoding)
TASK = {"dataset": "digits", "classes": ["0", "1", "2"], "mean": [0.1, 0.2, 0.3], "std": [0.3, 0.2, 0.1]}


def write(folder, content, name="subnet.json"):
    """Write a JSON file and return its path."""
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def own_file(**changes):
    """Return the content of a natdeploy file, with some keys replaced."""
    content = {
        "format": "natdeploy.subnet/1",
        "supernet": "starter",
        "architecture": smallest(find_space("starter")).to_json(),
        "weights": None,
        "task": None,
        "metrics": {},
        "provenance": {},
    }
    return {**content, **changes}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r": 31}, r"r: must be at least 32 .*31"),
        ({"r": "224"}, r"r: must be a whole number"),
        ({"r": [224, 192]}, "r: must be a whole number"),
        ({"r": None}, "r is missing"),
        ({"w": "1.0"}, r"w: must be a number"),
        ({"w": -1}, r"w: must be above 0"),
        ({"w": 1.1}, "width 1.1"),
        ({"w": True}, "w: "),
        ({"d": 4}, "d: must be a list"),
        ({"d": [2, 3, 3, 3, 5]}, "ks lists 15 layers"),
        ({"d": [2, 3, 3, 3, 0]}, r"d\[4\]: "),
        ({"d": []}, "d: "),
        ({"ks": [3.5] * 15}, r"ks\[0\]: must be a whole number .*3\.5"),
        ({"ks": [9] * 15}, r"ks\[0\] is 9, space nat allows \[3, 5, 7\]"),
        ({"e": [5] * 15}, r"e\[0\] is 5"),
        ({"e": [3] * 14}, "e lists 14 layers"),
        ({"colour": "red"}, "unknown key 'colour'"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, change, message):
    """A bare architecture with a wrong value is refused with file and key."""
    with pytest.raises(InputError, match=rf"subnet\.json: .*{message}"):
        read_subnet(write(tmp_path, {**M1.to_json(), **change}))


@pytest.mark.parametrize("key", ["d", "e", "ks"])
def test_a_missing_key_is_named(tmp_path, key):
    """A bare architecture without one of its keys is refused with file and key."""
    bare = M1.to_json()
    del bare[key]
    with pytest.raises(InputError, match=rf"subnet\.json: {key}: is missing"):
        read_subnet(write(tmp_path, bare))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "natdeploy.subnet/2"}, "format: .*natdeploy.subnet/1"),
        ({"format": 1}, "format: "),
        ({"supernet": "startr"}, "unknown supernet 'startr'"),
        ({"supernet": None}, "supernet: must be text"),
        ({"supernet": "nat"}, "width 0.5 is not in space nat"),
        ({"architecture": None}, "architecture: "),
        ({"architecture": {}}, r"architecture\.\w+.*: is missing"),
        ({"architecture": M1.to_json()}, "width 1 is not in space starter"),
        ({"weights": 5}, "weights: must be text"),
        ({"weights": "absent.safetensors"}, r"weights: .*absent\.safetensors: no such file"),
        ({"weights": "n" * 5000}, "weights: .*File name too long"),
        ({"weights": ""}, "weights: .*is a folder, not a file"),
        ({"task": []}, "task: "),
        ({"task": {**TASK, "mean": [0.5]}}, r"task\.mean: "),
        ({"task": {**TASK, "std": [0.5, 0.5, 0]}}, r"task\.std\[2\]: .*at least 0\.001"),
        ({"task": {**TASK, "mean": [127.5, 127.5, 127.5]}}, r"task\.mean\[0\]: must be at most 1"),
        ({"task": {**TASK, "classes": ["0", "1", "0"]}}, r"task\.classes: .*'0' is listed twice"),
        ({"task": {**TASK, "classes": ["one"]}}, r"task\.classes: "),
        ({"task": {**TASK, "more": 1}}, r"task\.more: "),
        ({"metrics": None}, "metrics: "),
        ({"unknown": 1}, "unknown: "),
        ({"network": {"classes": 0}}, r"network\.classes: "),
        ({"network": {"activation": "swish"}}, r"network\.activation: "),
        ({"network": {"colour": 1}}, r"network\.colour: "),
    ],
)
def test_a_wrong_value_of_a_natdeploy_file_is_named(tmp_path, change, message):
    """A natdeploy file with a wrong value is refused with file and key."""
    with pytest.raises(InputError, match=rf"subnet\.json: .*{message}"):
        read_subnet(write(tmp_path, own_file(**change)))


@pytest.mark.parametrize("key", ["supernet", "architecture", "weights", "task"])
def test_a_missing_key_of_a_natdeploy_file_is_named(tmp_path, key):
    """A natdeploy file without one of its keys is refused with file and key."""
    content = own_file()
    del content[key]
    with pytest.raises(InputError, match=rf"subnet\.json: {key}: is missing"):
        read_subnet(write(tmp_path, content))


def test_a_truncated_file_is_refused(tmp_path):
    """Cut anywhere, a subnet file is refused with its name."""
    text = json.dumps(own_file(task=TASK), indent=2)
    path = tmp_path / "subnet.json"
    for length in range(0, len(text) - 1, 7):
        path.write_text(text[:length])
        with pytest.raises(InputError, match=r"subnet\.json: not valid JSON"):
            read_subnet(path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"[1, 2]", "a subnet is a JSON object, not list"),
        (b"null", "a subnet is a JSON object, not NoneType"),
        (b'"text"', "a subnet is a JSON object, not str"),
        (b"\x00\xff\xfe" * 10, "not a UTF-8 text file"),
        (b"not JSON", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"w": 1.0, "w": 1.2}', "not valid JSON: key 'w' is repeated"),
        (b'{"architecture": {"w": 1.0}}', "format is missing: a subnet file has the key format"),
        (b'{"w": NaN}', "not valid JSON: NaN is not a number of JSON"),
        (b'{"w": Infinity}', "not valid JSON"),
        (b'{"w": 1' + b"0" * 5000 + b"}", "not valid JSON"),
        (b'{"w": 1e999, "r": 224, "d": [1], "e": [1], "ks": [1]}', "1e999 is too large for a number"),
        (b"{}", "is missing"),
    ],
)
def test_what_is_no_subnet_is_refused(tmp_path, raw, message):
    """A file that is binary, no JSON or no object is refused with name and reason."""
    path = tmp_path / "subnet.json"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=rf"subnet\.json: .*{message}"):
        read_subnet(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [("absent.json", "absent.json: no such file"), (".", "is a folder, not a file"), ("x" * 5000, "xxx")],
)
def test_a_source_that_cannot_be_read_is_refused(tmp_path, monkeypatch, source, message):
    """A missing file, a folder and too long a name are refused with name and reason."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        read_subnet(source)


def test_what_is_often_given_in_place_of_a_subnet_is_named(tmp_path):
    """A run folder and an exported file are refused with what to give instead."""
    (tmp_path / "run.toml").touch()
    with pytest.raises(InputError, match="is a run folder, not a subnet") as told:
        read_subnet(tmp_path)
    assert told.value.hint == f"name the run's choice: {tmp_path / 'subnet.json'}"
    for suffix in (".onnx", ".tflite", ".engine"):
        with pytest.raises(InputError, match="is an exported file, not a subnet"):
            read_subnet(tmp_path / f"subnet{suffix}")


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("subnet.safetensors", "a weight file", "name the subnet that it belongs to: .*subnet.json"),
        ("ofa.pth", "a weight file", "natdeploy extract ARCHITECTURE"),
        ("report.html", "a report", "natdeploy extract RUN --row N"),
        ("run.toml", "a file of settings", "name a subnet.json"),
        ("archive.csv", "a table", "natdeploy extract RUN --row N"),
    ],
)
def test_what_lies_beside_a_subnet_is_named(tmp_path, name, what, hint):
    """Other files of a run are not called JSON with a fault."""
    (tmp_path / "subnet.json").touch()
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=rf"{name}: is {what}, not a subnet") as told:
        read_subnet(tmp_path / name)
    assert re.search(hint, str(told.value.hint))


def test_a_byte_order_mark_is_read_over(tmp_path):
    """An editor's mark at the beginning of a file changes nothing."""
    path = write(tmp_path, own_file())
    plain = read_subnet(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_subnet(path) == plain


def test_errors_of_a_net_config_name_file_and_key(tmp_path):
    """What is wrong in a net.config is told with the file's name."""
    content = net_config(M1)
    content["blocks"][3]["mobile_inverted_conv"]["expand_ratio"] = 0
    with pytest.raises(InputError, match=r"net\.config: blocks\[3\]\.expand_ratio is 0, not between 1 and 64"):
        read_subnet(write(tmp_path, content, "net.config"))
