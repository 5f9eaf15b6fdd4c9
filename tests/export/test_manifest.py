"""Manifests and their places."""

import hashlib
import json

import numpy as np
import pytest

from natdeploy.errors import InputError
from natdeploy.export.manifest import Description, format_manifest, manifest_path
from natdeploy.export.parity import compare

LOGITS = np.eye(3, dtype=np.float32)


def written_manifest(folder, **changes):
    """Return the manifest of a small file, parsed."""
    content = folder / "temporary"
    content.write_bytes(b"content")
    arguments = {
        "format_name": "onnx",
        "description": Description(subnet="subnet.json"),
        "written": {"input": {"name": "image"}, "output": {"name": "logits"}, "opset": 17, "versions": {"torch": "2"}},
        "tools": {"onnxruntime": "1"},
        "parity": compare(LOGITS, LOGITS),
        "latency": None,
    }
    return json.loads(format_manifest(folder / "subnet.onnx", content, **{**arguments, **changes}))


def test_manifest_tells_the_file_by_its_content(tmp_path):
    """Hash and size are those of the content, the name is the final one."""
    manifest = written_manifest(tmp_path)
    assert manifest["format"] == "natdeploy.manifest/1"
    assert manifest["artifact"] == "subnet.onnx"
    assert manifest["sha256"] == hashlib.sha256(b"content").hexdigest()
    assert manifest["size_bytes"] == len(b"content")


def test_manifest_tells_what_an_app_needs(tmp_path):
    """Normalization, labels, input, output, precision, opset, versions, parity and latency are there."""
    architecture = {"w": 0.5, "r": 32, "d": [2], "e": [3, 3], "ks": [3, 3]}
    description = Description(subnet=architecture, mean=(0.5,) * 3, std=(0.25,) * 3, labels=("a", "b", "c"))
    latency = {"median_ms": 1.5, "fingerprint": "machine"}
    manifest = written_manifest(tmp_path, description=description, latency=latency)
    assert manifest["subnet"] == architecture
    assert (manifest["mean"], manifest["std"], manifest["labels"]) == ([0.5] * 3, [0.25] * 3, ["a", "b", "c"])
    assert (manifest["precision"], manifest["opset"]) == ("fp32", 17)
    assert manifest["tools"].keys() == {"natdeploy", "torch", "onnxruntime"}
    assert manifest["parity"]["passed"]
    assert manifest["latency"] == latency


def test_what_is_unknown_is_null(tmp_path):
    """Without a task and without a measurement the keys are there, and null."""
    manifest = written_manifest(tmp_path)
    assert [manifest[key] for key in ("mean", "std", "labels", "latency")] == [None] * 4


def test_manifest_lies_beside_the_file(tmp_path):
    """The manifest is called after the file, also where the name holds dots."""
    assert manifest_path(tmp_path / "net.v1.onnx") == tmp_path / "net.v1.manifest.json"


def test_two_files_of_one_name_keep_a_manifest_each(tmp_path):
    """A second format beside the first gets a manifest of its own, and keeps it."""
    first, second = tmp_path / "subnet.onnx", tmp_path / "subnet.tflite"
    first.touch()
    (tmp_path / "subnet.manifest.json").write_text(json.dumps({"artifact": "subnet.onnx"}))
    own = tmp_path / "subnet.tflite.manifest.json"
    assert manifest_path(first) == tmp_path / "subnet.manifest.json"
    assert manifest_path(second) == own
    own.touch()
    first.unlink()
    assert manifest_path(second) == own


def test_manifest_of_a_file_that_is_gone_is_replaced(tmp_path):
    """A manifest that describes nothing any more makes room."""
    shared = tmp_path / "subnet.manifest.json"
    for name in ("gone.onnx", "n" * 5000):
        shared.write_text(json.dumps({"artifact": name}))
        assert manifest_path(tmp_path / "subnet.tflite") == shared


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "its artifact is 'None', not the name of a file beside it"),
        ('{"artifact": "../x.onnx"}', "its artifact is '../x.onnx'"),
        ('{"artifact": ".."}', "its artifact is '..'"),
        ('{"artifact": "a\\u0000"}', "its artifact is"),
        ("not JSON", "not valid JSON"),
    ],
)
def test_a_file_that_is_no_manifest_is_not_replaced(tmp_path, content, reason):
    """Another file of the name of a manifest stays; the error says what it is and what to do."""
    (tmp_path / "subnet.manifest.json").write_text(content)
    with pytest.raises(InputError, match=rf"subnet\.manifest\.json: not the manifest .*{reason}") as caught:
        manifest_path(tmp_path / "subnet.tflite")
    assert "--output" in caught.value.hint
