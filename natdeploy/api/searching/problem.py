"""From what a search is asked for to the problem that it solves: the latency tables are found or profiled."""

from __future__ import annotations

from collections.abc import Mapping

from natdeploy.api.context import Context
from natdeploy.api.latency.lookup import find_table_for_search
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError
from natdeploy.io.runs import RunFolder
from natdeploy.io.tables import read_table, write_table
from natdeploy.ports import Reporter
from natdeploy.search.problem import SearchGoal, SearchProblem

__all__ = ["SearchGoal", "build_problem", "read_problem", "write_tables"]


def build_problem(goal: SearchGoal, space: SearchSpace, classes: int, *, seed: int, context: Context) -> SearchProblem:
    """Return the problem of searching `space` for `goal`, restricted to the resolutions that every table covers.

    Raises:
        InputError: A device has no latency table.
        CoverageError: No resolution is covered by every latency table.
    """
    width = space.widths[0] if len(space.widths) == 1 else None
    tables = {
        device: find_table_for_search(space, device, width=width, seed=seed, context=context)
        for device in goal.all_devices
    }
    covered = _restrict(space, tables, classes, context.reporter)
    return SearchProblem(space=covered, classes=classes, goal=goal, tables=tables)


def write_tables(run: RunFolder, problem: SearchProblem) -> None:
    """Write copies of the latency tables into a run folder."""
    for device, table in problem.tables.items():
        write_table(run.tables / f"{device}.csv", table, fresh=True)


def read_problem(run: RunFolder, goal: SearchGoal, space: SearchSpace, classes: int) -> SearchProblem:
    """Return the problem that a run solves, with the latency tables of its folder.

    Raises:
        InputError: A table is missing or damaged.
    """
    tables = {device: read_table(run.tables / f"{device}.csv") for device in goal.all_devices}
    return SearchProblem(space=space, classes=classes, goal=goal, tables=tables)


def _restrict(space: SearchSpace, tables: Mapping[str, LatencyTable], classes: int, reporter: Reporter) -> SearchSpace:
    """Return `space` with the resolutions that every table covers; warn of the others."""
    by_table = [set(table.find_covered_resolutions(space, classes)) for table in tables.values()]
    kept = tuple(r for r in space.resolutions if all(r in resolutions for resolutions in by_table))
    left_out = [r for r in space.resolutions if r not in kept]
    if not kept:
        for table in tables.values():
            table.compile(space, classes)
        msg = f"no resolution of {list(space.resolutions)} is covered by the tables of all of {', '.join(tables)}"
        raise CoverageError(msg)
    if left_out:
        reporter.warn(f"resolutions {', '.join(map(str, left_out))} are left out: a latency table does not cover them")
    return space.with_resolutions(kept)
