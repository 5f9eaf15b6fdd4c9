"""Selecting again from a finished run: other devices and limits, on the supernet that it adapted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.api.searching.finish import finish, write_archive
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.problem import build_problem, write_tables
from natdeploy.api.searching.report.summary import Images, Summary, WeightsSource
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.core.checked import checked
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError
from natdeploy.io.devices import find_device
from natdeploy.io.locks import hold_run
from natdeploy.io.run_config import move_data
from natdeploy.io.runs import RunFolder, make_run_path, require_new_run
from natdeploy.search.problem import LATENCY_HERE, SearchGoal, SearchProblem
from natdeploy.search.ranking import rank_feasible
from natdeploy.supernet.threads import use_threads


@checked
def search_from(
    run: Path,
    *,
    goal: SearchGoal = LATENCY_HERE,
    output: Path | None = None,
    data: str | Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Select from the archive of a finished run for other devices or limits. Nothing is trained.

    The selected subnets get the weights of the run's supernet and their own BatchNorm statistics. They are evaluated on
    the test images.

    Args:
        run: Folder of the finished run.
        goal: Objectives, limits and preference, as in `search`.
        output: Folder of the new run. If None, it is `runs/<UTC time>-s<seed>`, and the first choice is also written as
            `./subnet.json`.
        data: Folder where the images of the run are now. None: they are where they were.
        context: Reporter and clock.

    Raises:
        InputError: A name or a file is not valid, the run is not finished, or its images have changed.
        CoverageError: The latency tables cover no architecture of the archive.
        TargetUnreachableError: No architecture of the archive keeps the limits.
        OutputError: A file cannot be written.
    """
    context = context or Context()
    started_s = context.clock.seconds()
    source = RunFolder.open(run)
    plan = move_data(SearchPlan.from_config(source.config, str(run / "run.toml")), data)
    if output is not None:
        require_new_run(output, resumable=False)
    for device in goal.all_devices:
        find_device(device)
    # A bad run or name is refused before this is imported, since torch takes seconds.
    from natdeploy.api.searching.archive import TrainedSubnets, load_evaluator, read_archive
    from natdeploy.io.run_images import load_run_classes

    archive = read_archive(source, plan)
    classes = len(load_run_classes(source, plan.data, context.reporter))
    problem = build_problem(goal, plan.space, classes, seed=plan.seed, context=context)
    restricted, rows = _restrict(archive, plan.space, problem.space)
    selector = Selector(
        problem=problem,
        archive=restricted,
        run=source,
        seed=plan.seed,
        context=context,
    )
    for limits_ms in goal.selections:
        rank_feasible(selector.candidates(selector.front), limits_ms, goal.limits)
    evaluator = load_evaluator(source, plan, context)
    summary = Summary(
        title=f"Selection from the archive of {run.name}",
        note=f"{plan.space.name} on {plan.data}, seed {plan.seed}. Nothing was trained. Top-1 of archive and front is "
        "on validation images, that of the choices on test images.",
        iterations=0,
        evaluations=0,
        started_s=started_s,
        images=Images.of(evaluator.task),
        weights=WeightsSource(run=run, rows=rows.tolist()),
    )
    path, alias = output or make_run_path(context.clock.now(), plan.seed), None if output else Path("subnet.json")
    with hold_run(path), use_threads(plan.threads):
        folder = RunFolder.create(path, _make_config(problem, plan, run))
        selector = dataclasses.replace(selector, run=folder)
        write_tables(folder, problem)
        writer = TrainedSubnets(selector=selector, evaluator=evaluator)
        result = finish(selector, writer, write_archive(selector), summary, alias)
        # The folder becomes a run only here: a selection that was interrupted is simply made again.
        folder.start()
        folder.record("finished", {"at": context.clock.now().isoformat()})
    return result


def _make_config(problem: SearchProblem, plan: SearchPlan, source: Path) -> dict[str, Any]:
    reselection = {
        "from": str(source.resolve()),
        "resolutions": list(problem.space.resolutions),
        "seed": plan.seed,
    }
    return {"reselection": reselection, "goal": dataclasses.asdict(problem.goal)}


def _restrict(archive: Archive, space: SearchSpace, covered: SearchSpace) -> tuple[Archive, NDArray[np.intp]]:
    """Return the rows whose resolution `covered` still has, as genotypes of it with accuracies, and their places."""
    places = np.array([covered.resolutions.index(r) if r in covered.resolutions else -1 for r in space.resolutions])
    found = places[archive.genotypes[:, 0]]
    if (found < 0).all():
        kept = ", ".join(map(str, covered.resolutions))
        msg = f"no architecture of the archive has a resolution that every latency table covers ({kept})"
        raise CoverageError(msg)
    rows = np.flatnonzero(found >= 0)
    part = np.column_stack([found, archive.genotypes[:, 1:]])[rows]
    return Archive(genotypes=part, top1=archive.top1[rows]), rows
