"""Search without training: the accuracy is predicted by a file, the latency by tables, and nothing is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.api.accuracy_sources import Accuracy, AccuracySource, read_source
from natdeploy.api.choosing import Chooser, Values, choice_names, metrics_of
from natdeploy.api.context import Context, resolve_space
from natdeploy.api.html_report import report_html
from natdeploy.api.latency import table_for_search
from natdeploy.api.objectives import (
    LATENCY,
    choice_limits,
    cost_arrays,
    minimized,
    read_objectives,
    require_small,
    used_devices,
)
from natdeploy.api.results import Choice, SearchResult
from natdeploy.api.searching import Targets, covered, require_reachable
from natdeploy.core.genotype import Population, decode
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.io.runs import RunFolder, default_run_path
from natdeploy.io.subnets import DEFAULT_CLASSES, Subnet, write_subnet
from natdeploy.io.tables import write_table
from natdeploy.search.settings import AUTO, PREDICTORS, require_known
from natdeploy.search.training_free import Effort, search_without_training
from natdeploy.version import __version__


def search_predicted(
    accuracy: Path,
    *,
    supernet: str,
    width: float | None = None,
    resolutions: tuple[int, ...] | None = None,
    devices: Sequence[str] = ("host",),
    targets: Targets = (),
    objectives: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    classes: int = DEFAULT_CLASSES,
    predictor: str = AUTO,
    effort: Effort | None = None,
    seed: int = 0,
    output: Path | None = None,
    context: Context | None = None,
) -> SearchResult:
    """Search a space by predicted accuracy and choose an architecture for each target, without any training.

    Args:
        accuracy: OFA's pretrained predictor, or a CSV of architectures with measured top-1.
        supernet: Search space.
        width: The only width to search; all of the space's where None.
        resolutions: Input sizes to search; those that the file knows where None.
        devices: Devices whose latency is an objective.
        targets: One mapping of devices to milliseconds for each choice; without any, the most accurate is chosen.
        objectives: What the front is made of, as in `search`; every latency where empty.
        limits: Largest `madds`, `params` or `size` (bytes of fp32 weights) of every choice.
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
    require_known("predictor", predictor, PREDICTORS)
    space = resolve_space(supernet, resolutions, width)
    source = read_source(accuracy, space, predictor=predictor, seed=seed, reporter=context.reporter)
    if resolutions is None:
        space = space.with_resolutions(source.resolutions)
    space = source.known(space, context.reporter)
    costs = read_objectives(objectives)
    used = used_devices(devices, costs, targets)
    tables = {device: table_for_search(space, device, width=width, seed=seed, context=context) for device in used}
    space = covered(space, tables, classes, context.reporter)
    require_reachable(space, tables, classes, targets)
    require_small(space, classes, limits or {})
    search = PredictedSearch(
        space=space,
        source=source,
        tables=tables,
        targets=tuple(dict(target) for target in targets) or ({},),
        objectives=minimized(costs or [LATENCY + device for device in used], used, targets, limits or {}),
        limits=dict(limits or {}),
        classes=classes,
        seed=seed,
        effort=effort or Effort(),
        context=context,
    )
    settings = {"supernet": supernet, "devices": list(used), "predictor": predictor, **search.settings()}
    run = RunFolder.create(output or default_run_path(context.clock.now(), seed), {"training_free": settings})
    return search.into(run, alias=Path("subnet.json") if output is None else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictedSearch:
    """A search without training.

    Args:
        space: Search space; the file knows its resolutions, and the tables cover them.
        source: What predicts the accuracy.
        tables: Latency tables, by device; each device's latency is an objective.
        targets: One mapping of devices to milliseconds for each choice.
        objectives: Names of the costs that the front is made of.
        limits: Largest value of a cost, by its name, that every choice must keep.
        classes: Outputs of the classifier.
        seed: Seed.
        effort: Effort.
        context: Reporter and clock.
    """

    space: SearchSpace
    source: AccuracySource
    tables: Mapping[str, LatencyTable]
    targets: Sequence[Mapping[str, float]]
    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    classes: int
    seed: int
    effort: Effort
    context: Context

    def settings(self) -> dict[str, Any]:
        """Return what decides the outcome, as `run.toml` holds it."""
        return {
            "resolutions": list(self.space.resolutions),
            "widths": list(self.space.widths),
            "accuracy": str(self.source.path.resolve()),
            "targets": [dict(target) for target in self.targets if target],
            "objectives": list(self.objectives),
            "limits": dict(self.limits),
            "classes": self.classes,
            "seed": self.seed,
            "effort": dataclasses.asdict(self.effort),
        }

    def into(self, run: RunFolder, *, alias: Path | None) -> SearchResult:
        """Search, and write front, choices and report into a run folder.

        Args:
            run: The folder.
            alias: A further file to write the first choice to.
        """
        accuracy = _Counted(self.source.predictor(self.space))
        began = self.context.clock.seconds()
        chooser = self._searched(run, accuracy)
        for device, table in self.tables.items():
            write_table(run.tables / f"{device}.csv", table, fresh=True)
        run.begin()
        names = choice_names(len(self.targets))
        choices = tuple(self._choose(chooser, target, name) for target, name in zip(self.targets, names, strict=True))
        if alias is not None:
            write_subnet(alias, self._subnet(run, choices[0]))
        rows = chooser.rows(chooser.front)
        front = [{**row, "front": True} for row in rows]
        run.write_csv("front", rows)
        html = report_html(
            title=f"Search of {self.space.name} without training",
            note=f"top-1 is predicted by {self.source.path.name}, seed {self.seed}. Nothing was trained or evaluated.",
            rows=front,
            choices=choices,
            tables=self.tables,
            iterations=(),
        )
        return SearchResult(
            run=run.path,
            subnet=alias or choices[0].subnet,
            front_size=len(front),
            front=front,
            iterations=self.effort.generations,
            evaluations=accuracy.count,
            seconds=round(self.context.clock.seconds() - began, 3),
            choices=choices,
            report=run.write_report(html),
        )

    def _searched(self, run: RunFolder, accuracy: Accuracy) -> Chooser:
        costs = cost_arrays(self.space, self.tables, self.classes, self.objectives)
        limits = choice_limits(self.targets, self.limits, self.tables)
        population, top1 = search_without_training(
            self.space,
            accuracy,
            costs,
            limits,
            objectives=self.objectives,
            effort=self.effort,
            seed=self.seed,
        )
        return Chooser(
            run=run,
            space=self.space,
            classes=self.classes,
            seed=self.seed,
            tables=self.tables,
            costs=costs,
            objectives=self.objectives,
            limits=self.limits,
            archive=population,
            top1=top1,
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
        )
        write_subnet(choice.subnet, self._subnet(chooser.run, choice))
        return choice

    def _subnet(self, run: RunFolder, choice: Choice) -> Subnet:
        return Subnet(
            space=find_space(self.space.name),
            architecture=decode(self.space, np.array(choice.genotype)),
            classes=self.classes,
            metrics=metrics_of(choice),
            provenance={
                "run": run.path.name,
                "accuracy": self.source.path.name,
                "seed": self.seed,
                "natdeploy": __version__,
            },
            source=str(choice.subnet),
        )


class _Counted:
    """An accuracy that counts what it is asked for."""

    def __init__(self, accuracy: Accuracy) -> None:
        self._accuracy, self.count = accuracy, 0

    def __call__(self, population: Population) -> Values:
        self.count += len(population)
        return self._accuracy(population)
