"""Driving a NAT search: every step is either read from the run's journal or done and recorded there.

A run that was killed is driven from its beginning again; steps that were recorded cost nothing, training goes on from
the checkpoint, and since everything random hangs on the seed and the number of the step, the end is the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.api.deciding import Decider
from natdeploy.api.html_report import report_html
from natdeploy.api.objectives import choice_limits, cost_arrays
from natdeploy.api.results import SearchResult
from natdeploy.api.settings import SearchPlan
from natdeploy.api.starting_weights import load_weights
from natdeploy.core.genotype import Population, decode
from natdeploy.core.latency import LatencyTable
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.search.nat import NatSearch
from natdeploy.search.predictor import quality
from natdeploy.search.settings import SearchSettings
from natdeploy.supernet.data import Task
from natdeploy.supernet.evaluation import SubnetEvaluator
from natdeploy.supernet.supernet import Supernet
from natdeploy.supernet.training import ElasticTrainer, Recipe

Values = NDArray[np.float64]
_SPLITS = "Top-1 of archive and front is on validation images, that of the choices on test images."


class SearchLoop:
    """One search being driven.

    Args:
        run: Where it keeps what it must not lose.
        plan: What is to be done.
        tables: Latency tables, by device.
        task: Images.
        context: Reporter and clock.
    """

    def __init__(
        self, run: RunFolder, plan: SearchPlan, tables: Mapping[str, LatencyTable], task: Task, context: Context
    ) -> None:
        self.run_folder, self.plan, self.tables, self.context = run, plan, tables, context
        self.started = context.clock.seconds()
        self.space = plan.space
        self.evaluator, self.trainer = build_supernet(plan, run, task)
        self.costs = cost_arrays(self.space, tables, len(self.evaluator.task.classes), plan.minimized)
        limits = [limit for limit in choice_limits(plan.targets or ({},), plan.limits, tables) if limit]
        self.search = NatSearch(
            self.space, self.costs, limits, _settings(plan), seed=plan.seed, objectives=plan.minimized
        )
        self._recorded = _recorded(run)
        self.evaluations = len(self._recorded)

    def run(self) -> None:
        """Drive the search to its end."""
        effort = self.plan.effort
        warmup = self.plan.first_epochs
        self._train(warmup, "warm-up", None)
        first = self.search.first()
        self.search.tell(first, self._evaluate(0, first))
        for iteration in range(1, effort.iterations + 1):
            candidates, predicted = self._propose(iteration)
            measured = self._evaluate(2 * iteration - 1, candidates)
            self.search.tell(candidates, measured)
            self._say_quality(iteration, predicted, measured)
            population = self.search.marginal_population()
            self._train(warmup + iteration * effort.adapt_epochs, f"adaptation {iteration}", population)
            archive = self.search.archive
            self.search.tell(archive, self._evaluate(2 * iteration, archive))

    def finish(self, alias: Path | None) -> SearchResult:
        """Choose for each target, and write archive, front, subnets and report.

        Args:
            alias: A further file to write the first choice to.

        Raises:
            TargetUnreachableError: No architecture of the archive meets a target.
        """
        decider = Decider.of(
            self.run_folder,
            self.plan,
            self.tables,
            costs=self.costs,
            archive=self.search.archive,
            top1=self.search.top1,
            evaluator=self.evaluator,
            context=self.context,
        )
        rows = decider.write_archive()
        choices = decider.choices(alias)
        front = [row for row in rows if row["front"]]
        html = report_html(
            title=f"Search of {self.plan.supernet} on {self.plan.data}",
            note=f"preset {self.plan.preset}, seed {self.plan.seed}. {_SPLITS}",
            rows=rows,
            choices=choices,
            tables=self.tables,
            iterations=self.run_folder.recorded("iteration"),
        )
        report = self.run_folder.write_report(html)
        self.run_folder.record("finished", {"at": self.context.clock.now().isoformat()})
        return SearchResult(
            run=self.run_folder.path,
            subnet=alias or choices[0].subnet,
            front_size=len(front),
            front=front,
            iterations=self.plan.effort.iterations,
            evaluations=self.evaluations,
            seconds=round(self.context.clock.seconds() - self.started, 3),
            choices=choices,
            report=report,
        )

    def _train(self, until: int, stage: str, population: Population | None) -> None:
        start = self.trainer.done
        for number in range(start, until):
            loss = self.trainer.epoch(number, population)
            self.trainer.save(self.run_folder.checkpoint)
            self.context.reporter.progress(stage, number - start + 1, until - start, f"loss {loss:.3f}")

    def _evaluate(self, stage: int, population: Population) -> Values:
        top1 = np.empty(len(population))
        best = 0.0
        for place, row in enumerate(population):
            key = (stage, tuple(row.tolist()))
            if key not in self._recorded:
                self._recorded[key] = self.evaluator.top1(decode(self.space, row))
                self.run_folder.record(
                    "evaluated", {"round": stage, "genotype": list(key[1]), "top1": self._recorded[key]}
                )
                self.evaluations += 1
            top1[place] = self._recorded[key]
            best = max(best, top1[place])
            self.context.reporter.progress(f"evaluation {stage}", place + 1, len(population), f"best top-1 {best:.3f}")
        return top1

    def _propose(self, iteration: int) -> tuple[Population, Values]:
        known = [event for event in self.run_folder.recorded("proposed") if event["iteration"] == iteration]
        if known:
            genotypes = np.array(known[0]["genotypes"], dtype=np.int64)
            return genotypes.reshape(-1, self.space.genotype_length), np.array(known[0]["predicted"])
        candidates, predicted = self.search.propose(iteration)
        self.run_folder.record(
            "proposed",
            {"iteration": iteration, "genotypes": candidates.tolist(), "predicted": predicted.tolist()},
        )
        return candidates, predicted

    def _say_quality(self, iteration: int, predicted: Values, measured: Values) -> None:
        if any(event["iteration"] == iteration for event in self.run_folder.recorded("iteration")):
            return
        figures: dict[str, Any] = quality(predicted, measured) if len(measured) else {}
        best, dominated = float(self.search.top1.max()), self.search.hypervolume()
        self.run_folder.record(
            "iteration",
            {
                "iteration": iteration,
                "predictor": self.plan.effort.predictor,
                "best_top1": best,
                "hypervolume": dominated,
                "reference": self.search.reference(),
                **figures,
            },
        )
        tau = figures.get("kendall")
        said = "predictor tau not defined" if tau is None else f"predictor tau {tau:.2f}"
        self.context.reporter.info(
            f"iteration {iteration}: {len(measured)} new architectures, {said}, "
            f"hypervolume {dominated:.3f}, best top-1 so far {best:.3f}"
        )


def _recorded(run: RunFolder) -> dict[tuple[int, tuple[int, ...]], float]:
    try:
        return {
            (int(event["round"]), tuple(map(int, event["genotype"]))): float(event["top1"])
            for event in run.recorded("evaluated")
        }
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{run.path / 'journal.jsonl'}: an 'evaluated' event is damaged: {error!r}"
        raise InputError(msg) from error


def build_supernet(plan: SearchPlan, run: RunFolder, task: Task) -> tuple[SubnetEvaluator, ElasticTrainer]:
    """Build supernet, evaluator and trainer of a run, as far trained as its checkpoint says."""
    effort = plan.effort
    supernet = Supernet(plan.space, len(task.classes), seed=plan.seed)
    # The checkpoint holds all weights: those of the beginning may be gone by then.
    if not run.checkpoint.exists():
        load_weights(supernet, plan.weights, plan.weights_sha256, str(run.path / "run.toml"))
    recipe = Recipe(batch=effort.batch, learning_rate=effort.learning_rate, subnets=effort.subnets)
    trainer = ElasticTrainer(
        supernet,
        task,
        recipe,
        total_epochs=max(1, plan.first_epochs + effort.iterations * effort.adapt_epochs),
        plain_epochs=plan.plain_epochs,
        seed=plan.seed,
    )
    if run.checkpoint.exists():
        trainer.restore(run.checkpoint)
    evaluator = SubnetEvaluator(supernet, task, recalibration_images=effort.recalibration_images, seed=plan.seed)
    return evaluator, trainer


def _settings(plan: SearchPlan) -> SearchSettings:
    names = [field.name for field in dataclasses.fields(SearchSettings)]
    return SearchSettings(**{name: getattr(plan.effort, name) for name in names})
