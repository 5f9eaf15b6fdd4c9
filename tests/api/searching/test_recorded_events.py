"""A run is not believed what cannot have been written by its search."""

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from natdeploy import api
from natdeploy.api.searching.archive import read_archive
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.problem import hash_tables, read_problem, write_tables
from natdeploy.api.searching.recorded_events import check_journal
from natdeploy.core.genotype import sample_initial
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import find_space
from natdeploy.search.problem import SearchProblem
from tests.support.small_search import BOARD, EFFORT, OTHER, board_table

SPACE = find_space("starter")
PLAN = SearchPlan(
    supernet="starter",
    resolutions=SPACE.resolutions,
    widths=SPACE.widths,
    data="digits",
    goal=api.SearchGoal(devices=(BOARD,)),
    weights="",
    preset=api.find_preset("quick", EFFORT),
    seed=0,
    threads=1,
)
ROWS = sample_initial(SPACE, 6, np.random.default_rng(0)).tolist()
TOP1 = [0.5 + place / 7 / 10 for place in range(6)]
Event = dict[str, Any]


def make_events() -> list[Event]:
    """Return the events of a search with one iteration: lines 1-4, 5, 6-7, 8, 9-14, and 15 to 17."""
    first = [{"event": "evaluated", "round": 0, "genotype": ROWS[place], "top1": 0.25} for place in range(4)]
    proposed = {"event": "proposed", "iteration": 1, "genotypes": ROWS[4:], "predicted": [0.5, 0.75]}
    added = [{"event": "evaluated", "round": 1, "genotype": ROWS[place], "top1": 0.5} for place in (4, 5)]
    figures = {"best_top1": 0.5, "best_within": [None], "hypervolume": 1.5, "reference": {"error": 0.75}}
    last = [{"event": "evaluated", "round": 2, "genotype": ROWS[place], "top1": TOP1[place]} for place in range(6)]
    measured = {"event": "measured", "device": BOARD, "genotype": ROWS[5], "median_ms": 2.5, "level": None}
    tested = {"event": "tested", "genotype": ROWS[5], "top1": 0.875}
    finished = {"event": "finished", "at": "2024-02-03T04:05:06+00:00"}
    iteration = {"event": "iteration", "iteration": 1, **figures}
    return [*first, proposed, *added, iteration, *last, measured, tested, finished]


