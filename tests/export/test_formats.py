"""The formats that can be asked for."""

import subprocess
import sys

import pytest

from natdeploy.errors import InputError, MissingRuntimeError
from natdeploy.export.formats import find_format, formats


def test_each_format_has_a_runtime_that_runs_its_files():
    """Name, exporter and runtime of a format fit together."""
    known = formats()
    assert list(known) == ["onnx", "tflite"]
    for name, item in known.items():
        assert item.exporter.format == name
        assert item.exporter.suffix == item.runtime.suffix
        assert find_format(name).exporter.format == name


@pytest.mark.parametrize(("asked", "near"), [("onx", "onnx"), ("tflit", "tflite"), ("TensorRT", "tensorrt")])
def test_unknown_format_is_refused_with_the_nearest(asked, near):
    """A misspelt format is refused, and the nearest is a hint."""
    with pytest.raises(InputError, match=f"unknown format '{asked}'.*onnx, tflite, tensorrt") as caught:
        find_format(asked)
    assert near in caught.value.hint


def test_format_without_a_neighbour_has_no_hint():
    """A name that is near nothing gets the list only."""
    with pytest.raises(InputError) as caught:
        find_format("zip")
    assert caught.value.hint is None


def test_tensorrt_is_explained():
    """TensorRT, which needs the device, ends with exit code 3 and tells how to go on."""
    with pytest.raises(MissingRuntimeError, match="only on the device that it was built on") as caught:
        find_format("tensorrt")
    assert caught.value.exit_code == 3
    assert "--format onnx" in caught.value.hint
    assert "trtexec" in caught.value.hint


def test_names_are_checked_without_torch():
    """A misspelt format is found out before anything heavy is imported."""
    code = (
        "import sys\nfrom natdeploy.export.formats import find_format\n"
        "try:\n    find_format('onx')\nexcept ValueError:\n    sys.exit('torch' in sys.modules)\nsys.exit(2)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
