"""The search with training: from tables, data and supernet to the files of the run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from natdeploy.api.context import Context
from natdeploy.api.default_supernet import choose_space
from natdeploy.api.latency.lookup import warn_of_estimates
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.presets import Preset, choose_preset, find_preset
from natdeploy.api.searching.problem import build_problem, hash_tables, read_problem, write_tables
from natdeploy.api.searching.recorded_events import check_journal
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.training.initial_weights import find_initial_weights, warn_of_changed_task
from natdeploy.core.checked import checked
from natdeploy.core.ranges import Seed, Threads
from natdeploy.errors import InputError
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.devices import find_device
from natdeploy.io.locks import hold_run
from natdeploy.io.run_config import move_data
from natdeploy.io.runs import (
    RunFolder,
    make_run_path,
    require_checkpoint,
    require_new_run,
    require_run,
)
from natdeploy.io.space_files import compute_space_hash
from natdeploy.io.spaces import SpaceSelector
from natdeploy.search.problem import LATENCY_HERE, SearchGoal, SearchProblem
from natdeploy.supernet.threads import choose_threads, use_threads

if TYPE_CHECKING:
    from natdeploy.supernet.data import Task

_LOST = "nothing is lost"


@checked
def search(
    *,
    data: str | Path = "digits",
    supernet: str | SpaceSelector | None = None,
    weights: Path | str | None = None,
    goal: SearchGoal = LATENCY_HERE,
    preset: str | Preset | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    seed: Seed = 0,
    threads: Threads | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Adapt a supernet to a task while searching it, and select an architecture for each latency limit.

    Args:
        data: Name or folder of the data set.
        supernet: Search space, whole or in part. If None, that of a weight file that names it,
            else `lite` for photographs, and `starter` for smaller images.
        weights: Initial weights of the supernet: a file, `packaged`, `released` or `random`. If None, the packaged
            weights of the supernet, or random ones if there are none.
        goal: Objectives, limits and preference. By default the latency of this machine is an objective, and nothing is
            limited.
        preset: How thoroughly to train and search: the name of a preset, or what `find_preset` returned. If None,
            `photos` for a supernet of more than 64 pixels, else `quick`.
        changes: Values that replace those of the preset, as for `find_preset`.
        seed: Seed of everything random.
        threads: Number of threads for training.
        output: Run folder. If None, it is `runs/<UTC time>-s<seed>`, and the first choice is also written as
            `./subnet.json`.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number, a file or the data is not valid.
        CoverageError: No resolution is covered by every latency table.
        TargetUnreachableError: No architecture keeps the limits. If the tables can tell, this is raised before any
            training.
        OutputError: A file cannot be written.
    """
    context = context or Context()
    dataset = resolve_dataset(data)
    space, reason = choose_space(supernet, dataset, weights)
    if goal.tasks:
        msg = f"a search with training has one data set, and no tasks such as {goal.tasks[0]!r}"
        raise InputError(msg)
    preset = find_preset(preset or choose_preset(space), changes)
    if reason:
        context.reporter.info(reason)
    if output is not None:
        require_new_run(output)
    for device in goal.all_devices:
        find_device(device)
    initial_weights = find_initial_weights(space, weights, reporter=context.reporter)
    # Bad names are refused before this is imported, since torch takes seconds.
    from natdeploy.io.datasets import load_classes, load_task
    from natdeploy.io.image_records import write_image_records

    classes = len(load_classes(data, reporter=context.reporter))
    problem = build_problem(goal, space, classes, seed=seed, context=context)
    problem.require_feasible()
    plan = SearchPlan(
        supernet=space.source,
        space_sha256=compute_space_hash(space),
        tables_sha256=hash_tables(problem),
        resolutions=problem.space.resolutions,
        widths=space.widths,
        data=dataset,
        goal=goal,
        weights=initial_weights.name if initial_weights else "",
        weights_sha256=initial_weights.sha256 if initial_weights else (),
        normalization=initial_weights.read_normalization() if initial_weights else (),
        preset=preset,
        seed=seed,
        threads=threads or choose_threads(),
        alias=output is None,
    )
    size = plan.resolutions[-1]
    task = load_task(plan.data, size, reporter=context.reporter, normalization=plan.normalization)
    warn_of_changed_task(plan.space, plan.weights, task, context.reporter)
    path = output or make_run_path(context.clock.now(), seed)
    with hold_run(path):
        run = RunFolder.create(path, plan.to_config())
        with run.resumable("search", _LOST):
            write_tables(run, problem)
            write_image_records(run.path, task.records)
            run.start()
            return _run(run, plan, problem, task, context)


@checked
def resume(path: Path, *, data: str | Path | None = None, context: Context | None = None) -> SearchResult:
    """Resume an interrupted search. It ends with the same result as without the interruption.

    Args:
        path: Run folder. If the search was begun without one, its first choice is also written as `./subnet.json`.
        data: Folder where the images of the run are now. None: they are where they were.
        context: Reporter and clock.

    Raises:
        InputError: `path` is not a run folder, another command is working on it, a file in it is damaged, or images
            have changed since the run began.
        TargetUnreachableError: No architecture keeps the limits.
        OutputError: A file cannot be written.
    """
    require_run(path)
    with hold_run(path):
        return _resume(RunFolder.open(path), data, context or Context())


def _resume(run: RunFolder, data: str | Path | None, context: Context) -> SearchResult:
    path = run.path
    plan = move_data(SearchPlan.from_config(run.config, str(path / "run.toml")), data)
    check_journal(run, plan)
    from natdeploy.io.run_images import load_run_task

    task = load_run_task(run, plan.data, plan.resolutions[-1], context.reporter, plan.normalization)
    if data is not None:
        run = RunFolder(path, plan.to_config())
        run.start()
    problem = read_problem(run, plan, len(task.classes))
    warn_of_estimates(problem.tables.values(), context.reporter)
    with run.resumable("search", _LOST):
        return _run(run, plan, problem, task, context)


@checked
def report(path: Path, *, data: str | Path | None = None, context: Context | None = None) -> SearchResult:
    """Write the files of a finished run again: archive, front, choices and report.

    Args:
        path: Run folder.
        data: As for `resume`.
        context: Reporter and clock.

    Raises:
        InputError: `path` is not a run folder, the search in it has not ended, or its images have changed.
    """
    run = RunFolder.open(path)
    SearchPlan.from_config(run.config, str(path / "run.toml"))
    if not run.events("finished"):
        msg = f"{path}: the search has not ended"
        raise InputError(msg, hint=f"continue it with: natdeploy search --resume {shlex.quote(str(path))}")
    require_checkpoint(run)
    return resume(path, data=data, context=context)


def _run(run: RunFolder, plan: SearchPlan, problem: SearchProblem, task: Task, context: Context) -> SearchResult:
    from natdeploy.api.searching.loop import SearchLoop

    # The files of a finished run are only written again. The alias may belong to a later search by now.
    alias = Path("subnet.json") if plan.alias and not run.events("finished") else None
    context.reporter.info(f"run folder: {run.path}")
    with use_threads(plan.threads):
        loop = SearchLoop(run, plan, problem, task, context)
        loop.run()
        return loop.finish(alias)
