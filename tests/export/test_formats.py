"""The formats that can be written here."""

import pytest

from natdeploy.errors import InputError
from natdeploy.export.formats import find_format, fp32_exporter, list_formats, make_exporter
from natdeploy.export.options import SUFFIXES, ExportOptions


def test_each_format_has_a_runtime_that_runs_its_files():
    """Name, exporter and runtime of a format fit together."""
    known = list_formats()
    assert list(known) == ["onnx", "tflite"]
    for name, item in known.items():
        assert item.exporter.format == name
        assert item.exporter.suffix == item.runtime.suffix == SUFFIXES[name]
        assert find_format(name).exporter.format == name
        assert make_exporter(name, ExportOptions()).format == name
        assert fp32_exporter(name, ExportOptions(precision="fp16")).format == name


def test_unknown_format_is_refused():
    """A name that is none is refused."""
    with pytest.raises(InputError, match="unknown format 'onx'"):
        find_format("onx")


def test_options_reach_the_writer():
    """An opset that cannot be written, or not in int8, is refused as soon as the writer is made."""
    with pytest.raises(InputError, match="opset 99"):
        make_exporter("onnx", ExportOptions(opset=99))
    with pytest.raises(InputError, match="int8 weights by channel need opset 13 or later, not 11"):
        make_exporter("onnx", ExportOptions(opset=11, precision="int8"))
