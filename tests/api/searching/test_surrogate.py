"""The search without training, through the API and the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from natdeploy import api
from natdeploy.cli import run
from natdeploy.core.device import find_deployment
from natdeploy.core.genotype import decode, sample
from natdeploy.core.pareto import non_dominated
from natdeploy.errors import CoverageError, InputError, TargetUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.io.encodings import to_encoding
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import read_subnet
from natdeploy.io.table_store import table_path
from natdeploy.io.tables import write_table
from natdeploy.search.settings import EvolutionSettings
from natdeploy.search.surrogate import SurrogateSettings
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import made_up_table
from tests.support.csv_files import rows
from tests.support.small_search import GOAL

NANO, SUPERNET = "jetson-nano", "ofa-mbv3-w1.2"
SPACE = find_space(SUPERNET).with_resolutions((192, 224))
SETTINGS = SurrogateSettings(evolution=EvolutionSettings(population=20, generations=5), starts=1, predictions=3000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one, with a table of jetson-nano in the user's data folder."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    deployment = find_deployment(find_device(NANO))
    write_table(table_path(deployment), made_up_table(SPACE, deployment=deployment, provenance="imported"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def measured(home: Path) -> Path:
    """A file of architectures with their top-1."""
    rows = sample(SPACE, 60, np.random.default_rng(0))
    lines = [
        f"{to_encoding(decode(SPACE, row))},{top1:.5f}" for row, top1 in zip(rows, made_up_accuracy(rows), strict=True)
    ]
    path = home / "measured.csv"
    path.write_text("encoding,top1\n" + "\n".join(lines) + "\n")
    return path


def searched(accuracy: Path | dict[str, Path], **changes: object) -> api.SearchResult:
    """Search as little as can be searched."""
    goal = {"devices": (NANO,), **{name: changes.pop(name) for name in GOAL if name in changes}}
    settings = {
        "supernet": api.SpaceSelector(SUPERNET, changes.pop("resolutions", None)),  # type: ignore[arg-type]
        "goal": api.SearchGoal(**goal),  # type: ignore[arg-type]
        "predictor": "ridge",
        "settings": SETTINGS,
    }
    return api.search_without_training(accuracy, **{**settings, **changes})  # type: ignore[arg-type]


def test_one_front_and_a_choice_for_each_target(measured: Path, home: Path) -> None:
    """Each target gets the front's most accurate row within it, as a bare architecture; a looser one a better one."""
    result = searched(measured, latency_limits_ms=({NANO: 30.0}, {NANO: 60.0}))
    front = rows(result.run / "front.csv")
    assert len(front) == result.front_size
    for choice, target in zip(result.choices, (30.0, 60.0), strict=True):
        best = max(float(row["top1"]) for row in front if float(row[f"latency_ms:{NANO}"]) <= target)
        assert choice.top1 == pytest.approx(best, abs=1e-5)
        assert (choice.top1_source, choice.validation_top1) == ("predicted", None)
        assert choice.latency_ms[NANO].predicted <= target
        assert choice.latency_ms[NANO].measured is None
        subnet = read_subnet(choice.subnet)
        assert subnet.weights is None
        assert subnet.space.name == SUPERNET
    assert result.choices[0].top1 < result.choices[1].top1
    assert read_subnet(home / "subnet.json").architecture == read_subnet(result.chosen.subnet).architecture
    assert "predicted by measured.csv" in result.report.read_text()
    assert {path.name for path in result.run.iterdir()} >= {"run.toml", "front.csv", "latency_tables", "report.html"}


def test_the_front_holds_nothing_that_is_dominated(measured: Path) -> None:
    """Along the front, the quickest first, accuracy rises with latency."""
    front = searched(measured).front
    latency, top1 = ([float(row[name]) for row in front] for name in (f"latency_ms:{NANO}", "top1"))
    assert latency == sorted(latency)
    assert top1 == sorted(top1)


def test_the_error_of_a_fitted_predictor_is_told(measured: Path) -> None:
    """What is fitted to measured accuracies says how good it is on those that it has not seen."""
    for predictor in ("ridge", "auto"):
        reporter = RecordingReporter()
        searched(measured, predictor=predictor, context=api.Context(reporter=reporter))
        told = next(line for line in reporter.said if "predictor" in line)
        assert "60 architectures; cross-validated: Kendall tau 0." in told
        assert "points of top-1" in told


