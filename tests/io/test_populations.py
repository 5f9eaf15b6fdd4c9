"""Architectures to train for, from a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from natdeploy.core.genotype import decode, sample
from natdeploy.errors import InputError
from natdeploy.io.encodings import to_encoding
from natdeploy.io.populations import read_population
from natdeploy.io.spaces import find_space

NAT, STARTER = find_space("nat"), find_space("starter")
ROWS = sample(NAT, 4, np.random.default_rng(0))
GENES = "1 1 0 0 " * 5


def written(folder: Path, text: str) -> Path:
    """Return a file with this text."""
    path = folder / "some.csv"
    path.write_text(text)
    return path


def test_encodings_and_json_are_read(tmp_path: Path) -> None:
    """Both columns that may name an architecture give the same genotypes."""
    architectures = [decode(NAT, row) for row in ROWS]
    cells = ['"' + json.dumps(a.to_json()).replace('"', '""') + '"' for a in architectures]
    for text in (
        "encoding\n" + "".join(f"{to_encoding(a)}\n" for a in architectures),
        "top1,architecture\n" + "".join(f"0.5,{cell}\n" for cell in cells),
    ):
        assert (read_population(written(tmp_path, text), NAT) == ROWS).all()


def test_an_archive_counts_in_the_lists_of_its_own_run(tmp_path: Path) -> None:
    """A run's genotypes are read by their resolution and width, whatever lists that run and this space have."""
    path = written(tmp_path, f"row,genotype,encoding,resolution,width\n0,0 0 {GENES},,48,0.5\n1,1 0 {GENES},,40,0.5\n")
    assert read_population(path, STARTER)[:, 0].tolist() == [2, 1]
    assert read_population(path, STARTER.with_resolutions((40, 48)))[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("top1\n0.5\n", "has neither the columns genotype, resolution, width nor encoding or architecture"),
        ("encoding\n", "contains no architectures"),
        ("encoding\n0801\n", "line 2: an encoding has 23 digits"),
        (f"genotype,resolution,width\n0 0 {GENES},64,0.5\n", "line 2: resolution 64 is not among those trained for"),
        (f"genotype,resolution,width\n0 0 {GENES},big,0.5\n", "line 2: .*big"),
        (f"genotype,resolution,width\n0 0 {GENES},48,0.7\n", r"line 2: width 0\.7 is not in space starter"),
        (f"genotype,resolution,width\n0 0 9 {GENES},48,0.5\n", "is not a genotype of space starter"),
        ("genotype,resolution,width\n0 0 " + "0 1 1 0 " * 5 + ",48,0.5\n", "is not a genotype of space starter"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    """A file that is no such table, and a row that is not of the space, are refused with file and line."""
    with pytest.raises(InputError, match=rf"some\.csv.*{said}"):
        read_population(written(tmp_path, text), STARTER)
