"""The table of exports: rows that were made once are kept."""

import importlib.util
from pathlib import Path

import pytest

from natdeploy.journal import Journal


@pytest.fixture(scope="module")
def matrix():
    """Return the benchmark."""
    path = Path(__file__).parents[2] / "benchmarks" / "export_matrix.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_exports", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rows_are_kept_as_they_are_made(matrix, tmp_path, monkeypatch, capsys):
    """A run that is cut short goes on where it stopped, and prints the whole table; no row is made twice."""
    made = []

    def make(*row):
        made.append(row)
        return [*row, *[""] * (len(matrix.HEADS) - 2 - len(row))]

    def make_two(*row):
        if len(made) == 2:
            raise KeyboardInterrupt
        return make(*row)

    monkeypatch.setattr(matrix, "alone", make_two)
    with pytest.raises(KeyboardInterrupt):
        matrix.main(["starter"], Journal(tmp_path / "rows.jsonl"))
    capsys.readouterr()
    monkeypatch.setattr(matrix, "alone", make)
    matrix.main(["starter"], Journal(tmp_path / "rows.jsonl"))
    printed = capsys.readouterr().out.splitlines()
    assert len(made) == len(set(made)) == 3 * 2 * 3
    assert len(printed) == 2 + len(made)
    assert {line.count("|") for line in printed} == {len(matrix.HEADS) + 1}