def test_the_seed_decides(measured: Path, home: Path) -> None:
    """Two searches with one seed end in the same front."""
    both = [searched(measured, output=home / name, seed=3) for name in ("one", "two")]
    assert (both[0].run / "front.csv").read_text() == (both[1].run / "front.csv").read_text()


def test_resolutions_that_the_file_does_not_know_are_named(measured: Path) -> None:
    """Sizes beyond the file's are left out with a warning, and refused where none is left."""
    reporter = RecordingReporter()
    result = searched(measured, resolutions=(192, 240), context=api.Context(reporter=reporter))
    assert any("240 are left out" in line for line in reporter.said)
    assert {row["resolution"] for row in result.front} == {192}
    with pytest.raises(CoverageError, match=r"does not cover resolutions 240 \(it covers 192, 224\)"):
        searched(measured, resolutions=(240,))


def test_a_target_that_nothing_meets_leaves_no_run(measured: Path, home: Path) -> None:
    """When the cheapest architecture misses a target, the search ends before it begins."""
    with pytest.raises(TargetUnreachableError, match="the nearest takes"):
        searched(measured, latency_limits_ms=({NANO: 0.1},), output=home / "run")
    assert not (home / "run").exists()


def test_a_run_without_weights_says_so(measured: Path, home: Path) -> None:
    """Resuming such a run, extracting from it or reporting it is refused with what can be done instead."""
    run = searched(measured, output=home / "run").run
    with pytest.raises(InputError, match="contains a run already") as again:
        searched(measured, output=run)
    assert again.value.hint == "choose another --output"
    for work in (api.resume, api.extract_from_run, api.report):
        with pytest.raises(InputError, match="without training") as refused:
            work(run)
        assert "natdeploy extract" in str(refused.value.hint)


