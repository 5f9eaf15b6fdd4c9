"""The figures of the documentation are drawn by the code that is in the repository."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from natdeploy.core.latency import LatencyCorrection
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import write_table
from tests.support.small_search import board_table, prepare, small_search

# They need matplotlib, of the extra `docs`.
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def beside_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the modules be imported as they import one another."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def texts_of(path: Path) -> list[str]:
    """Return the texts of an SVG file."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


def test_the_diagrams_of_the_documentation_are_those_that_are_drawn(tmp_path, monkeypatch):
    """The files in the documentation say what the code draws."""
    monkeypatch.setattr("sys.argv", ["diagrams.py", str(tmp_path)])
    importlib.import_module("diagrams").main()
    for name in ("flow.svg", "nat.svg"):
        assert len(texts_of(tmp_path / name)) > 10
        assert texts_of(tmp_path / name) == texts_of(ROOT / "docs" / "figures" / name)


def test_the_figures_of_a_run_are_drawn(tmp_path, monkeypatch):
    """A search on this machine gives its front with target and choice, its layers, and its networks below the bound."""
    prepare(tmp_path / "home", monkeypatch)
    correction = LatencyCorrection(lower_ratio=0.5, upper_ratio=1.5, coverage=0.9, networks=20)
    table = dataclasses.replace(board_table("host"), provenance="measured", latency_correction=correction)
    write_table(table_path(table.deployment), table)
    result = small_search(devices=("host",), latency_limits_ms=({"host": 1000.0},), output=tmp_path / "run")
    figures = importlib.import_module("figures")
    monkeypatch.setattr(figures, "NETWORKS", 2)
    monkeypatch.setattr("sys.argv", ["figures.py", str(result.run), str(tmp_path)])
    figures.main()
    assert {"archive", "choice", "front, upper bound", "target 1000 ms"} <= {*texts_of(tmp_path / "front.svg")}
    assert {"stem", "blocks.0", "classifier"} <= {*texts_of(tmp_path / "layers.svg")}
    assert any(text.endswith("of 2 below the bound") for text in texts_of(tmp_path / "latency.svg"))
