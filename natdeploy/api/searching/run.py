"""The search as a whole: tables, data, supernet, loop, decision and files put together."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.api.latency.lookup import warn_of_estimates
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.presets import find_preset
from natdeploy.api.searching.problem import build_problem, read_problem, write_tables
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.training.initial_weights import find_initial_weights
from natdeploy.errors import InputError, InterruptedWorkError
from natdeploy.io.dataset_names import resolve_dataset
from natdeploy.io.devices import find_device
from natdeploy.io.runs import RunFolder, default_run_path, require_checkpoint
from natdeploy.io.spaces import resolve_space
from natdeploy.search.objectives import ACCURACY
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.supernet.threads import default_threads, torch_threads

if TYPE_CHECKING:
    from natdeploy.supernet.data import Task


def search(
    *,
    data: str = "digits",
    supernet: str = "starter",
    weights: Path | str | None = None,
    from_scratch: bool = False,
    width: float | None = None,
    resolutions: tuple[int, ...] | None = None,
    devices: Sequence[str] = ("host",),
    latency_limits_ms: Sequence[Mapping[str, float]] = (),
    objectives: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    prefer: str = ACCURACY,
    preset: str = "quick",
    effort: Mapping[str, float | str] | None = None,
    seed: int = 0,
    threads: int | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Adapt a supernet to a task while searching it, and choose an architecture for each target.

    Args:
        data: Name or folder of the data set.
        supernet: Search space.
        weights: What the supernet begins with: a file, `packaged` or `released`. Where None, the weights packaged for
            it, and where there are none, random ones.
        from_scratch: Begin with random weights whatever is packaged.
        width: The only width to search; all of the space's where None.
        resolutions: Input sizes to search; the space's own where None.
        devices: Devices whose latency is an objective.
        latency_limits_ms: One mapping of devices to milliseconds for each choice; without any, the most accurate is
            chosen.
        objectives: What the front is made of: `madds`, `params`, `peak-memory`, `latency:DEVICE`, and always `top1`;
            multiply-adds, parameters and every latency where empty.
        limits: Largest `madds`, `params` or `size` (bytes of fp32 weights) of every choice.
        prefer: What is chosen of what meets a target: `accuracy`, `trade-off` (the row of the front that loses most for
            what it gains by a step along it), or weights of objectives such as `top1=2,madds=1`.
        preset: Effort.
        effort: Values that replace those of the preset.
        seed: Seed of everything random.
        threads: Threads to train with.
        output: Run folder; `runs/<UTC time>-s<seed>` where None, and the choice is also written as `./subnet.json`.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number, a file or the data is not valid.
        CoverageError: No resolution is covered by every latency table.
        TargetUnreachableError: No architecture meets a target; before any training where the tables tell.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    space = resolve_space(supernet, resolutions, width)
    goal = SearchGoal(
        devices=tuple(devices),
        objectives=tuple(objectives),
        limits=dict(limits or {}),
        latency_limits_ms=tuple(latency_limits_ms),
        prefer=prefer,
    )
    chosen_effort = find_preset(preset, effort or {})
    dataset = resolve_dataset(data)
    for device in goal.all_devices:
        find_device(device)
    initial_weights = find_initial_weights(space, weights, from_scratch=from_scratch, reporter=context.reporter)
    # Bad names are refused before this is imported, since torch takes seconds.
    from natdeploy.io.datasets import load_classes, load_task

    classes = len(load_classes(data, reporter=context.reporter))
    problem = build_problem(goal, space, classes, seed=seed, context=context)
    problem.require_feasible()
    plan = SearchPlan(
        supernet=supernet,
        resolutions=problem.space.resolutions,
        widths=space.widths,
        data=dataset,
        goal=goal,
        weights=initial_weights.name if initial_weights else "",
        weights_sha256=initial_weights.sha256 if initial_weights else (),
        preset=preset,
        effort=chosen_effort,
        seed=seed,
        threads=threads or default_threads(),
        alias=str(Path("subnet.json").resolve()) if output is None else "",
    )
    task = load_task(plan.data, plan.resolutions[-1], reporter=context.reporter)
    run = RunFolder.create(output or default_run_path(context.clock.now(), seed), plan.to_config())
    write_tables(run, problem)
    run.start()
    return _run(run, plan, problem, task, context)


def resume(path: Path, *, context: Context | None = None) -> SearchResult:
    """Go on with a search that was interrupted; it ends as if it had not been.

    Raises:
        InputError: `path` is not a run folder, or a file in it is damaged.
        TargetUnreachableError: No architecture meets a target.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    run = RunFolder.open(path)
    plan = SearchPlan.from_config(run.config, str(path / "run.toml"))
    from natdeploy.io.datasets import load_task

    task = load_task(plan.data, plan.resolutions[-1], reporter=context.reporter)
    problem = read_problem(run, plan.goal, plan.space, len(task.classes))
    warn_of_estimates(problem.tables.values(), context.reporter)
    return _run(run, plan, problem, task, context)


def report(path: Path, *, context: Context | None = None) -> SearchResult:
    """Write the files of a finished run anew: archive, front, choices and report.

    Raises:
        InputError: `path` is not a run folder, or the search in it has not ended.
    """
    run = RunFolder.open(path)
    SearchPlan.from_config(run.config, str(path / "run.toml"))
    if not run.recorded("finished"):
        msg = f"{path}: the search has not ended"
        raise InputError(msg, hint=f"continue it with: natdeploy search --resume {path}")
    require_checkpoint(run)
    return resume(path, context=context)


def _run(run: RunFolder, plan: SearchPlan, problem: SearchProblem, task: Task, context: Context) -> SearchResult:
    from natdeploy.api.searching.loop import SearchLoop

    # A finished run is only written anew: what the alias names by now may be of a later search.
    alias = Path(plan.alias) if plan.alias and not run.recorded("finished") else None

    context.reporter.info(f"run folder: {run.path}")
    try:
        with torch_threads(plan.threads):
            loop = SearchLoop(run, plan, problem, task, context)
            loop.run()
            return loop.finish(alias)
    except KeyboardInterrupt as error:
        msg = "interrupted; nothing is lost"
        raise InterruptedWorkError(
            msg, hint=f"go on with: natdeploy search --resume {shlex.quote(str(run.path))}"
        ) from error
