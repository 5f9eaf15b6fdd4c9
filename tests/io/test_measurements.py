"""Whole-network latencies: what is read, and what is refused by line."""

from __future__ import annotations

import json

import pytest

from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.measurements import list_resolutions, read_measurements
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_architecture

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
