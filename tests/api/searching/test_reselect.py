"""Selecting again from a finished run, for other devices and latency limits."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from natdeploy import api, cli
from natdeploy.errors import CoverageError, InputError, TargetUnreachableError
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.training import ElasticTrainer
from tests.support.csv_files import rows
from tests.support.small_search import BOARD, OTHER, prepare, small_search, write_board_table


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api.SearchResult]:
    """A finished run for one board; the other board has a table too."""
    with pytest.MonkeyPatch.context() as patch:
        prepare(tmp_path_factory.mktemp("home"), patch)
        write_board_table(OTHER)
        yield small_search(output=tmp_path_factory.mktemp("runs") / "first", resolutions=(32, 40))


@pytest.fixture(autouse=True)
def folder(finished: api.SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one; training is an error."""

    def train(*_: object, **__: object) -> None:
        pytest.fail("something was trained")

    monkeypatch.setattr(ElasticTrainer, "train_epoch", train)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_finished_run_is_selected_from_for_another_device(finished: api.SearchResult, folder: Path) -> None:
    """Each target gets a choice from the run's archive with its weights, and the run itself stays as it was."""
    before = {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file()}
    goal = api.SearchGoal(latency_limits_ms=({OTHER: 0.8}, {OTHER: 9.0}))
    result = api.search_from(finished.run, goal=goal)
    assert {path: path.read_bytes() for path in finished.run.rglob("*") if path.is_file()} == before
    tight, loose = result.choices
    assert tight.latency_ms[OTHER].predicted <= 0.8
    assert tight.validation_top1 <= loose.validation_top1
    assert set(loose.latency_ms) == {OTHER}
    known = {row["genotype"]: row["top1"] for row in rows(finished.run / "archive.csv")}
    for choice in result.choices:
        genotype = " ".join(map(str, choice.genotype))
        assert choice.validation_top1 == pytest.approx(float(known[genotype]))
        assert choice.top1_source == "test"
        subnet, network = api.load_subnet(choice.subnet)
        assert network.classes == 10
        assert subnet.task is not None
    assert (result.iterations, result.evaluations) == (0, 0)
    assert set(result.to_json()) == set(finished.to_json())
    assert {path.name for path in result.run.iterdir()} >= {"run.toml", "front.csv", "report.html", "latency_tables"}
    assert Path("subnet.json").exists()


def test_the_same_architecture_gets_the_same_weights(finished: api.SearchResult, folder: Path) -> None:
    """The most accurate architecture, chosen again, is the run's own choice to the last bit, test accuracy included."""
    again = api.search_from(finished.run, goal=api.SearchGoal(devices=(BOARD,)), output=folder / "again")
    assert again.chosen.genotype == finished.chosen.genotype
    assert again.chosen.top1 == finished.chosen.top1
    first, second = (read_state(result.run / "subnet.safetensors") for result in (finished, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_limits_and_objectives_count(finished: api.SearchResult, folder: Path) -> None:
    """A limit in multiply-adds holds for the choice, and the front is made of what was asked for."""
    smallest = min(int(row["madds"]) for row in rows(finished.run / "archive.csv"))
    goal = api.SearchGoal(objectives=("madds",), limits={"madds": float(smallest)})
    result = api.search_from(finished.run, goal=goal)
    assert result.chosen.madds == smallest
    assert result.chosen.latency_ms == {}
    front = rows(result.run / "front.csv")
    assert [int(row["madds"]) for row in front] == sorted(int(row["madds"]) for row in front)


def test_resolutions_that_the_table_lacks_are_left_out(
    finished: api.SearchResult, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a resolution that the other device's table lacks are not chosen from; without any it is an error."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(folder / "home"))
    write_board_table(OTHER, resolutions=(40,))
    result = api.search_from(finished.run, goal=api.SearchGoal(devices=(OTHER,)))
    whole = rows(finished.run / "archive.csv")
    kept = [row for row in whole if row["resolution"] == "40"]
    assert 0 < len(kept) < len(whole)
    found = rows(result.run / "archive.csv")
    assert [(row["depths"], row["top1"], row["madds"]) for row in found] == [
        (row["depths"], row["top1"], row["madds"]) for row in kept
    ]
    only = small_run_rows(finished, folder, resolution="32")
    with pytest.raises(CoverageError, match="no architecture of the archive has a resolution"):
        api.search_from(only, goal=api.SearchGoal(devices=(OTHER,)), output=folder / "none")


def small_run_rows(finished: api.SearchResult, folder: Path, *, resolution: str) -> Path:
    """Return a copy of a run whose last round, and so its archive, has the rows of one resolution alone."""
    copy = folder / "copy"
    copy.mkdir()
    for name in ("run.toml", "checkpoint"):
        (copy / name).symlink_to(finished.run / name)
    kept = [row for row in rows(finished.run / "archive.csv") if row["resolution"] == resolution]
    genotypes = [[int(gene) for gene in row["genotype"].split()] for row in kept]
    events = [json.loads(line) for line in (finished.run / "journal.jsonl").read_text().splitlines()]
    last = [event for event in events if event.get("round", 0) < 2 or event["genotype"] in genotypes]
    (copy / "journal.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in last))
    cells = [f"{place},{row['genotype']},{row['top1']}\n" for place, row in enumerate(kept)]
    (copy / "archive.csv").write_text("row,genotype,top1\n" + "".join(cells))
    return copy


def test_a_target_that_nothing_meets_leaves_no_folder(finished: api.SearchResult, folder: Path) -> None:
    """When no row of the archive meets a target, nothing is written."""
    goal = api.SearchGoal(latency_limits_ms=({OTHER: 9.0}, {OTHER: 0.001}))
    with pytest.raises(TargetUnreachableError, match=f"ms on {OTHER}"):
        api.search_from(finished.run, goal=goal, output=folder / "run")
    assert list(folder.iterdir()) == []


def test_a_selection_is_no_run_to_select_from(finished: api.SearchResult, folder: Path) -> None:
    """A folder of a selection has no supernet: it is refused with where to find one."""
    api.search_from(finished.run, goal=api.SearchGoal(devices=(OTHER,)), output=folder / "again")
    for work in (api.resume, api.search_from, api.extract_from_run):
        with pytest.raises(InputError, match="a selection from the archive of another run"):
            work(folder / "again")
    with pytest.raises(InputError, match="contains a run already"):
        api.search_from(finished.run, goal=api.SearchGoal(devices=(OTHER,)), output=folder / "again")


def test_the_command(finished: api.SearchResult, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`search --from RUN` prints what `search` prints, and refuses options of training."""
    command = ["search", "--from", str(finished.run), "--device", OTHER, "--target-latency", "2ms"]
    assert cli.run([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chosen"]["target_ms"] == {OTHER: 2.0}
    for option in (["--preset", "best"], ["--seed", "1"], ["--adapt-epochs", "1"], ["--from-scratch"]):
        assert cli.run([*command, *option]) == 2
        assert f"--from selects without training, so {option[0]} cannot be used with it" in capsys.readouterr().err
