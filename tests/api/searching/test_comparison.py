"""Several runs in one page, and the figures of a run as files."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from natdeploy import api
from natdeploy.cli import run as run_cli
from natdeploy.errors import InputError
from tests.support.reports import (
    BOARD,
    OTHER,
    make_selector,
    make_table,
    read_data,
    record_iterations,
    record_measured,
    write_run,
)


def make_run(path: Path, seed: int, device: str = BOARD) -> Path:
    """Write a run with its report, and return its folder."""
    selector = make_selector(path, {device: make_table(device)}, limits_ms=({device: 1.8},), seed=seed)
    record_iterations(selector)
    record_measured(selector, device, selector.front[::4], 1.05)
    selector.run.start()
    return write_run(selector).parent


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two runs for different devices; the current folder is that of the runs."""
    monkeypatch.chdir(tmp_path)
    return [make_run(Path("one"), 0), make_run(Path("two"), 1, OTHER)]


def test_a_comparison_has_what_the_reports_have(runs: list[Path]) -> None:
    """Each run is there as in its own report, under the name of its folder."""
    result = api.compare_runs(runs)
    assert result.report == Path("report.html")
    for path, run in zip(runs, read_data(result.report)["runs"], strict=True):
        (own,) = read_data(path / "report.html")["runs"]
        assert run == {**own, "name": str(path)}


def test_commands_are_for_where_the_runs_are(runs: list[Path]) -> None:
    """A run that has moved is extracted from and exported from its new place."""
    (Path("elsewhere and more")).mkdir()
    moved = runs[0].rename("elsewhere and more/one")
    compared = read_data(api.compare_runs([moved, runs[1]]).report)["runs"]
    assert compared[0]["commands"]["run"] == compared[0]["commands"]["weights"] == "'elsewhere and more/one'"
    assert compared[1]["commands"]["run"] == "two"


def test_what_cannot_be_compared_is_refused(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """A run twice, a folder that is none, a missing or unknown report, and an output that is the report of a run."""
    with pytest.raises(InputError, match="named twice"):
        api.compare_runs([runs[0], Path("two/../one")])
    with pytest.raises(InputError, match="no such folder"):
        api.compare_runs([runs[0], Path("three")])
    with pytest.raises(InputError, match="would replace the file that is read"):
        api.compare_runs(runs, output=runs[0] / "report.html")
    report = runs[1] / "report.html"
    whole = report.read_text()
    for text in ("", "<html></html>", whole.replace("natdeploy.report/1", "natdeploy.report/0")):
        report.write_text(text)
        with pytest.raises(InputError, match=r"two/report\.html: not a report of this version") as refused:
            api.compare_runs(runs)
        assert "natdeploy report two" in str(refused.value.hint)
    report.write_text(whole.replace('{"format":"natdeploy.report/1","', '{"format":"natdeploy.report/1","x', 1))
    with pytest.raises(InputError, match=r"two/report\.html: its data has been edited"):
        api.compare_runs(runs)
    report.unlink()
    assert run_cli(["report", "one", "two"]) == 2
    assert "two/report.html: no such file" in capsys.readouterr().err
    assert not Path("report.html").exists()


def test_the_command_compares_and_draws(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Several runs go to --output, the figures of one to a folder; what does not fit together is refused."""
    assert run_cli(["report", "one", "two", "--output", "both.html", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "report": "both.html", "runs": ["one", "two"]}
    assert run_cli(["report", "one", "--figures", "figures"]) == 0
    assert {Path(line) for line in capsys.readouterr().out.splitlines()} == set(Path("figures").iterdir())
    for wrong in (["one", "two", "--figures", "x"], ["one", "--output", "x"], ["one", "--figures", "x", "--data", "y"]):
        assert run_cli(["report", *wrong]) == 2
    assert not Path("x").exists()


def test_every_figure_is_a_vector_and_a_bitmap(runs: list[Path]) -> None:
    """The front over each cost, the layers, measured latencies, predictor and hypervolume, each as SVG and PNG."""
    figures = api.draw_figures(runs[0], Path("figures")).figures
    latency = f"latency-{BOARD}"
    fronts = {f"front-{cost}" for cost in ("madds", "params", latency)}
    layers = {f"layers-{cost}" for cost in ("madds", "params", latency)}
    assert {path.stem for path in figures} == fronts | layers | {f"measured-{BOARD}", "predictor", "hypervolume"}
    for path in figures:
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")
        else:
            with Image.open(path) as image:
                assert image.size == (1000, 680)
    text = Path(f"figures/front-{latency}.svg").read_text()
    for part in ("top-1 on validation images (%)", f"predicted latency on {BOARD} (ms)", "target 1.8 ms"):
        assert part in text


def test_the_parts_of_a_figure_are_the_layers(runs: list[Path]) -> None:
    """A bar has as many parts as the network has layers, and the constant of the table's correction."""
    (run,) = read_data(runs[0] / "report.html")["runs"]
    layers = len(run["largest"]["layers"]) + len(run["architectures"]["layers"][run["choices"][0]["place"]])
    api.draw_figures(runs[0], Path("figures"))
    for name, parts in (("madds", layers), (f"latency-{BOARD}", layers + 2)):
        root = ET.parse(f"figures/layers-{name}.svg").getroot()
        bars = [group for group in root.iter() if "clip-path" in group.attrib and group.tag.endswith("path")]
        assert len(bars) == parts
