"""Whole-network latencies: what is read, and what is refused by line."""

from __future__ import annotations

import json

import pytest

from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.devices import find_device
from natdeploy.io.measurements import list_resolutions, read_measurements, require_conditions
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_architecture
from natdeploy.testing.fakes import RecordingReporter

NAT = find_space("nat")
ENCODING = "08011001440551052208877"
BARE = {"d": [2] * 5, "e": [3] * 10, "ks": [3] * 10, "r": 128}


def write(tmp_path, *lines):
    """Write a file of measurements."""
    path = tmp_path / "measured.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def quoted(content):
    """Return JSON as a CSV cell."""
    return '"' + json.dumps(content).replace('"', '""') + '"'


def test_encodings_are_read(tmp_path):
    """An encoding stands for its network with 1000 classes, or with as many as its row says."""
    path = write(tmp_path, "# from the bench", "encoding,latency_ms,classes", f"{ENCODING},12.5,", f"{ENCODING},11,10")
    first, second = read_measurements(path, NAT)
    architecture = read_architecture(ENCODING, find_space("nat")).architecture
    assert (first.architecture, first.latency_ms) == (architecture, 12.5)
    assert first.layers == walk(NAT, architecture, 1000)
    assert second.layers == walk(NAT, architecture, 10)


def test_architectures_are_read_in_every_layout(tmp_path):
    """Bare ones, OFA's padded lists without a width, and natdeploy's own files, at any resolution."""
    padded = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5, "r": [132]}
    own = {
        "format": "natdeploy.subnet/1",
        "supernet": "ofa-mbv3-w1.2",
        "architecture": BARE | {"w": 1.2},
        "weights": None,
        "task": None,
    }
    rows = [f"{quoted(content)},{ms}" for content, ms in ((BARE | {"w": 1.2}, 1.0), (padded, 2.0), (own, 3.0))]
    found = read_measurements(write(tmp_path, "architecture,latency_ms", *rows), find_space("ofa-mbv3-w1.2"))
    assert [entry.latency_ms for entry in found] == [1, 2, 3]
    assert [sum(entry.architecture.depths) for entry in found] == [10, 10, 10]
    assert list_resolutions(found) == (128, 132)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["encoding,ms", f"{ENCODING},1"],
            "line 1: the columns must be latency_ms and one of encoding or architecture",
        ),
        (["latency_ms", "1"], "line 1: the columns must be"),
        (["encoding,architecture,latency_ms"], "line 1: the columns must be"),
        (["encoding,latency_ms"], "there are no measurements"),
        (["encoding,latency_ms", f"{ENCODING},0"], "line 2: latency_ms is '0'"),
        (["encoding,latency_ms", f"{ENCODING},-3"], "line 2: latency_ms is '-3'"),
        (["encoding,latency_ms", f"{ENCODING},nan"], "line 2: latency_ms is 'nan'"),
        (["encoding,latency_ms", f"{ENCODING},12ms"], "line 2: latency_ms is '12ms'"),
        (["encoding,latency_ms", f"{ENCODING}"], "line 2: 1 columns instead of 2"),
        (["encoding,latency_ms", f"{ENCODING},1", "12,1"], "line 3: an encoding has 23 digits"),
        (["encoding,latency_ms,classes", f"{ENCODING},1,ten"], "line 2: classes is 'ten'"),
        (["architecture,latency_ms", "{},1"], "line 2: d: is missing"),
        (["architecture,latency_ms", quoted(BARE) + ",1"], "line 2: w is missing"),
        (["architecture,latency_ms", quoted(BARE | {"w": 0.7}) + ",1"], "line 2: width 0.7 is not in space nat"),
        (["architecture,latency_ms", '"{,1'], "line 2: not a CSV row"),
    ],
)
def test_bad_files_are_refused_by_line(tmp_path, lines, said):
    """The message names file, line and reason."""
    path = write(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        read_measurements(path, NAT)
    assert caught.value.message.startswith(str(path))
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("column", "cells", "said", "hint"),
    [
        ("precision", ("fp32", "int8"), "line 3: precision is 'int8', and 'fp32' elsewhere", "a file for each"),
        ("threads", ("1", "4"), "line 3: threads is '4', and '1' elsewhere", "a file for each"),
        ("device", ("Pixel 8", "Galaxy S10"), "line 3: device is 'Galaxy S10', and 'Pixel 8' elsewhere", "a file for"),
        ("precision", ("INT8", "int8"), "line 3: precision is 'int8', and the table is of pixel-8", "--precision int8"),
        ("batch", ("", "8"), "line 3: batch is '8', and the table is of pixel-8", "--batch 8"),
        ("runtime", ("onnxruntime", ""), "line 2: runtime is 'onnxruntime'", "--runtime onnxruntime"),
    ],
)
def test_what_a_file_says_of_its_deployment_is_compared(tmp_path, column, cells, said, hint):
    """Measurements of another deployment, or of several, do not become one table without a word."""
    rows = [f"{ENCODING},{number},{cell}" for number, cell in enumerate(cells, start=9)]
    measured = read_measurements(write(tmp_path, f"encoding,latency_ms,{column}", *rows), NAT)
    with pytest.raises(InputError, match=said) as caught:
        require_conditions(measured, find_deployment(find_device("pixel-8"), TableSelector()))
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("column", "cell"), [("precision", "FP32"), ("threads", "1"), ("device", "My phone"), ("batch", "")]
)
def test_a_file_may_say_what_is_true(tmp_path, column, cell):
    """A column that agrees with the table, is empty, or has a name of its own for the device, is no error."""
    reporter = RecordingReporter()
    path = write(tmp_path, f"encoding,latency_ms,{column}", f"{ENCODING},1,{cell}")
    require_conditions(read_measurements(path, NAT, reporter), find_deployment(find_device("pixel-8"), TableSelector()))
    assert reporter.said == []


def test_columns_that_are_not_read_are_named(tmp_path):
    """A column that nobody reads, such as another latency, is told."""
    reporter = RecordingReporter()
    path = write(tmp_path, "encoding,latency_ms,latency_int8_ms,note", f"{ENCODING},1,2,x")
    read_measurements(path, NAT, reporter)
    assert reporter.said == [f"{path}: columns that are not read: latency_int8_ms, note"]
