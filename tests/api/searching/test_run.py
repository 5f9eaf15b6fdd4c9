"""The search through the API: files, determinism, resume, decision."""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy import api, cli
from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.device import find_deployment
from natdeploy.errors import CoverageError, EvaluationError, InputError, InterruptedWorkError, TargetUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.io.subnets import read_subnet
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import write_table
from natdeploy.journal import Journal
from natdeploy.search.surrogate import SurrogateSettings
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.testing.fakes import RecordingReporter
from tests.support.csv_files import rows
from tests.support.small_search import BOARD, EFFORT, board_table, prepare, small_search


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a table of a board; the digits are every sixth of them meanwhile."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        prepare(folder, patch)
        yield folder


@pytest.fixture(scope="module")
def whole(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> api.SearchResult:
    """A search that nothing interrupts."""
    return small_search(output=tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def home(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_search_leaves_everything_that_a_run_needs(home: Path) -> None:
    """A search writes settings, tables, archive, front, choice, report, and its choice as ./subnet.json too."""
    result = small_search(latency_limits_ms=({BOARD: 1.5},))
    names = {path.name for path in result.run.iterdir()}
    assert names >= {
        "run.toml", "latency_tables", "archive.csv", "front.csv", "subnet.json", "subnet.safetensors", "journal.jsonl",
        "checkpoint", "report.html",
    }  # fmt: skip
    archive, front = rows(result.run / "archive.csv"), rows(result.run / "front.csv")
    assert len(archive) == 8
    assert {row["genotype"] for row in front} <= {row["genotype"] for row in archive}
    assert result.front_size == len(front)
    alias, own = read_subnet(Path("subnet.json")), read_subnet(result.run / "subnet.json")
    assert alias.architecture == own.architecture
    assert alias.weights is not None
    assert own.weights is not None
    assert alias.weights.resolve() == own.weights.resolve()
    assert "plotly" in (result.run / "report.html").read_text().lower()
    assert result.chosen.latency_ms[BOARD].predicted <= 1.5
    assert result.chosen.top1_source == "test"
    assert result.chosen.latency_ms[BOARD].measured is None


def test_one_choice_for_each_target(home: Path) -> None:
    """Several targets give several choices from one front, and a tighter one never a more accurate one."""
    result = small_search(latency_limits_ms=({BOARD: 0.8}, {BOARD: 5.0}))
    tight, loose = result.choices
    assert tight.latency_ms[BOARD].predicted <= 0.8
    assert tight.validation_top1 <= loose.validation_top1
    assert tight.subnet != loose.subnet
    assert read_subnet(loose.subnet).architecture.resolution == 32
    assert result.to_json()["chosen"] == result.to_json()["choices"][0]


@pytest.mark.parametrize("kept_events", [0, 3, 6, 8, 12, 17])
def test_a_search_that_stopped_anywhere_ends_the_same(
    kept_events: int, whole: api.SearchResult, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after any number of recorded events, a resumed search ends in the same archive."""
    append = Journal.append

    def stop(journal: Journal, event: dict[str, object]) -> None:
        if len(journal.events) == kept_events:
            raise KeyboardInterrupt
        append(journal, event)

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(InterruptedWorkError) as stopped:
        small_search(output=home / "stopped")
    assert stopped.value.exit_code == 130
    assert f"--resume {home / 'stopped'}" in str(stopped.value.hint)
    monkeypatch.setattr(Journal, "append", append)
    resumed = api.resume(home / "stopped")
    for name in ("archive.csv", "front.csv"):
        assert (resumed.run / name).read_text() == (whole.run / name).read_text()
    assert resumed.chosen.genotype == whole.chosen.genotype
    assert resumed.chosen.top1 == whole.chosen.top1


def test_the_seed_decides_everything(whole: api.SearchResult, home: Path) -> None:
    """Another seed gives another archive; that the same one gives the same is held by the test above."""
    other = small_search(seed=6, output=home / "other")
    assert (other.run / "archive.csv").read_text() != (whole.run / "archive.csv").read_text()


def test_a_target_that_nothing_meets_is_refused_before_training(home: Path) -> None:
    """When the cheapest architecture misses the target, the search stops at once and leaves no run."""
    with pytest.raises(TargetUnreachableError, match=r"the nearest takes 0\.\d+ ms"):
        small_search(latency_limits_ms=({BOARD: 0.001},), output=home / "run")
    assert not (home / "run").exists()


def test_resolutions_that_a_table_lacks_are_left_out_or_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with a missing row takes its resolutions out of the search; when none is left the row is named."""
    path, table = table_path(find_deployment(find_device(BOARD))), board_table(BOARD)
    lost = next(layer for layer in table.rows if layer.op == "stem" and layer.in_size == 48)
    kept = {layer: stats for layer, stats in table.rows.items() if layer != lost}
    monkeypatch.setenv("NATDEPLOY_HOME", str(home))
    write_table(table_path(table.deployment), dataclasses.replace(table, rows=kept))
    assert table_path(table.deployment) != path
    reporter = RecordingReporter()
    result = small_search(resolutions=(32, 48), context=api.Context(reporter=reporter))
    assert any("48" in message and "left out" in message for message in reporter.warnings)
    assert {row["resolution"] for row in rows(result.run / "archive.csv")} == {"32"}
    with pytest.raises(CoverageError, match="stem 48x48"):
        small_search(resolutions=(48,))


def test_any_row_of_a_run_can_be_extracted(whole: api.SearchResult, home: Path) -> None:
    """Each row of a finished run becomes a subnet with weights, without training again."""
    before = (whole.run / "checkpoint" / "supernet.pt").read_bytes()
    extracted = api.extract_from_run(whole.run, row=4, output=home / "four.json")
    row = rows(whole.run / "archive.csv")[4]
    subnet = read_subnet(home / "four.json")
    assert subnet.architecture.resolution == int(row["resolution"])
    assert extracted.validation_top1 == pytest.approx(float(row["top1"]), abs=1e-5)
    assert (whole.run / "checkpoint" / "supernet.pt").read_bytes() == before
    with pytest.raises(InputError, match="no row 99"):
        api.extract_from_run(whole.run, row=99)


def test_a_limit_without_a_device_is_for_the_only_one_of_a_run(whole: api.SearchResult, home: Path) -> None:
    """The limit of a run for one board is not taken for one of this machine."""
    named = api.extract_from_run(whole.run, latency_limits_ms={BOARD: 5.0}, output=home / "named.json")
    assert api.extract_from_run(whole.run, latency_limits_ms=5.0, output=home / "bare.json").architecture == (
        named.architecture
    )
    command = ["extract", str(whole.run), "--target-latency", "5ms", "--output", str(home / "told.json"), "--json"]
    assert cli.run(command) == 0
    assert read_subnet(home / "told.json").architecture == read_subnet(named.subnet).architecture
    with pytest.raises(TargetUnreachableError):
        api.extract_from_run(whole.run, latency_limits_ms=1e-6)


def test_an_unfinished_run_cannot_be_extracted_or_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was interrupted says how it is continued."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(InterruptedWorkError):
        small_search(output=home / "run")
    for work in (api.report, api.extract_from_run):
        with pytest.raises(InputError) as refused:
            work(home / "run")
        assert "--resume" in str(refused.value.hint)


def test_a_run_without_its_checkpoint_gives_no_weights(whole: api.SearchResult, home: Path) -> None:
    """When the trained supernet is gone, nothing untrained is handed out in its place."""
    copy = home / "copy"
    shutil.copytree(whole.run, copy)
    (copy / "checkpoint" / "supernet.pt").unlink()
    with pytest.raises(InputError, match="the run has no weights"):
        api.extract_from_run(copy, row=1)
    with pytest.raises(InputError, match="the run has no weights"):
        api.report(copy)


def test_a_lost_event_is_not_made_up(whole: api.SearchResult, home: Path) -> None:
    """An evaluation that is gone from the journal is not repeated with weights that have been trained further since."""
    copy = home / "copy"
    shutil.copytree(whole.run, copy)
    lines = (copy / "journal.jsonl").read_text().splitlines(keepends=True)
    (copy / "journal.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(InputError, match=r"journal\.jsonl: lacks 1 of 6 evaluations of round 0"):
        api.resume(copy)
    assert (copy / "journal.jsonl").read_text() == "".join(lines[1:])


def test_a_run_is_never_overwritten(whole: api.SearchResult, home: Path) -> None:
    """A second search into the same folder is refused with the way to continue the first."""
    with pytest.raises(InputError, match="contains a run already"):
        small_search(output=whole.run)


@pytest.mark.parametrize(("preset", "kept"), [("paper", 7), ("released", 8), ("best", 8)])
def test_every_preset_runs(preset: str, kept: int, home: Path) -> None:
    """Each preset searches in its own way, here with little effort; a capped archive keeps so many architectures."""
    effort = {**EFFORT, "predictor_train_size": 6, **({"archive": kept} if preset == "paper" else {})}
    result = small_search(preset=api.find_preset(preset, effort), latency_limits_ms=({BOARD: 1.5},))
    assert len(rows(result.run / "archive.csv")) == kept
    assert result.chosen.latency_ms[BOARD].predicted <= 1.5
    assert f"preset {preset}" in result.report.read_text()


def test_a_search_goes_on_without_what_cannot_be_evaluated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures that fail, at once or after an adaptation, are in no archive; the journal says why."""
    told = SubnetEvaluator.top1
    asked: list[object] = []

    def fail(evaluator: SubnetEvaluator, architecture: Architecture) -> float:
        asked.append(architecture)
        if architecture == largest(evaluator.supernet.space):
            msg = "out of memory"
            raise RuntimeError(msg)
        again = asked.count(architecture) > 1 and architecture == smallest(evaluator.supernet.space)
        return float("nan") if again else told(evaluator, architecture)

    monkeypatch.setattr(SubnetEvaluator, "top1", fail)
    result = small_search()
    archive = rows(result.run / "archive.csv")
    assert len(archive) == 6
    events = Journal(result.run / "journal.jsonl").events
    reasons = [event["reason"] for event in events if event["event"] == "failed"]
    assert reasons == ["RuntimeError: out of memory"] * 3 + ["top-1 is nan"] * 3
    assert all(0 <= float(row["top1"]) <= 1 for row in archive)
    monkeypatch.setattr(SubnetEvaluator, "top1", lambda *_: float("nan"))
    with pytest.raises(EvaluationError, match="none of 6 architectures"):
        small_search()


def test_archives_of_several_runs_are_searched_together(whole: api.SearchResult, home: Path) -> None:
    """The archives of finished runs are accuracies of their tasks, for a search without training over all of them."""
    other = small_search(seed=6, output=home / "other")
    files = {"one": whole.run / "archive.csv", "two": other.run / "archive.csv"}
    together = api.search_without_training(
        files,
        supernet="starter",
        goal=api.SearchGoal(devices=(BOARD,)),
        settings=SurrogateSettings(predictions=2000),
    )
    assert set(together.chosen.top1_by_task) == {"one", "two"}
    assert {row["resolution"] for row in together.front} == {32}
