"""From what a search is asked for to the problem that it solves: the latency tables are found or profiled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from natdeploy.api.context import Context
from natdeploy.api.latency.lookup import find_table_for_search
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError, InputError
from natdeploy.io.runs import RunFolder
from natdeploy.io.tables import format_table, read_table, write_table
from natdeploy.ports import Reporter
from natdeploy.readers import read_text
from natdeploy.search.problem import SearchGoal, SearchProblem

__all__ = ["SearchGoal", "build_problem", "hash_tables", "read_problem", "write_tables"]

_HINT = "a run goes on with the tables that it began with: put them back, or start a new run"


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


def hash_tables(problem: SearchProblem) -> dict[str, str]:
    """Return the SHA-256 of the copies of the latency tables, by device."""
    return {device: _hash(format_table(table)) for device, table in problem.tables.items()}


def read_problem(run: RunFolder, plan: SearchPlan, classes: int) -> SearchProblem:
    """Return the problem that a run solves, with the latency tables of its folder.

    Raises:
        InputError: A table is missing, damaged, of another device, or not the one that the run began with.
    """
    tables = {}
    for device in plan.goal.all_devices:
        path = run.tables / f"{device}.csv"
        tables[device] = table = read_table(path)
        if table.deployment.device != device:
            msg = f"{path}: is the table of {table.deployment}"
            raise InputError(msg, hint=_HINT)
        found = _hash(read_text(path))
        if plan.tables_sha256.get(device, found) != found:
            msg = f"{path}: has changed since the run began"
            raise InputError(msg, hint=_HINT)
    return SearchProblem(space=plan.space, classes=classes, goal=plan.goal, tables=tables)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


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
