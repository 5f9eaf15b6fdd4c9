"""Reading measured top-1 of architectures."""

import json
from pathlib import Path

import numpy as np
import pytest

from natdeploy.core.genotype import decode, sample
from natdeploy.errors import InputError
from natdeploy.io.accuracies import read_accuracies
from natdeploy.io.encodings import to_encoding
from natdeploy.io.spaces import find_space

SPACE = find_space("ofa-mbv3-w1.2")
ARCHITECTURES = [decode(SPACE, row) for row in sample(SPACE, 3, np.random.default_rng(0))]


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "top1.csv"
    path.write_text(text)
    return path


def test_encodings_and_json_are_read(tmp_path: Path) -> None:
    """Both columns that may name an architecture give the same architectures, with their fractions."""
    by_encoding = "encoding,top1\n" + "".join(f"{to_encoding(a)},0.7{n}\n" for n, a in enumerate(ARCHITECTURES))
    cells = ['"' + json.dumps(a.to_json()).replace('"', '""') + '"' for a in ARCHITECTURES]
    by_json = "top1,architecture\n" + "".join(f"0.7{n},{cell}\n" for n, cell in enumerate(cells))
    for text in (by_encoding, by_json):
        found = read_accuracies(written(tmp_path, text), SPACE)
        assert [entry.architecture for entry in found] == ARCHITECTURES
        assert [entry.top1 for entry in found] == [0.70, 0.71, 0.72]


def test_the_result_files_of_dynast_are_read(shared_data: Path) -> None:
    """All 1,265 rows of the three public files are architectures of the space, with percent turned into fractions."""
    space = find_space("ofa-mbv3-w1.0")
    files = sorted((shared_data / "accuracy" / "dynast").glob("*.csv"))
    found = [entry for path in files for entry in read_accuracies(path, space)]
    assert len(files) == 3
    assert len(found) == 1265
    assert {entry.architecture.resolution for entry in found} == {224}
    assert 0.70 < min(entry.top1 for entry in found) < max(entry.top1 for entry in found) < 0.80


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("encoding,top1\n", "no architectures"),
        ("encoding,accuracy\n1,2\n", "line 1: the columns must be top1"),
        ("encoding,top1\n08011001440551052208877,0.7\n", "line 2: width 1 is not in space ofa-mbv3-w1.2"),
        (
            "encoding,top1\n08111003100632076009771,78.6\n",
            "line 2: top-1 is '78.6': it must be between 0 and 1",
        ),
        ("encoding,top1\n08111003100632076009771,nan\n", "top-1 is 'nan'"),
        ("encoding,top1\n08111003100632076009771\n", "line 2: 1 columns instead of 2"),
        ("Sub-network,Top-1 Acc (%)\n\"{'d': [2]}\",75\n", "line 2: "),
        ("Sub-network,Top-1 Acc (%)\n08111003100632076009771,0.754\n", "must be percentages, not fractions"),
    ],
)
def test_what_is_wrong_is_named(text: str, reason: str, tmp_path: Path) -> None:
    """A file that is no such table is refused with file, line and reason."""
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=reason) as refused:
        read_accuracies(path, SPACE)
    assert str(path) in refused.value.message


def test_the_archive_of_a_run_is_read(tmp_path: Path) -> None:
    """A row has its architecture where it has no encoding, as in a run's archive, whose other columns do not matter."""
    starter = find_space("starter")
    architecture = decode(starter, sample(starter, 1, np.random.default_rng(0))[0])
    cell = json.dumps(architecture.to_json()).replace('"', '""')
    found = read_accuracies(written(tmp_path, f'row,encoding,top1,architecture\n0,,0.5,"{cell}"\n'), starter)
    assert [(entry.architecture, entry.top1) for entry in found] == [(architecture, 0.5)]


@pytest.mark.parametrize(
    ("cell", "hint"),
    [("70.5", "divide"), ("70", "divide"), ("70.5%", "divide"), ("-1", "None"), ("705", "None")],
)
def test_percentages_are_told_apart_from_other_numbers(tmp_path: Path, cell: str, hint: str) -> None:
    """A percentage is refused with what to do."""
    text = f"encoding,top1\n{to_encoding(ARCHITECTURES[0])},{cell}\n"
    with pytest.raises(InputError, match=f"line 2: top-1 is '{cell}': it must be between 0 and 1") as caught:
        read_accuracies(written(tmp_path, text), SPACE)
    assert str(caught.value.hint).startswith(hint)
