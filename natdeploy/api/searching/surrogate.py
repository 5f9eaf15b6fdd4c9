"""Search without training: the accuracy is predicted by a file, the latency by tables, and nothing is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.latency.lookup import find_table_for_search
from natdeploy.api.searching.accuracy_models import Accuracies, AccuracySource, read_source
from natdeploy.api.searching.problem import Targets, covered, require_reachable
from natdeploy.api.searching.report import report_html
from natdeploy.api.searching.results import Choice, SearchResult
from natdeploy.api.searching.selection import Chooser, Values, choice_names, metrics_of
from natdeploy.core.genotype import Population, decode, initial
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.errors import InputError, require_known
from natdeploy.io.runs import RunFolder, default_run_path
from natdeploy.io.spaces import resolve_space
from natdeploy.io.subnets import DEFAULT_CLASSES, Subnet, write_subnet
from natdeploy.io.tables import write_table
from natdeploy.search.hypervolume import EXACT_OBJECTIVES, hypervolume, reference_point
from natdeploy.search.objectives import (
    ACCURACY,
    LATENCY,
    TASK,
    TOP1,
    choice_limits,
    cost_arrays,
    minimized,
    read_objectives,
    read_preference,
    read_tasks,
    require_small,
    used_devices,
)
from natdeploy.search.settings import AUTO, PREDICTORS
from natdeploy.search.training_free import Effort, search_without_training
from natdeploy.version import __version__

# The name of the only accuracy where it has none.
_ONLY = ""


def search_predicted(
    accuracy: Path | Mapping[str, Path],
    *,
    supernet: str,
    width: float | None = None,
    resolutions: tuple[int, ...] | None = None,
    devices: Sequence[str] = ("host",),
    targets: Targets = (),
    objectives: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    prefer: str = ACCURACY,
    classes: int = DEFAULT_CLASSES,
    predictor: str = AUTO,
    effort: Effort | None = None,
    seed: int = 0,
    output: Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Search a space by predicted accuracy and choose an architecture for each target, without any training.

    Args:
        accuracy: OFA's pretrained predictor, or a CSV of architectures with measured top-1; or such files of several
            tasks, by name: each task's accuracy is an objective, and what is chosen for a target has the highest mean.
        supernet: Search space.
        width: The only width to search; all of the space's where None.
        resolutions: Input sizes to search; those that the file knows where None.
        devices: Devices whose latency is an objective.
        targets: One mapping of devices to milliseconds for each choice; without any, the most accurate is chosen.
        objectives: What the front is made of, as in `search`, and `top1:TASK`; every task and latency where empty.
        limits: Largest `madds`, `params` or `size` (bytes of fp32 weights) of every choice.
        prefer: What is chosen of what meets a target, as in `search`.
        classes: Outputs of the classifier.
        predictor: Name of the predictor that is fitted to a CSV.
        effort: How thoroughly to search.
        seed: Seed of everything random.
        output: Run folder; `runs/<UTC time>-s<seed>` where None, and the choice is also written as `./subnet.json`.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number or a file is not valid.
        CoverageError: No resolution is known to the file and covered by every latency table.
        TargetUnreachableError: No architecture meets a target.
        OutputError: Something cannot be written.
    """
    context = context or Context()
    if not accuracy:
        msg = "no accuracy file is given"
        raise InputError(msg)
    require_known("predictor", predictor, PREDICTORS)
    space = resolve_space(supernet, resolutions, width)
    files = accuracy if isinstance(accuracy, Mapping) else {_ONLY: accuracy}
    costs = read_objectives(objectives, [task for task in files if task != _ONLY])
    tasks = read_tasks(objectives, files)
    unused = [task for task in files if task not in tasks]
    if unused:
        context.reporter.warn(f"no objective: the accuracy of {', '.join(unused)}, which is not read")
    sources = {
        task: read_source(files[task], space, predictor=predictor, seed=seed, reporter=context.reporter)
        for task in tasks
    }
    if resolutions is None:
        space = space.with_resolutions(next(iter(sources.values())).resolutions)
    for source in sources.values():
        space = source.known(space, context.reporter)
    used = used_devices(devices, costs, targets)
    tables = {device: find_table_for_search(space, device, width=width, seed=seed, context=context) for device in used}
    space = covered(space, tables, classes, context.reporter)
    require_reachable(space, tables, classes, targets)
    require_small(space, classes, limits or {})
    search = PredictedSearch(
        space=space,
        sources=sources,
        tables=tables,
        targets=tuple(dict(target) for target in targets) or ({},),
        objectives=minimized(costs or [LATENCY + device for device in used], used, targets, limits or {}),
        limits=dict(limits or {}),
        prefer=prefer,
        classes=classes,
        seed=seed,
        effort=effort or Effort(),
        context=context,
    )
    read_preference(prefer, search.objectives)
    settings = {"supernet": supernet, "devices": list(used), "predictor": predictor, **search.settings()}
    run = RunFolder.create(output or default_run_path(context.clock.now(), seed), {"training_free": settings})
    return search.into(run, alias=Path("subnet.json") if output is None else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictedSearch:
    """A search without training.

    Args:
        space: Search space; the files know its resolutions, and the tables cover them.
        sources: What predicts the accuracy, by task; its name is empty where there is one without a name.
        tables: Latency tables, by device; each device's latency is an objective.
        targets: One mapping of devices to milliseconds for each choice.
        objectives: Names of the costs that the front is made of.
        limits: Largest value of a cost, by its name, that every choice must keep.
        prefer: What is chosen of what meets a target.
        classes: Outputs of the classifier.
        seed: Seed.
        effort: Effort.
        context: Reporter and clock.
    """

    space: SearchSpace
    sources: Mapping[str, AccuracySource]
    tables: Mapping[str, LatencyTable]
    targets: Sequence[Mapping[str, float]]
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    prefer: str
    classes: int
    seed: int
    effort: Effort
    context: Context

    def settings(self) -> dict[str, Any]:
        """Return what decides the outcome, as `run.toml` holds it."""
        return {
            "resolutions": list(self.space.resolutions),
            "widths": list(self.space.widths),
            "accuracy": {task or "top1": str(source.path.resolve()) for task, source in self.sources.items()},
            "targets": [dict(target) for target in self.targets if target],
            "objectives": list(self.objectives),
            "limits": dict(self.limits),
            "prefer": self.prefer,
            "classes": self.classes,
            "seed": self.seed,
            "effort": dataclasses.asdict(self.effort),
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose accuracy is an objective of its own; none where there is one accuracy without a name."""
        return tuple(task for task in self.sources if task != _ONLY)

    def into(self, run: RunFolder, *, alias: Path | None) -> SearchResult:
        """Search, and write front, choices and report into a run folder.

        Args:
            run: The folder.
            alias: A further file to write the first choice to.
        """
        accuracies = Accuracies(self.sources, self.space)
        began = self.context.clock.seconds()
        chooser = self._searched(run, accuracies)
        for device, table in self.tables.items():
            write_table(run.tables / f"{device}.csv", table, fresh=True)
        run.start()
        names = choice_names(len(self.targets))
        choices = tuple(self._choose(chooser, target, name) for target, name in zip(self.targets, names, strict=True))
        if alias is not None:
            write_subnet(alias, self._subnet(run, choices[0]))
        if max(choice.top1 for choice in choices) > 1:
            self.context.reporter.warn(
                "a predicted top-1 is above 100 %: beyond what it was fitted to the predictor ranks, and tells no more"
            )
        rows = chooser.rows(chooser.front)
        front = [{**row, "front": True} for row in rows]
        run.write_csv("front", rows)
        evaluations, dominated = accuracies.count, self._dominated(accuracies, chooser)
        self.context.reporter.info(dominated)
        html = report_html(
            title=f"Search of {self.space.name} without training",
            note=self._note(dominated),
            rows=front,
            choices=choices,
            tables=self.tables,
            iterations=(),
            objectives=[*(TASK + task for task in self.tasks), *self.objectives],
        )
        return SearchResult(
            run=run.path,
            subnet=alias or choices[0].subnet,
            front_size=len(front),
            front=front,
            iterations=self.effort.generations,
            evaluations=evaluations,
            seconds=round(self.context.clock.seconds() - began, 3),
            choices=choices,
            limits=dict(self.limits),
            prefer=self.prefer,
            report=run.write_report(html),
        )

    def _searched(self, run: RunFolder, accuracies: Accuracies) -> Chooser:
        costs = cost_arrays(self.space, self.tables, self.classes, self.objectives)
        limits = choice_limits(self.targets, self.limits, self.tables)
        population, top1 = search_without_training(
            self.space,
            accuracies.mean,
            costs,
            limits,
            objectives=self.objectives,
            effort=self.effort,
            seed=self.seed,
            each=accuracies.each if self.tasks else None,
            gains=accuracies.gains,
        )
        by_task = dict(zip(self.tasks, accuracies.each(population).T, strict=True)) if self.tasks else {}
        return Chooser(
            run=run,
            space=self.space,
            classes=self.classes,
            seed=self.seed,
            tables=self.tables,
            costs=costs,
            objectives=self.objectives,
            limits=self.limits,
            prefer=self.prefer,
            archive=population,
            top1=top1,
            tasks=by_task,
            context=self.context,
        )

    def _choose(self, chooser: Chooser, target: Mapping[str, float], name: str) -> Choice:
        place, measured = chooser.choose_place(target)
        choice = Choice(
            target_ms=dict(target),
            top1=float(chooser.top1[place]),
            top1_source="predicted",
            validation_top1=None,
            madds=int(chooser.cost("madds", place)),
            params=int(chooser.cost("params", place)),
            latency_ms=chooser.latencies(place, measured),
            compared_with=chooser.compared_with(target),
            subnet=chooser.run.path / f"{name}.json",
            genotype=tuple(chooser.archive[place].tolist()),
            top1_by_task={task: float(known[place]) for task, known in chooser.tasks.items()},
        )
        write_subnet(choice.subnet, self._subnet(chooser.run, choice))
        return choice

    def _note(self, dominated: str) -> str:
        files = ", ".join(source.path.name for source in self.sources.values())
        mean = f"; the mean over {len(self.tasks)} tasks" if len(self.tasks) > 1 else ""
        return (
            f"top-1 is predicted by {files}{mean}; seed {self.seed}. Nothing was trained or evaluated. "
            f"{dominated}: the volume that is dominated, relative to the box up to it from the first population's best "
            "values."
        )

    def _dominated(self, accuracies: Accuracies, chooser: Chooser) -> str:
        """Return the hypervolume of the front, relative to the first population of the evolution."""

        def minimized(population: Population) -> Values:
            costs = [chooser.costs[name](population) for name in self.objectives]
            return np.column_stack([1 - accuracies.each(population), *costs])

        count = min(self.effort.population, self.space.size)
        first = minimized(initial(self.space, count, np.random.default_rng(self.seed)))
        reference = reference_point(first)
        dominated = hypervolume(minimized(chooser.archive[chooser.front]), reference, first.min(axis=0))
        names = [*(f"error of {task}" for task in self.tasks or (TOP1,)), *self.objectives]
        how = "exact" if len(names) <= EXACT_OBJECTIVES else "by sampling"
        point = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, reference, strict=True))
        return f"hypervolume {dominated:.4g} in {len(names)} objectives ({how}), reference point {point}"

    def _subnet(self, run: RunFolder, choice: Choice) -> Subnet:
        return Subnet(
            space=find_space(self.space.name),
            architecture=decode(self.space, np.array(choice.genotype)),
            classes=self.classes,
            metrics=metrics_of(choice),
            provenance={
                "run": run.path.name,
                "accuracy": ", ".join(source.path.name for source in self.sources.values()),
                "seed": self.seed,
                "natdeploy": __version__,
            },
            source=str(choice.subnet),
        )
