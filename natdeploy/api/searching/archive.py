"""After a search with training: archive and front as files, and the choices as subnets with weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.results import Choice
from natdeploy.api.searching.selection import Chooser, Values, choice_names, metrics_of
from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, decode
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import find_space
from natdeploy.errors import InputError
from natdeploy.io.datasets import load_task
from natdeploy.io.runs import RunFolder, require_checkpoint
from natdeploy.io.subnet_weights import write_network
from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.search.objectives import cost_arrays
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.version import __version__


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decider(Chooser):
    """Turns the archive of a run into its front and its choices.

    Args:
        plan: Plan of the run.
        evaluator: Gives subnets with their weights.
    """

    plan: SearchPlan
    evaluator: SubnetEvaluator

    @classmethod
    def of(
        cls,
        run: RunFolder,
        plan: SearchPlan,
        tables: Mapping[str, LatencyTable],
        *,
        costs: Mapping[str, CostArray],
        archive: Population,
        top1: Values,
        evaluator: SubnetEvaluator,
        context: Context,
    ) -> Decider:
        """Return the decider of a run; what the plan and the task tell is taken from them."""
        return cls(
            run=run,
            plan=plan,
            space=plan.space,
            classes=len(evaluator.task.classes),
            seed=plan.seed,
            tables=tables,
            costs=costs,
            objectives=plan.minimized,
            limits=plan.limits,
            prefer=plan.prefer,
            archive=archive,
            top1=top1,
            evaluator=evaluator,
            context=context,
        )

    def write_archive(self) -> list[dict[str, Any]]:
        """Write `archive.csv` and `front.csv`; return the archive's rows, those with `front` true first."""
        rows, on_front = self.rows(range(len(self.archive))), self.front.tolist()
        self.run.write_csv("archive", rows)
        self.run.write_csv("front", [rows[place] for place in on_front])
        order = [*on_front, *(place for place in range(len(rows)) if place not in set(on_front))]
        return [{**rows[place], "front": place in set(on_front)} for place in order]

    def choices(self, alias: Path | None) -> tuple[Choice, ...]:
        """Choose for each target of the plan, or once without one, and write the subnets.

        Args:
            alias: A further file to write the first choice to.

        Raises:
            TargetUnreachableError: No architecture of the archive meets a target.
        """
        targets = self.plan.targets or ({},)
        made = [self._choose(target, name) for target, name in zip(targets, choice_names(len(targets)), strict=True)]
        if alias is not None:
            write_subnet(alias, made[0][1])
        return tuple(choice for choice, _ in made)

    def write(self, place: int, target: Path, metrics: Mapping[str, Any]) -> Subnet:
        """Write an architecture of the archive as the subnet file `target`, with its weights beside it."""
        architecture = decode(self.space, self.archive[place])
        return write_network(
            self.evaluator.subnet(architecture),
            space=find_space(self.plan.supernet),
            architecture=architecture,
            task=self.evaluator.task.description(),
            metrics=metrics,
            target=target,
            provenance={"run": self.run.path.name, "seed": self.seed, "natdeploy": __version__},
        )

    def _choose(self, target: Mapping[str, float], name: str) -> tuple[Choice, Subnet]:
        place, measured = self.choose_place(target)
        choice = Choice(
            target_ms=dict(target),
            top1=self._test_top1(place),
            top1_source="test",
            validation_top1=float(self.top1[place]),
            madds=int(self.cost("madds", place)),
            params=int(self.cost("params", place)),
            latency_ms=self.latencies(place, measured),
            compared_with=self.compared_with(target),
            subnet=self.run.path / f"{name}.json",
            genotype=tuple(self.archive[place].tolist()),
        )
        return choice, self.write(place, choice.subnet, metrics_of(choice))

    def _test_top1(self, place: int) -> float:
        genotype = self.archive[place].tolist()
        for event in self.run.recorded("tested"):
            if event["genotype"] == genotype:
                return float(event["top1"])
        value = self.evaluator.test_top1(self.evaluator.subnet(decode(self.space, self.archive[place])))
        self.run.record("tested", {"genotype": genotype, "top1": value})
        return value


def archive_of_run(run: RunFolder, plan: SearchPlan) -> tuple[Population, Values]:
    """Return the archive of a finished run and its accuracies.

    Raises:
        InputError: The run is not finished, or its archive is damaged.
    """
    rows = run.read_csv("archive")
    try:
        rows = sorted(rows, key=lambda row: int(row["row"]))
        archive = np.array([[int(gene) for gene in row["genotype"].split()] for row in rows], dtype=np.int64)
        top1 = np.array([float(row["top1"]) for row in rows])
    except (KeyError, ValueError, AttributeError) as error:
        msg = f"{run.path / 'archive.csv'}: not an archive: {error}"
        raise InputError(msg) from error
    if not rows or not np.isfinite(top1).all() or archive.shape[1:] != (plan.space.genotype_length,):
        msg = f"{run.path / 'archive.csv'}: not an archive of {plan.space.name}"
        raise InputError(msg)
    return archive, top1


def evaluator_of_run(run: RunFolder, plan: SearchPlan, context: Context) -> SubnetEvaluator:
    """Return what gives the subnets of a run, from its supernet as far trained as the checkpoint says.

    Raises:
        InputError: There is no checkpoint, or it is damaged.
    """
    from natdeploy.api.searching.trainer import build_supernet

    require_checkpoint(run)
    task = load_task(plan.data, plan.resolutions[-1], reporter=context.reporter)
    evaluator, _ = build_supernet(plan, run, task)
    return evaluator


def decider_of_run(run: RunFolder, plan: SearchPlan, tables: Mapping[str, LatencyTable], context: Context) -> Decider:
    """Return the decider of a finished run.

    Raises:
        InputError: The run is not finished, or it has no weights.
    """
    archive, top1 = archive_of_run(run, plan)
    evaluator = evaluator_of_run(run, plan, context)
    costs = cost_arrays(plan.space, tables, len(evaluator.task.classes), plan.minimized)
    return Decider.of(run, plan, tables, costs=costs, archive=archive, top1=top1, evaluator=evaluator, context=context)
