"""Options of an export, and the formats that take them."""

import dataclasses
import subprocess
import sys

import pytest

from natdeploy.errors import InputError
from natdeploy.export.options import FORMATS, TAKEN_BY, ExportOptions, require_format, require_taken


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "int4"}, "unknown precision 'int4' .known: fp32, fp16, int8"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": "many"}, "batch is 'many'"),
        ({"calibration": "digits"}, "--calibration goes with --precision int8, not fp32"),
        ({"int8_input": True, "precision": "fp16"}, "--int8-input goes with --precision int8, not fp16"),
    ],
)
def test_values_that_make_no_sense_are_refused(changes, said):
    """Unknown values, and options of another precision, are refused with the reason."""
    with pytest.raises(InputError, match=said) as caught:
        ExportOptions(**changes)
    assert caught.value.exit_code == 2


def test_near_precision_is_a_hint():
    """A misspelt precision gets the nearest as a hint."""
    with pytest.raises(InputError) as caught:
        ExportOptions(precision="fp61")
    assert caught.value.hint == "did you mean 'fp16'?"


@pytest.mark.parametrize("name", FORMATS)
def test_defaults_go_with_every_format(name):
    """What is not given is refused by no format."""
    require_taken(name, ExportOptions())


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("tflite", {"opset": 13}, r"--opset is not an option of format tflite \(formats that take it: onnx\)"),
        ("tflite", {"batch": "dynamic"}, r"--batch is not an option of format tflite \(formats that take it: onnx\)"),
        ("onnx", {"int8_input": True, "precision": "int8"}, r"--int8-input .* format onnx .*take it: tflite\)"),
        ("tensorrt", {"int8_input": True, "precision": "int8"}, r"--int8-input .* format tensorrt"),
    ],
)
def test_option_of_another_format_is_refused_with_those_that_take_it(name, options, said):
    """An option that a format does not take is refused, never ignored, and the formats that take it are named."""
    with pytest.raises(InputError, match=said):
        require_taken(name, ExportOptions(**options))


def test_every_option_that_is_not_for_all_is_one():
    """The table names fields of the options, and formats that there are."""
    fields = {field.name for field in dataclasses.fields(ExportOptions)}
    assert set(TAKEN_BY) <= fields
    assert all(set(formats) < set(FORMATS) for formats in TAKEN_BY.values())


@pytest.mark.parametrize(("asked", "near"), [("onx", "onnx"), ("tflit", "tflite"), ("TensorRT", "tensorrt")])
def test_unknown_format_is_refused_with_the_nearest(asked, near):
    """A misspelt format is refused, and the nearest is a hint."""
    with pytest.raises(InputError, match=f"unknown format '{asked}'.*onnx, tflite, tensorrt") as caught:
        require_format(asked)
    assert near in caught.value.hint


def test_format_without_a_neighbour_has_no_hint():
    """A name that is near nothing gets the list only."""
    with pytest.raises(InputError) as caught:
        require_format("zip")
    assert caught.value.hint is None


def test_options_are_checked_without_torch():
    """A misspelt format is found out before anything heavy is imported."""
    code = (
        "import sys\nfrom natdeploy.export.options import require_format\n"
        "try:\n    require_format('onx')\nexcept ValueError:\n    sys.exit('torch' in sys.modules)\nsys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
