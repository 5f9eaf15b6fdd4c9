"""`natdeploy export` with bad input, and what it prints."""

import errno
import json
import os
from pathlib import Path

import pytest

from natdeploy import cli
from natdeploy.export import onnx as onnx_export

INT8 = ("--precision", "int8")


@pytest.fixture(autouse=True)
def folder(tmp_path, digits_subnet, monkeypatch):
    """A current directory that holds the subnet, with a data folder of its own."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    for path in digits_subnet.parent.iterdir():
        (tmp_path / "work" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def files(folder):
    """Return the names of a folder's files."""
    return sorted(path.name for path in folder.iterdir())


def refused(folder, capsys, *arguments, code=2):
    """Run an export that has to fail; return what it said, and check that it left nothing."""
    before = files(folder)
    assert cli.run(["export", "subnet.json", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert files(folder) == before
    return captured.err


def test_json_tells_precision_accuracy_and_latency(folder, capsys):
    """One JSON document names the file, its precision, the hits before and after, and the latency beside fp32."""
    assert cli.run(["export", "subnet.json", *INT8, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["artifact"] == "subnet.onnx"
    assert document["precision"] == "int8"
    assert document["accuracy"]["before"] - document["accuracy"]["after"] < 0.02
    assert min(document["latency_ms"], document["fp32_latency_ms"]) > 0
    assert files(folder) == ["subnet.json", "subnet.manifest.json", "subnet.onnx", "subnet.safetensors"]
    assert cli.run(["measure", "subnet.onnx", "--json"]) == 0
    assert cli.run(["measure", "subnet.onnx", "--classes", "7"]) == 2
    assert cli.run(["extract", "subnet.json", "--row", "5"]) == 2
    assert json.loads(capsys.readouterr().out)["runtime"] == "onnxruntime"


def test_text_tells_the_hits(folder, capsys):
    """For people, precision, hits and the latency beside fp32 are in the text."""
    assert cli.run(["export", "subnet.json", *INT8, "--softmax-inside", "--normalize-inside"]) == 0
    printed = capsys.readouterr().out
    assert "onnx int8: subnet.onnx" in printed
    assert "validation images" in printed
    assert "(fp32:" in printed


def test_missing_weights_are_named(folder, capsys):
    """A weight file that is gone is named."""
    (folder / "subnet.safetensors").unlink()
    assert "subnet.safetensors: no such file" in refused(folder, capsys)


def test_wrong_number_of_classes_is_refused(folder, capsys):
    """A number of classes that is not the subnet's, or not that of its weights, is refused."""
    assert "the subnet has 10 classes, not 7" in refused(folder, capsys, "--classes", "7")
    content = json.loads((folder / "subnet.json").read_text())
    content["task"]["classes"] = content["task"]["classes"][:9]
    (folder / "subnet.json").write_text(json.dumps(content))
    assert "classifier" in refused(folder, capsys)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_unwritable_place_is_named(folder, capsys, precision):
    """A place in something that is no folder is named, in every precision."""
    (folder / "file").touch()
    said = refused(folder, capsys, "--precision", precision, "--output", "file/subnet.onnx")
    assert "cannot write" in said
    assert "file" in said


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_full_disk_is_named_and_leaves_nothing(folder, capsys, monkeypatch, precision):
    """A disk that fills up while the file is written is one error, and leaves nothing behind."""

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "No space left on device" in refused(folder, capsys, "--precision", precision)


def test_interruption_leaves_nothing(folder, capsys, monkeypatch):
    """Ctrl-C in the middle of a conversion ends with exit code 130, and leaves nothing behind."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx_export, "to_int8", interrupt)
    assert "interrupted" in refused(folder, capsys, *INT8, code=130)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--precision int4", "unknown precision 'int4' (known: fp32, fp16, int8)"),
        ("--format tflite --opset 13", "--opset is not an option of format tflite (formats that take it: onnx)"),
        ("--format tflite --batch 2", "--batch is not an option of format tflite"),
        ("--precision int8 --int8-input", "--int8-input is not an option of format onnx"),
        ("--batch none", "'none' is not a number of images"),
        ("--batch 0", "'0' is not a number of images"),
        ("--batch 100000000", "a batch of 100000000 images needs"),
        ("--calibration digits", "--calibration goes with --precision int8"),
        ("--opset 99", "opset 99 cannot be written"),
        ("--opset 0", "opset 0 cannot be written"),
        ("--opset 11 --precision int8", "need opset 13 or later, not 11"),
        ("--precision int8 --calibration nowhere", "--calibration nowhere: no such folder, nor a known data set"),
        ("--precision int8 --calibration subnet.json", "--calibration subnet.json: is not a folder of images"),
        ("--precision int8 --calibration .", "holds no image"),
    ],
)
def test_bad_options_are_one_clear_error(folder, capsys, arguments, said):
    """An option that makes no sense, or that the format does not take, is one error with exit code 2."""
    assert said in refused(folder, capsys, *arguments.split())


def test_settings_file_sets_options(folder, capsys):
    """natdeploy.toml sets the options of an export as of any other command."""
    (folder / "natdeploy.toml").write_text('[export]\nprecision = "fp16"\nbatch = 2\njson = true\n')
    assert cli.run(["export", "subnet.json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["precision"] == "fp16"
    assert json.loads((folder / "subnet.manifest.json").read_text())["input"]["shape"][0] == 2