def test_the_command_prints_choices_and_json(measured: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command does the same: a choice for each target on one front, for people and as one document."""
    base = ["search", "--supernet", SUPERNET, "--accuracy", str(measured), "--device", NANO, "--predictor", "ridge"]
    assert run([*base, "--target-latency", "30ms,60ms"]) == 0
    told = capsys.readouterr().out
    assert "choice for 30 ms" in told
    assert "choice for 60 ms" in told
    assert "predicted" in told
    assert run([*base, "-o", str(home / "run"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert document["chosen"]["top1_source"] == "predicted"


@pytest.mark.parametrize("extra", [["--data", "digits"], ["--warmup-epochs", "1"], ["--preset", "quick"]])
def test_options_of_training_are_refused(extra: list[str], measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What only training needs cannot be given beside the file; classes only with it."""
    assert run(["search", "--accuracy", str(measured), *extra]) == 2
    assert extra[0] in capsys.readouterr().err
    assert run(["search", "--classes", "10"]) == 2


def test_the_pretrained_predictor_and_the_note10(shared_data: Path, home: Path) -> None:
    """With OFA's predictor and table, the choices of three targets meet them, closely, and are ever more accurate."""
    note10 = "galaxy-note10"
    folder = shared_data / "latency" / "note10"
    api.import_table(folder, format="ofa", device=note10, supernet=SUPERNET)
    predictor = shared_data / "accuracy" / "ofa_mbv3_w1.2_acc_predictor.pth"
    limits_ms = (15.0, 20.0, 30.0)
    settings = SurrogateSettings(evolution=EvolutionSettings(population=100, generations=20), predictions=3000)
    wanted = tuple({note10: ms} for ms in limits_ms)
    result = searched(predictor, devices=(note10,), latency_limits_ms=wanted, settings=settings)
    for choice, limit_ms in zip(result.choices, limits_ms, strict=True):
        assert 0.97 * limit_ms < choice.latency_ms[note10].predicted <= limit_ms
    top1 = [choice.top1 for choice in result.choices]
    assert 0.74 < top1[0] < top1[1] < top1[2] < 0.85


def test_objectives_and_limits(measured: Path) -> None:
    """The front is made of the objectives asked for, and the choice keeps the limits on size beside the target."""
    free = searched(measured, latency_limits_ms=({NANO: 60.0},))
    most = 0.7 * free.chosen.params
    result = searched(measured, latency_limits_ms=({NANO: 60.0},), objectives=("madds",), limits={"params": most})
    assert result.chosen.params <= most
    assert result.chosen.latency_ms[NANO].predicted <= 60.0
    assert result.chosen.top1 <= free.chosen.top1
    assert result.front_size > free.front_size


def test_no_device_is_needed_without_latency(measured: Path) -> None:
    """With multiply-adds as the only cost, no table is needed, and the report plots top-1 over them."""
    result = searched(measured, devices=(), objectives=("top1", "madds"), limits={"madds": 4e8})
    assert result.chosen.madds <= 4e8
    assert result.chosen.latency_ms == {}
    assert "multiply-adds" in result.report.read_text()
    madds, top1 = ([row[name] for row in result.front] for name in ("madds", "top1"))
    assert madds == sorted(madds)
    assert top1 == sorted(top1)


def test_the_command_takes_objectives_and_limits(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Objectives without latency need no device, and counts are written with their unit."""
    base = ["search", "--supernet", SUPERNET, "--accuracy", str(measured), "--predictor", "ridge", "--json"]
    assert run([*base, "--objectives", "top1,madds", "--max-madds", "400M", "--max-params", "7M"]) == 0
    chosen = json.loads(capsys.readouterr().out)["chosen"]
    assert chosen["madds"] <= 4e8
    assert chosen["params"] <= 7e6
    assert run([*base, "--objectives", "top1,madds", "--max-size", "24MB"]) == 0
    assert 4 * json.loads(capsys.readouterr().out)["chosen"]["params"] <= 24e6
    assert run([*base, "--objectives", "top1,madds", "--max-madds", "1M"]) == 5
    assert run([*base, "--objectives", "top1,madds", "--max-size", "1kB"]) == 5
    refused = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "at most 0.001 MB of fp32 weights" in refused["error"]["message"]
    assert run([*base[:-1], "--objectives", "madds", "--max-madds", "400M", "--prefer", "madds=1"]) == 0
    assert "choice for at most 400 M multiply-adds, by madds=1:" in capsys.readouterr().out
    assert run([*base, "--objectives", ","]) == 2


def test_a_target_is_for_the_device_that_an_objective_names(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target without a device goes to the only one that is named, not to this machine."""
    base = ["search", "--supernet", SUPERNET, "--accuracy", str(measured), "--predictor", "ridge", "--json"]
    assert run([*base, "--objectives", f"latency:{NANO}", "--target-latency", "40ms"]) == 0
    assert json.loads(capsys.readouterr().out)["chosen"]["target_ms"] == {NANO: 40}


def test_accuracies_that_teach_nothing_are_told(measured: Path) -> None:
    """Equal accuracies are refused, and predictions above 100 % come with a warning."""
    names, *lines = measured.read_text().splitlines()
    encodings, values = zip(*(line.split(",") for line in lines), strict=True)
    top1 = np.array(values, dtype=float)
    for scaled in (np.full(len(top1), 0.75), (top1 - top1.min()) / np.ptp(top1)):
        text = [f"{encoding},{value:.5f}" for encoding, value in zip(encodings, scaled, strict=True)]
        measured.write_text("\n".join([names, *text]) + "\n")
        reporter = RecordingReporter()
        if np.ptp(scaled) == 0:
            with pytest.raises(InputError, match=r"measured\.csv: all 60 .* cannot be fitted to them"):
                searched(measured)
        else:
            searched(measured, context=api.Context(reporter=reporter))
            assert any("above 100 %" in line for line in reporter.said)


def test_an_imported_table_of_this_machine_is_used(measured: Path) -> None:
    """A table of the host that was not measured here is taken as it is, and nothing is profiled."""
    deployment = find_deployment(find_device("host"))
    write_table(table_path(deployment), made_up_table(SPACE, deployment=deployment, provenance="imported"))
    chosen = searched(measured, devices=("host",), latency_limits_ms=({"host": 40.0},)).chosen
    assert chosen.latency_ms["host"].provenance == "imported"


TASKS = ("imagenet", "c10", "c100", "flowers", "food", "pets", "aircraft", "cars", "dtd", "stl", "cinic")


def task_accuracy(number: int, population: np.ndarray) -> np.ndarray:
    """Return the accuracy of one of several tasks, each of which needs other layers."""
    weights = 1 + np.sin(np.arange(20) * (1 + number))
    active = population[:, 2:] > 0
    return 0.4 + 0.4 * (np.sqrt(population[:, 2:]) * active) @ weights / (3 * weights.sum()) + 0.05 * population[:, 0]


@pytest.fixture
def tasks(home: Path) -> dict[str, Path]:
    """A file of measured top-1 for each of eleven tasks."""
    population = sample(SPACE, 60, np.random.default_rng(1))
    encodings = [to_encoding(decode(SPACE, row)) for row in population]
    files = {task: home / f"{task}.csv" for task in TASKS}
    for number, path in enumerate(files.values()):
        values = task_accuracy(number, population)
        lines = [f"{encoding},{top1:.5f}" for encoding, top1 in zip(encodings, values, strict=True)]
        path.write_text("encoding,top1\n" + "\n".join(lines) + "\n")
    return files


def test_twelve_objectives(tasks: dict[str, Path]) -> None:
    """Multiply-adds and eleven accuracies make one front, nothing of which is dominated; the report shows them all."""
    reporter = RecordingReporter()
    result = searched(tasks, devices=(), objectives=("madds",), context=api.Context(reporter=reporter))
    names = [f"top1:{task}" for task in TASKS]
    values = np.array([[-row[name] for name in names] + [row["madds"]] for row in result.front])
    assert result.front_size == len(values) >= 10
    assert non_dominated(values).all()
    for row in result.front:
        assert row["top1"] == pytest.approx(np.mean([row[name] for name in names]))
    assert result.chosen.top1 == max(row["top1"] for row in result.front)
    assert list(result.chosen.top1_by_task) == list(TASKS)
    assert result.chosen.top1 == pytest.approx(np.mean(list(result.chosen.top1_by_task.values())))
    assert any("hypervolume" in line and "12 objectives (by sampling)" in line for line in reporter.said)
    report = result.report.read_text()
    assert all(f"top-1 {task}" in report for task in TASKS)
    assert set(names) <= set(rows(result.run / "front.csv")[0])
    assert json.loads(result.subnet.read_text())["metrics"]["top1_by_task"].keys() == set(TASKS)


def test_the_command_takes_several_tasks(tasks: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Each task has its file; objectives may name some of them, and limits hold as ever."""
    given = [text for task in ("pets", "cars", "dtd") for text in ("--accuracy", f"{task}={tasks[task]}")]
    base = ["search", "--supernet", SUPERNET, "--predictor", "ridge", *given]
    assert run([*base, "--objectives", "madds,top1:pets,top1:dtd", "--max-madds", "400M"]) == 0
    told = capsys.readouterr().out
    assert "the mean over the tasks" in told
    assert "top-1 pets" in told
    assert "top-1 cars" not in told
    assert run([*base, "--objectives", "madds", "--max-size", "24MB", "--json"]) == 0
    chosen = json.loads(capsys.readouterr().out)["chosen"]
    assert 4 * chosen["params"] <= 24e6
    assert set(chosen["top1_by_task"]) == {"pets", "cars", "dtd"}
    assert run([*base, "--objectives", "madds", "--prefer", "trade-off", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"]
    assert run([*base, "--objectives", "madds", "--prefer", "params=1"]) == 2
    assert run([*base, "--objectives", "madds", "--prefer", "top1:pets=1"]) == 2
    assert "the mean over the tasks" in capsys.readouterr().err
    assert run([*base, "--objectives", "madds,top1:pets"]) == 0
    assert "the accuracy of cars, dtd is no objective" in capsys.readouterr().err
    assert run([*base, "--objectives", "madds,top1:boats"]) == 2
    assert "'boats'" in capsys.readouterr().err
    assert run(["search", "--objectives", "madds,top1:pets"]) == 2
    assert "--accuracy pets=RUN/archive.csv" in capsys.readouterr().err


def test_one_objective(measured: Path) -> None:
    """With top-1 as the only objective, the front is the most accurate architecture."""
    result = searched(measured, devices=(), objectives=("top1",))
    assert result.chosen.top1 == result.front[0]["top1"]
    assert len({row["top1"] for row in result.front}) == 1


def test_tasks_are_searched_where_all_of_them_are_known(tasks: dict[str, Path], measured: Path) -> None:
    """Resolutions that one of the files does not know are left out."""
    lines = measured.read_text().splitlines()
    small = measured.with_name("small.csv")
    small.write_text("\n".join([lines[0], *(line for line in lines[1:] if line.startswith("00"))]) + "\n")
    result = searched({"pets": tasks["pets"], "small": small}, devices=(), objectives=("madds",))
    assert {row["resolution"] for row in result.front} == {192}
    with pytest.raises(InputError, match="no accuracy file"):
        searched({})
