"""Search without training: files predict the accuracy, tables the latency, and nothing is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.default_supernet import choose_space
from natdeploy.api.searching.accuracy_models import Accuracies, AccuracySource, read_source
from natdeploy.api.searching.finish import Top1, finish, write_front
from natdeploy.api.searching.problem import build_problem, write_tables
from natdeploy.api.searching.report.summary import Summary
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.searching.selection import Archive, Selector, Values
from natdeploy.core.checked import checked
from natdeploy.core.genotype import Population, decode, sample_initial
from natdeploy.core.ranges import Positive, Seed
from natdeploy.errors import InputError, require_known
from natdeploy.io.locks import hold_run
from natdeploy.io.runs import RunFolder, make_run_path, require_new_run
from natdeploy.io.spaces import SpaceSelector, find_space
from natdeploy.io.subnets import DEFAULT_CLASSES, Subnet, write_subnet
from natdeploy.search.hypervolume import EXACT_OBJECTIVES, hypervolume, reference_point
from natdeploy.search.objectives import LATENCY, TOP1, read_tasks
from natdeploy.search.problem import LATENCY_HERE, SearchGoal, SearchProblem
from natdeploy.search.settings import AUTO, PREDICTORS
from natdeploy.search.surrogate import Surrogate, SurrogateSettings, optimize_surrogate
from natdeploy.version import __version__

__all__ = ["SurrogateSearch", "SurrogateSettings", "search_without_training"]

# The name of the only accuracy where it has none.
_ONLY = ""


@checked
def search_without_training(
    accuracy: Path | Mapping[str, Path],
    *,
    supernet: str | SpaceSelector | None = None,
    goal: SearchGoal = LATENCY_HERE,
    classes: Positive = DEFAULT_CLASSES,
    predictor: str = AUTO,
    settings: SurrogateSettings | None = None,
    seed: Seed = 0,
    output: Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Search a space by predicted accuracy, and select an architecture for each latency limit. Nothing is trained.

    Args:
        accuracy: OFA's pretrained predictor, or a CSV of architectures with measured top-1. Several tasks are a mapping
            of their names to such files: the accuracy of each task is an objective, and the mean counts in selections.
        supernet: Search space, whole or in part; `starter` if None. Without selected resolutions, those that the file
            covers are searched.
        goal: Objectives, limits and preference. Without objectives, every task and every latency is one. Its tasks may
            be left out; if it has any, they are the names in `accuracy`.
        classes: Outputs of the classifier.
        predictor: Name of the predictor that is fitted to a CSV.
        settings: How thoroughly to search.
        seed: Seed of everything random.
        output: Run folder. If None, it is `runs/<UTC time>-s<seed>`, and the first choice is also written as
            `./subnet.json`.
        context: Reporter and clock.

    Raises:
        InputError: A name, a number or a file is not valid.
        CoverageError: No resolution is covered by every accuracy file and every latency table.
        TargetUnreachableError: No architecture keeps the limits.
        OutputError: A file cannot be written.
    """
    context = context or Context()
    if not accuracy:
        msg = "no accuracy file is given"
        raise InputError(msg)
    require_known("predictor", predictor, PREDICTORS)
    files = accuracy if isinstance(accuracy, Mapping) else {_ONLY: accuracy}
    tasks = read_tasks(goal.objectives, files)
    goal = _complete(goal, tuple(task for task in files if task != _ONLY))
    space, _ = choose_space(supernet)
    if output is not None:
        require_new_run(output, resumable=False)
    unused = [task for task in files if task not in tasks]
    if unused:
        context.reporter.warn(f"the accuracy of {', '.join(unused)} is no objective, and its file is not read")
    sources = {
        task: read_source(files[task], space, predictor=predictor, seed=seed, reporter=context.reporter)
        for task in tasks
    }
    if not isinstance(supernet, SpaceSelector) or supernet.resolutions is None:
        space = space.with_resolutions(next(iter(sources.values())).resolutions)
    for source in sources.values():
        space = source.restrict(space, context.reporter)
    problem = build_problem(goal, space, classes, seed=seed, context=context)
    problem.require_feasible()
    search = SurrogateSearch(
        problem=problem, sources=sources, settings=settings or SurrogateSettings(), seed=seed, context=context
    )
    config = {"surrogate_search": {"supernet": space.source, "predictor": predictor, **search.to_config()}}
    config["goal"] = dataclasses.asdict(goal)
    path = output or make_run_path(context.clock.now(), seed)
    with hold_run(path):
        run = RunFolder.create(path, config)
        return search.run_into(run, alias=Path("subnet.json") if output is None else None)