def write_run(folder: Path, events: list[Event], rows: list[list[object]] | None = None) -> RunFolder:
    """Write a run with these events and rows of the archive, and return it opened."""
    run = RunFolder.create(folder, PLAN.to_config())
    run.start()
    run.journal.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    with (folder / "archive.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([["row", "genotype", "top1"], *(make_rows() if rows is None else rows)])
    return RunFolder.open(folder)


def make_rows() -> list[list[object]]:
    """Return the rows of the archive that the events of `make_events` end in."""
    return [[place, " ".join(map(str, row)), f"{TOP1[place]:.6g}"] for place, row in enumerate(ROWS)]


def test_what_a_search_has_written_is_believed(tmp_path: Path) -> None:
    """The archive has the rows of the file, with the exact accuracies of the journal."""
    archive = read_archive(write_run(tmp_path, make_events()), PLAN)
    assert archive.genotypes.tolist() == ROWS
    assert archive.top1.tolist() == TOP1


def replace(place: int, **changes: object) -> Callable[[list[Event]], list[Event]]:
    """Return an edit of one event; `None` removes a key."""

    def edit(events: list[Event]) -> list[Event]:
        changed = {key: value for key, value in {**events[place - 1], **changes}.items() if value is not None}
        return [*events[: place - 1], changed, *events[place:]]

    return edit


@pytest.mark.parametrize(
    ("edit", "line", "reason"),
    [
        (replace(1, top1=7.5), 1, r"top1: must be at most 1 \(it is 7.5\)"),
        (replace(1, top1=-0.1), 1, "top1: must be at least 0"),
        (replace(1, top1="0.5"), 1, "top1: must be a number"),
        (replace(1, top1=None), 1, "top1: is missing"),
        (replace(1, round=0.5), 1, "round: must be a whole number"),
        (replace(1, round=True), 1, "round: must be a whole number"),
        (replace(9, round=3), 9, "1 iterations, and this is beyond them"),
        (replace(1, extra=1), 1, "extra: unknown key"),
        (replace(1, event="evaluate"), 1, "unknown event 'evaluate'"),
        (replace(1, event=None), 1, "unknown event"),
        (replace(1, genotype=[1000, *ROWS[0][1:]]), 1, "integer 0 of the genotype is 1000, outside 0 to"),
        (replace(1, genotype=[10**12, *ROWS[0][1:]]), 1, "outside 0 to"),
        (replace(1, genotype=ROWS[0][:-1]), 1, "it has 21 integers, not 22"),
        (replace(1, genotype=[0, 0, 1, 1, 0, 1, *ROWS[0][6:]]), 1, "its genotype is not canonical"),
        (replace(5, predicted=[0.5]), 5, "2 genotypes have 1 predicted values"),
        (replace(5, genotypes=[ROWS[4], ROWS[0]]), 7, "was not proposed in its iteration"),
        (replace(5, iteration=2), 5, "beyond them"),
        (replace(15, median_ms=0), 15, "median_ms: must be above 0"),
        (replace(15, device="pixel-8"), 15, "device 'pixel-8' is not one of the run"),
        (lambda events: [*events, {**events[8], "top1": 0.75}], 18, "the same architecture has top-1 0.5 before"),
    ],
)
def test_an_edited_journal_is_refused(
    tmp_path: Path, edit: Callable[[list[Event]], list[Event]], line: int, reason: str
) -> None:
    """An event that no search writes is named with its line, wherever the run is used."""
    run = write_run(tmp_path, edit(make_events()))
    for use in (check_journal, read_archive):
        with pytest.raises(InputError, match=rf"journal\.jsonl, line {line}: .*{reason}"):
            use(run, PLAN)


def drop(rows: list[list[object]], place: int) -> list[list[object]]:
    """Return the rows without one of them."""
    return [row for row in rows if row[0] != place]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda rows: drop(rows, 2), "line 4: is row 3, but row 2 comes here"),
        (lambda rows: drop(rows, 5), "its rows are not those of the journal"),
        (lambda rows: [], "its rows are not those of the journal"),
        (lambda rows: [*rows, [6, *rows[0][1:]]], "its rows are not those of the journal"),
        (lambda rows: [[0, *rows[1][1:]], [1, *rows[0][1:]], *rows[2:]], "its rows are not those of the journal"),
        (lambda rows: [[0, rows[0][1], "5.0"], *rows[1:]], "line 2: top-1 is 5 here, but 0.5 in the journal"),
        (lambda rows: [[0, rows[0][1], "nan"], *rows[1:]], "line 2: top-1 is nan here"),
        (lambda rows: [[0, "1000 0 1", "0.5"], *rows[1:]], "line 2: its architecture is not in the last round"),
        (lambda rows: [[0, "a b", "0.5"], *rows[1:]], "line 2: not an architecture of an archive"),
        (lambda rows: [["", *rows[0][1:]], *rows[1:]], "line 2: not an architecture of an archive"),
    ],
)
def test_an_edited_archive_is_refused(
    tmp_path: Path, edit: Callable[[list[list[object]]], list[list[object]]], reason: str
) -> None:
    """A row that is gone, added, moved or changed is named; no other architecture is taken in its place."""
    run = write_run(tmp_path, make_events(), edit(make_rows()))
    with pytest.raises(InputError, match=reason):
        read_archive(run, PLAN)


def test_a_run_names_no_file_to_be_written() -> None:
    """Whether a second file is written is all that a run can say; which one, it cannot."""
    config = PLAN.to_config()
    assert SearchPlan.from_config(config, "run.toml") == PLAN
    config["search"]["alias"] = "/home/me/precious.json"
    with pytest.raises(InputError, match=r"run\.toml: .*alias"):
        SearchPlan.from_config(config, "run.toml")


def test_a_run_keeps_its_own_tables(tmp_path: Path) -> None:
    """A copy of a table that was edited, or is another device's, is refused."""
    problem = SearchProblem(space=SPACE, classes=10, goal=PLAN.goal, tables={BOARD: board_table(BOARD)})
    plan = dataclasses.replace(PLAN, tables_sha256=hash_tables(problem))
    run = RunFolder.create(tmp_path, plan.to_config())
    write_tables(run, problem)
    assert read_problem(run, plan, 10).tables == problem.tables
    path = run.tables / f"{BOARD}.csv"
    path.write_text(path.read_text().replace("# method: ", "# method: another ", 1))
    with pytest.raises(InputError, match="has changed since the run began"):
        read_problem(run, plan, 10)
    write_tables(run, SearchProblem(space=SPACE, classes=10, goal=PLAN.goal, tables={BOARD: board_table(OTHER)}))
    with pytest.raises(InputError, match=f"is the table of {OTHER}"):
        read_problem(run, PLAN, 10)
