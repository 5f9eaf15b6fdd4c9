"""The end of a search: rows of archive and front, a subnet for each latency limit, and the result."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy import api
from natdeploy.api.searching.finish import Top1, finish, write_archive, write_front
from natdeploy.api.searching.report.summary import Summary
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.core.genotype import decode, drop_duplicates, sample
from natdeploy.errors import TargetUnreachableError
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.io.subnets import Subnet, read_subnet, write_subnet
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.fakes import RecordingReporter
from natdeploy.testing.tables import made_up_table
from tests.support.csv_files import rows

SPACE, BOARD = find_space("starter"), "jetson-nano"
TABLE = made_up_table(SPACE)
ARCHIVE = drop_duplicates(sample(SPACE, 60, np.random.default_rng(0)))
LATENCY = TABLE.compile(SPACE, 10)(ARCHIVE)
SUMMARY = Summary(title="A search", note="nothing was trained", iterations=2, evaluations=60, started_s=0.0)


class BareWriter:
    """Writes architectures without weights."""

    def __init__(self, selector: Selector) -> None:
        self.selector = selector

    def top1(self, place: int) -> Top1:
        """Return the accuracy in the archive."""
        return Top1(value=float(self.selector.archive.top1[place]), source="predicted")

    def write(self, place: int, path: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write the architecture."""
        subnet = Subnet(space=SPACE, architecture=decode(SPACE, ARCHIVE[place]), classes=10, metrics=metrics)
        write_subnet(path, subnet)
        return subnet


def test_a_subnet_of_an_earlier_search_is_kept(selector: Selector) -> None:
    """What was at the alias is kept as `.bak`, and the reporter says so."""
    Path("subnet.json").write_text("earlier")
    reporter = RecordingReporter()
    told = dataclasses.replace(selector, context=dataclasses.replace(selector.context, reporter=reporter))
    finish(told, BareWriter(told), write_front(told), SUMMARY, Path("subnet.json"))
    assert Path("subnet.json.bak").read_text() == "earlier"
    assert "the subnet.json that was there is kept as subnet.json.bak" in reporter.said
    assert read_subnet("subnet.json").space == SPACE


@pytest.fixture
def selector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Selector:
    """A selector for two latency limits on a board that cannot be reached; the current folder is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    limits = tuple({BOARD: float(np.quantile(LATENCY, share))} for share in (0.3, 0.8))
    goal = SearchGoal(objectives=(f"latency:{BOARD}",), latency_limits_ms=limits)
    return Selector(
        problem=SearchProblem(space=SPACE, classes=10, goal=goal, tables={BOARD: TABLE}),
        archive=Archive(genotypes=ARCHIVE, top1=made_up_accuracy(ARCHIVE)),
        run=RunFolder.create(tmp_path / "run", {"search": {}}),
        seed=0,
        context=api.Context(),
    )


def test_the_front_comes_first_among_the_rows_of_the_archive(selector: Selector) -> None:
    """The archive's file keeps its order, the front's file holds the front, and the returned rows begin with it."""
    found = write_archive(selector)
    assert [row["row"] for row in rows(selector.run.path / "archive.csv")] == [str(n) for n in range(len(ARCHIVE))]
    count = len(selector.front)
    assert [row["row"] for row in found[:count]] == selector.front.tolist()
    assert [row["front"] for row in found] == [True] * count + [False] * (len(ARCHIVE) - count)
    assert sorted(row["row"] for row in found) == list(range(len(ARCHIVE)))
    front = [row["row"] for row in rows(selector.run.path / "front.csv")]
    assert front == [str(place) for place in selector.front]
    assert [row["row"] for row in write_front(selector)] == selector.front.tolist()


def test_each_limit_gets_a_subnet_and_the_first_an_alias(selector: Selector) -> None:
    """Each limit has its file with its figures, the alias is the first of them, and the result names them all."""
    result = finish(selector, BareWriter(selector), write_archive(selector), SUMMARY, Path("subnet.json"))
    assert [choice.subnet.name for choice in result.choices] == ["subnet.json", "subnet-2.json"]
    for choice, limits_ms in zip(result.choices, selector.problem.goal.latency_limits_ms, strict=True):
        keeps = limits_ms[BOARD] >= LATENCY
        assert choice.target_ms == limits_ms
        assert choice.top1 == made_up_accuracy(ARCHIVE)[keeps].max()
        assert read_subnet(choice.subnet).architecture == decode(SPACE, np.array(choice.genotype))
        assert json.loads(choice.subnet.read_text())["metrics"]["top1"] == choice.top1
    assert read_subnet(Path("subnet.json")).architecture == read_subnet(result.chosen.subnet).architecture
    assert (result.subnet, result.iterations, result.evaluations) == (Path("subnet.json"), 2, 60)
    assert result.front_size == len(selector.front)
    assert "A search" in result.report.read_text()


def test_without_an_alias_the_run_keeps_the_choice_alone(selector: Selector) -> None:
    """The result then names the subnet in the run folder, and nothing is written beside the folder."""
    result = finish(selector, BareWriter(selector), write_front(selector), SUMMARY, None)
    assert result.subnet == selector.run.path / "subnet.json"
    assert not Path("subnet.json").exists()


def test_a_limit_that_nothing_keeps_is_an_error(selector: Selector) -> None:
    """Where no architecture of the archive keeps the limits, no report is written."""
    rows_found = write_archive(selector)
    strict = SearchGoal(latency_limits_ms=({BOARD: 1e-3},))
    problem = SearchProblem(space=SPACE, classes=10, goal=strict, tables={BOARD: TABLE})
    own = Selector(problem=problem, archive=selector.archive, run=selector.run, seed=0, context=selector.context)
    with pytest.raises(TargetUnreachableError, match="the nearest takes"):
        finish(own, BareWriter(own), rows_found, SUMMARY, None)
    assert not (selector.run.path / "report.html").exists()