def _complete(goal: SearchGoal, tasks: tuple[str, ...]) -> SearchGoal:
    """Return a goal with its tasks, and with every latency as an objective if it has none."""
    if goal.tasks and set(goal.tasks) != set(tasks):
        given = ", ".join(tasks) or "no task"
        msg = f"the tasks of the goal are {', '.join(goal.tasks)}, but accuracies are given for {given}"
        raise InputError(msg)
    objectives = goal.objectives or tuple(LATENCY + device for device in goal.all_devices)
    return dataclasses.replace(goal, tasks=tasks, objectives=objectives)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SurrogateSearch:
    """A search without training.

    Args:
        problem: Space, objectives and constraints. The accuracy files cover the resolutions of the space.
        sources: Accuracy files, by task; the name of a single task may be empty.
        settings: Settings of the optimization.
        seed: Seed.
        context: Reporter and clock.
    """

    problem: SearchProblem
    sources: Mapping[str, AccuracySource]
    settings: SurrogateSettings
    seed: int
    context: Context

    def to_config(self) -> dict[str, Any]:
        """Return the entries of `run.toml` besides the goal."""
        return {
            "resolutions": list(self.problem.space.resolutions),
            "widths": list(self.problem.space.widths),
            "accuracy": {task or "top1": str(source.path.resolve()) for task, source in self.sources.items()},
            "classes": self.problem.classes,
            "seed": self.seed,
            "settings": dataclasses.asdict(self.settings),
        }

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose accuracy is an objective of its own; empty if there is a single accuracy without a name."""
        return tuple(task for task in self.sources if task != _ONLY)

    def run_into(self, run: RunFolder, *, alias: Path | None) -> SearchResult:
        """Search, and write front, choices and report into a run folder.

        Args:
            run: The folder.
            alias: Second file to write the first choice to.
        """
        started_s = self.context.clock.seconds()
        accuracies = Accuracies(self.sources, self.problem.space)
        selector = Selector(
            problem=self.problem, archive=self._optimize(accuracies), run=run, seed=self.seed, context=self.context
        )
        write_tables(run, self.problem)
        evaluations, dominated = accuracies.count, self._describe_hypervolume(accuracies, selector)
        summary = Summary(
            title=f"Search of {self.problem.space.name} without training",
            note=self._note(dominated),
            iterations=self.settings.evolution.generations,
            evaluations=evaluations,
            started_s=started_s,
        )
        writer = _BareSubnets(selector=selector, accuracy=self._files)
        result = finish(selector, writer, write_front(selector), summary, alias)
        # The folder becomes a run only here: a search that was interrupted is simply made again.
        run.start()
        if max(choice.top1 for choice in result.choices) > 1:
            self.context.reporter.warn(
                "a predicted top-1 is above 100 %: outside the data that it was fitted to, the predictor only ranks"
            )
        self.context.reporter.info(dominated)
        return result

    def _optimize(self, accuracies: Accuracies) -> Archive:
        surrogate = Surrogate(
            top1=accuracies.mean, by_task=accuracies.each if self.tasks else None, gains=accuracies.gains
        )
        genotypes, top1 = optimize_surrogate(self.problem, surrogate, self.settings, seed=self.seed)
        by_task = dict(zip(self.tasks, accuracies.each(genotypes).T, strict=True)) if self.tasks else {}
        return Archive(genotypes=genotypes, top1=top1, top1_by_task=by_task)

    @property
    def _files(self) -> str:
        return ", ".join(source.path.name for source in self.sources.values())

    def _note(self, dominated: str) -> str:
        mean = f"; the mean over {len(self.tasks)} tasks" if len(self.tasks) > 1 else ""
        return (
            f"top-1 is predicted by {self._files}{mean}; seed {self.seed}. Nothing was trained or evaluated. "
            f"The front has a {dominated}. The hypervolume is the volume that the front dominates, relative to the box "
            "between the reference point and the best values of the first population."
        )

    def _describe_hypervolume(self, accuracies: Accuracies, selector: Selector) -> str:
        """Return the hypervolume of the front, relative to the first population of the evolution."""

        def evaluate(population: Population) -> Values:
            return np.column_stack([1 - accuracies.each(population), self.problem.cost_values(population)])

        space = self.problem.space
        count = min(self.settings.evolution.population, space.size)
        first = evaluate(sample_initial(space, count, np.random.default_rng(self.seed)))
        reference = reference_point(first)
        dominated = hypervolume(evaluate(selector.archive.genotypes[selector.front]), reference, first.min(axis=0))
        names = [*(f"error of {task}" for task in self.tasks or (TOP1,)), *self.problem.objectives]
        how = "exact" if len(names) <= EXACT_OBJECTIVES else "by sampling"
        point = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, reference, strict=True))
        return f"hypervolume {dominated:.4g} in {len(names)} objectives ({how}), reference point {point}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _BareSubnets:
    """Architectures without weights; implements `SubnetWriter`.

    Args:
        selector: Selects from the archive.
        accuracy: Names of the files that predict the accuracy.
    """

    selector: Selector
    accuracy: str

    def top1(self, place: int) -> Top1:
        """Return the predicted accuracy."""
        return Top1(value=float(self.selector.archive.top1[place]), source="predicted")

    def write(self, place: int, path: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write a place in the archive as the subnet file `path`."""
        selector = self.selector
        space = selector.problem.space
        provenance = {"accuracy": self.accuracy, "seed": selector.seed, "natdeploy": __version__}
        subnet = Subnet(
            space=find_space(space.source),
            architecture=decode(space, selector.archive.genotypes[place]),
            classes=selector.problem.classes,
            metrics=metrics,
            provenance={"run": selector.run.path.name, **provenance},
            source=str(path),
        )
        write_subnet(path, subnet)
        return subnet
