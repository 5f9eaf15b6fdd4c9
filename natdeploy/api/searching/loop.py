"""Drives a NAT search. Every step is either read from the run's journal, or done and then recorded in it.

A run that was killed is driven from its beginning again. Recorded steps are not repeated, and training continues from
the checkpoint. The result is the same, since all randomness depends only on the seed and the number of the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.context import Context
from natdeploy.api.searching.archive import TrainedSubnets
from natdeploy.api.searching.duration import estimate_duration_s, format_duration, measure_pace
from natdeploy.api.searching.evaluations import Evaluations
from natdeploy.api.searching.finish import finish, write_archive
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.searching.report.summary import Images, Summary, WeightsSource
from natdeploy.api.searching.results import SearchResult
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.api.searching.trainer import build_supernet
from natdeploy.api.training.progress import train_epochs
from natdeploy.core.genotype import Population
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.search.nat import NatSearch
from natdeploy.search.predictor import measure_quality
from natdeploy.search.problem import SearchProblem
from natdeploy.supernet.data import Task

Values = NDArray[np.float64]
_SPLITS = "Top-1 of archive and front is on validation images, that of the choices on test images."


class SearchLoop:
    """A search with training.

    Args:
        run: Run folder, with the journal and the checkpoint.
        plan: Plan of the search.
        problem: Problem that it solves.
        task: Images.
        context: Reporter and clock.
    """

    def __init__(self, run: RunFolder, plan: SearchPlan, problem: SearchProblem, task: Task, context: Context) -> None:
        self.run_folder, self.plan, self.problem, self.context = run, plan, problem, context
        self.started = context.clock.seconds()
        self.evaluator, self.trainer = build_supernet(plan, run, task)
        self.search = NatSearch(problem, plan.preset.search, seed=plan.seed)
        self.evaluations = Evaluations(run, problem.space, self.evaluator, context)
        self._iteration_starts_s: list[float] = []

    def run(self) -> None:
        """Run the search to its end."""
        self._tell_duration()
        preset = self.plan.preset
        warmup = self.plan.first_epochs
        self._train(warmup, "warm-up", None)
        self._evaluate(0, self.search.ask_first())
        for iteration in range(1, preset.search.iterations + 1):
            candidates, predicted = self._ask(iteration)
            self._report_iteration(iteration, predicted, self._evaluate(2 * iteration - 1, candidates))
            population = self.search.adaptation_parents()
            self._train(warmup + iteration * preset.adapt_epochs, f"adaptation {iteration}", population)
            self._evaluate(2 * iteration, self.search.archive)

    def finish(self, alias: Path | None) -> SearchResult:
        """Select an architecture for each latency limit, and write archive, front, subnets and report.

        Args:
            alias: Second file to write the first choice to.

        Raises:
            TargetUnreachableError: No architecture of the archive keeps the limits.
        """
        selector = Selector(
            problem=self.problem,
            archive=Archive(genotypes=self.search.archive, top1=self.search.top1),
            run=self.run_folder,
            seed=self.plan.seed,
            context=self.context,
        )
        summary = Summary(
            title=f"Search of {self.plan.space.name} on {self.plan.data}",
            note=f"preset {self.plan.preset.name}, seed {self.plan.seed}. {_SPLITS}",
            iterations=self.plan.preset.search.iterations,
            evaluations=self.evaluations.count,
            started_s=self.started,
            images=Images.of(self.evaluator.task),
            weights=WeightsSource(run=self.run_folder.path, rows=range(len(self.search.archive))),
        )
        writer = TrainedSubnets(selector=selector, evaluator=self.evaluator)
        result = finish(selector, writer, write_archive(selector), summary, alias)
        self.run_folder.record("finished", {"at": self.context.clock.now().isoformat()})
        return result

    def _tell_duration(self) -> None:
        """Tell how long the search will take, unless it has begun before."""
        if self.trainer.done or self.run_folder.events("evaluated"):
            return
        pace = measure_pace(self.plan, self.evaluator.supernet, self.evaluator.task, self.context.clock)
        self.context.reporter.info(format_duration(*estimate_duration_s(self.plan, self.evaluator.task, pace)))

    def _train(self, until: int, stage: str, population: Population | None) -> None:
        for _ in train_epochs(self.trainer, until, population, stage=stage, context=self.context):
            self.trainer.save(self.run_folder.checkpoint)

    def _evaluate(self, stage: int, population: Population) -> Values:
        """Evaluate a population, tell the search, and return the top-1 of each row; NaN if its evaluation failed.

        Raises:
            InputError: The journal lacks an evaluation, and the supernet has been trained further since it was made.
        """
        lacking = self.evaluations.count_lacking(stage, population)
        if lacking and self.trainer.done > self.plan.first_epochs + stage // 2 * self.plan.preset.adapt_epochs:
            msg = (
                f"{self.run_folder.journal}: lacks {lacking} of {len(population)} evaluations of round {stage}, which "
                "cannot be repeated, because the supernet has been trained further since"
            )
            raise InputError(msg, hint="put the journal back as it was, or start a new run")
        top1 = self.evaluations.top1(stage, population)
        failed = np.isnan(top1)
        self.search.exclude(population[failed])
        self.search.tell(population[~failed], top1[~failed])
        return top1

    def _ask(self, iteration: int) -> tuple[Population, Values]:
        known = [event for event in self.run_folder.events("proposed") if event["iteration"] == iteration]
        if known:
            genotypes = np.array(known[0]["genotypes"], dtype=np.int64)
            return genotypes.reshape(-1, self.problem.space.genotype_length), np.array(known[0]["predicted"])
        candidates, predicted = self.search.ask(iteration)
        self.run_folder.record(
            "proposed",
            {"iteration": iteration, "genotypes": candidates.tolist(), "predicted": predicted.tolist()},
        )
        return candidates, predicted

    def _report_iteration(self, iteration: int, predicted: Values, measured: Values) -> None:
        if any(event["iteration"] == iteration for event in self.run_folder.events("iteration")):
            return
        known = np.isfinite(measured)
        figures: dict[str, Any] = measure_quality(predicted[known], measured[known]) if known.any() else {}
        event = {
            "iteration": iteration,
            "predictor": self.plan.preset.search.predictor,
            "best_top1": float(self.search.top1.max()),
            "best_within": self.search.best_within(),
            "hypervolume": self.search.hypervolume(),
            "reference": self.search.reference_point(),
            **figures,
        }
        self.run_folder.record("iteration", event)
        self._iteration_starts_s.append(self.context.clock.seconds())
        left = estimate_remaining_s(self._iteration_starts_s, self.plan.preset.search.iterations - iteration + 1)
        self.context.reporter.info(format_iteration(event, new=int(known.sum()), left_s=left))


def format_iteration(event: Mapping[str, Any], *, new: int, left_s: float | None) -> str:
    """Return the figures of an iteration as a line of text.

    Args:
        event: The iteration's event in the journal.
        new: Number of architectures that it added.
        left_s: Seconds to the end of the search; None if unknown.
    """
    tau = event.get("kendall")
    best = ", ".join("none" if top1 is None else f"{top1:.3f}" for top1 in event["best_within"])
    parts = [
        f"iteration {event['iteration']}: {new} new architectures",
        "predictor tau not defined" if tau is None else f"predictor tau {tau:.2f}",
        f"hypervolume {event['hypervolume']:.3f}",
        f"best top-1 so far {event['best_top1']:.3f}" + (f" (within the limits: {best})" if best else ""),
    ]
    if left_s is not None:
        parts.append(f"about {left_s:.0f} s left" if left_s < 120 else f"about {left_s / 60:.0f} min left")
    return ", ".join(parts)


def estimate_remaining_s(starts_s: Sequence[float], left: int) -> float | None:
    """Return the estimated seconds of `left` more iterations; None before two have started.

    Args:
        starts_s: Start of each iteration so far, in seconds.
        left: Number of iterations to come.
    """
    return (starts_s[-1] - starts_s[0]) / (len(starts_s) - 1) * left if len(starts_s) > 1 else None
