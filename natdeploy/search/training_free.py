"""Search without training: a front by evolution over a given accuracy, and climbs near each limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, initial, repair, without
from natdeploy.core.space import SearchSpace
from natdeploy.search.climbing import Accuracy, Climber, Values
from natdeploy.search.evolution import evolve
from natdeploy.search.operators import uniform_crossover, uniform_mutation

# Children that are made for each climb, since many are beyond the limits; and how much they differ from their parents.
_TRIED, _RATE = 10, 0.15
# Of several accuracies nearly everything is on the front: so many are kept of what climbs towards a limit.
_KEPT = 10


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How thoroughly a space is searched.

    Args:
        population: Architectures in a population of the evolution.
        generations: Generations of the evolution.
        starts: First climbs towards a limit, of each resolution and width.
        bouts: How often climbs begin again, from children of what was found within a limit.
        children: Climbs of each of these.
        pairs: Pairs of changes that are predicted in a step of a climb.
        beam: Architectures, at most, that climb on after each step.
    """

    population: int = 100
    generations: int = 30
    starts: int = 3
    bouts: int = 4
    children: int = 12
    pairs: int = 100
    beam: int = 8


def search_without_training(
    space: SearchSpace,
    top1: Accuracy,
    costs: Mapping[str, CostArray],
    limits: Sequence[Mapping[str, float]],
    *,
    objectives: Sequence[str],
    effort: Effort,
    seed: int,
    each: Accuracy | None = None,
) -> tuple[Population, Values]:
    """Look for the most accurate architectures of every cost, and most of all for those just within the limits.

    Args:
        space: Search space.
        top1: Gives the accuracy of each row of an `n x L` array.
        costs: Costs, by name.
        limits: One mapping of cost names to largest values for each choice; an empty one asks for the most accurate.
        objectives: Names of the costs that are minimized beside the top-1 error.
        effort: Effort.
        seed: Seed.
        each: Gives several accuracies of each row, `n x t`, each an objective of its own; `top1` is then only what is
            raised within the limits.

    Returns:
        Distinct genotypes and their accuracies.
    """

    def minimized(population: Population) -> Values:
        return np.column_stack([-(each or top1)(population), *(costs[name](population) for name in objectives)])

    # The evolution's matrices are small: a second BLAS thread only waits, longer still on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        rng = np.random.default_rng(seed)
        start = initial(space, min(effort.population, space.size), rng)
        size, generations = effort.population, effort.generations
        evolved = evolve(space, minimized, start, size=size, generations=generations, seed=seed)
        found, values = [evolved], [top1(evolved)]
        for limit in limits:
            climber = Climber(space=space, top1=top1, costs=costs, limits=limit, pairs=effort.pairs, beam=effort.beam)
            rows, accuracies = _climbed(climber, found[0], values[0], effort, rng)
            if each is not None:
                best = np.argsort(-accuracies, kind="stable")[:_KEPT]
                rows, accuracies = rows[best], accuracies[best]
            found.append(rows)
            values.append(accuracies)
    population = np.concatenate(found)
    kept = np.sort(np.unique(population, axis=0, return_index=True)[1])
    return population[kept], np.concatenate(values)[kept]


def _climbed(
    climber: Climber, population: Population, top1: Values, effort: Effort, rng: np.random.Generator
) -> tuple[Population, Values]:
    """Climb from the best of `population`, then again and again from children of the best that was found."""
    rows, values = climber.climb(climber.starts(population, top1, effort.starts))
    for _ in range(effort.bouts if len(rows) else 0):
        best = rows[np.argsort(-values, kind="stable")[: 2 * effort.children]]
        one, other = (best[rng.integers(len(best), size=_TRIED * effort.children)] for _ in range(2))
        children = uniform_mutation(
            climber.space, repair(climber.space, uniform_crossover(one, other, rng)), _RATE, rng
        )
        children = without(children[climber.within(children)], rows)[: effort.children]
        if not len(children):
            break
        more, found = climber.climb(children)
        rows, first = np.unique(np.concatenate([rows, more]), axis=0, return_index=True)
        values = np.concatenate([values, found])[first]
    return rows, values
