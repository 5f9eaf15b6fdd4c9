"""Search without training: a front by evolution over a predicted accuracy, and local search near each limit."""

from __future__ import annotations

import dataclasses

import numpy as np
from threadpoolctl import threadpool_limits

from natdeploy.core.checked import check_fields
from natdeploy.core.genotype import Population, repair, sample_initial
from natdeploy.core.ranges import Positive, Weight
from natdeploy.search.evolution import evolve
from natdeploy.search.local_search import Accuracy, Gains, LocalSearch, Values
from natdeploy.search.problem import SearchProblem
from natdeploy.search.settings import EvolutionSettings
from natdeploy.search.variation import two_point_crossover, uniform_mutation

_MUTATION_RATE = 0.05
# Computing the gains of an architecture takes as long as this many predictions.
_GAINS_COST = 3
# Parents differ in more genes than this. Otherwise all of them would soon be close to the same one.
_MIN_DIFFERENCE = 7
# With several accuracies nearly everything is on the front. So many results are kept for each limit.
_KEPT = 10


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SurrogateSettings:
    """Settings of a search without training.

    Args:
        evolution: Settings of the evolution that finds the front.
        starts: First local searches near a limit, for each resolution and width.
        predictions: Predictions for each limit after which no local search starts.
        children: Local searches that start together, from children of the best architectures within a limit.
        parents: Number of these best architectures. Each differs from all that are better.
        proposals: Proposals for each step of a local search.
        gain_noise: Standard deviation of the noise on the gains, relative to that of the gains.

    Raises:
        InputError: A number is out of range.
    """

    evolution: EvolutionSettings = dataclasses.field(
        default_factory=lambda: EvolutionSettings(population=100, generations=30)
    )
    starts: Positive = 3
    predictions: Positive = 32_000
    children: Positive = 30
    parents: Positive = 10
    proposals: Positive = 12
    gain_noise: Weight = 0.12

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surrogate:
    """What predicts the accuracy of architectures.

    Args:
        top1: Predicts the accuracy of each row of an `n x L` array; the mean over the tasks where there are several.
        by_task: Predicts the `n x t` accuracies of each row, where each task is an objective of its own.
        gains: Estimates the accuracy of each gene in each slot, as `LocalSearch` takes it, where that is much faster
            than predicting each.
    """

    top1: Accuracy
    by_task: Accuracy | None = None
    gains: Gains | None = None


def optimize_surrogate(
    problem: SearchProblem, surrogate: Surrogate, settings: SurrogateSettings, *, seed: int
) -> tuple[Population, Values]:
    """Look for the front of predicted accuracy and costs, and most of all for the best within each constraint.

    Returns:
        Distinct genotypes and their predicted accuracies.
    """
    space, each = problem.space, surrogate.by_task or surrogate.top1

    def evaluate(population: Population) -> Values:
        return np.column_stack([-each(population), problem.cost_values(population)])

    # The evolution's matrices are small: a second BLAS thread only waits, longer still on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        rng = np.random.default_rng(seed)
        start = sample_initial(space, min(settings.evolution.population, space.size), rng)
        evolved = evolve(space, evaluate, start, settings.evolution, seed=seed)
        found, values = [evolved], [surrogate.top1(evolved)]
        for limits in problem.constraints:
            asked = _CountingPredictor(surrogate.top1, surrogate.gains)
            search = LocalSearch(
                space=space,
                top1=asked,
                costs=problem.costs,
                limits=limits,
                gains=surrogate.gains and asked.gains,
                proposals=settings.proposals,
                gain_noise=settings.gain_noise,
            )
            start = search.select_starts(evolved, values[0], settings.starts)
            rows, accuracies = _search_repeatedly(search, asked, start, settings, rng)
            if surrogate.by_task is not None:
                best = np.argsort(-accuracies, kind="stable")[:_KEPT]
                rows, accuracies = rows[best], accuracies[best]
            found.append(rows)
            values.append(accuracies)
    population = np.concatenate(found)
    kept = np.sort(np.unique(population, axis=0, return_index=True)[1])
    return population[kept], np.concatenate(values)[kept]


class _CountingPredictor:
    """An accuracy that counts its predictions."""

    def __init__(self, top1: Accuracy, gains: Gains | None) -> None:
        self.count = 0
        self._top1, self._gains = top1, gains

    def __call__(self, population: Population) -> Values:
        self.count += len(population)
        return self._top1(population)

    def gains(self, population: Population) -> Values:
        """Return the gains of each row."""
        assert self._gains is not None
        self.count += _GAINS_COST * len(population)
        return self._gains(population)


def _search_repeatedly(
    search: LocalSearch,
    asked: _CountingPredictor,
    start: Population,
    settings: SurrogateSettings,
    rng: np.random.Generator,
) -> tuple[Population, Values]:
    """Search from each row of `start`, and then repeatedly from children of the best rows so far."""
    rows, values = search.improve(start, rng)
    while len(rows) and asked.count < settings.predictions:
        best = _select_diverse(rows[np.argsort(-values, kind="stable")], settings.parents)
        one, other = (best[rng.integers(len(best), size=settings.children)] for _ in range(2))
        children = repair(search.space, two_point_crossover(one, other, rng))
        more, found = search.improve(uniform_mutation(search.space, children, _MUTATION_RATE, rng), rng)
        rows, first = np.unique(np.concatenate([rows, more]), axis=0, return_index=True)
        values = np.concatenate([values, found])[first]
    return rows, values


def _select_diverse(rows: Population, count: int) -> Population:
    """Return the first `count` rows that differ enough from all selected before them."""
    chosen = rows[:1]
    for row in rows[1:]:
        if len(chosen) == count:
            break
        if ((chosen != row).sum(axis=1) > _MIN_DIFFERENCE).all():
            chosen = np.concatenate([chosen, row[None]])
    return chosen
