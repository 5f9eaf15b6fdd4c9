"""Search without training: a front by evolution over a given accuracy, and climbs near each limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, distinct, initial
from natdeploy.core.space import SearchSpace
from natdeploy.search.climbing import Accuracy, Climber, Values
from natdeploy.search.evolution import evolve


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How thoroughly a space is searched.

    Args:
        population: Architectures in a population of the evolution.
        generations: Generations of the evolution.
        starts: Climbs towards a limit, of each resolution and width.
        pairs: Pairs of changes that are predicted in a step of a climb.
    """

    population: int = 100
    generations: int = 60
    starts: int = 3
    pairs: int = 100


def search_without_training(
    space: SearchSpace,
    top1: Accuracy,
    costs: Mapping[str, CostArray],
    limits: Sequence[Mapping[str, float]],
    *,
    objectives: Sequence[str],
    effort: Effort,
    seed: int,
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

    Returns:
        Distinct genotypes and their accuracies.
    """

    def minimized(population: Population) -> Values:
        return np.column_stack([-top1(population), *(costs[name](population) for name in objectives)])

    # The evolution's matrices are small: a second BLAS thread only waits, longer still on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        start = initial(space, min(effort.population, space.size), np.random.default_rng(seed))
        size, generations = effort.population, effort.generations
        evolved = evolve(space, minimized, start, size=size, generations=generations, seed=seed)
        found, values = [evolved], [top1(evolved)]
        for limit in limits:
            climber = Climber(space=space, top1=top1, costs=costs, limits=limit, pairs=effort.pairs)
            rows, accuracies = climber.climb(climber.starts(found[0], values[0], effort.starts))
            found.append(rows)
            values.append(accuracies)
    population = np.concatenate(found)
    rows = distinct(population)
    _, first = np.unique(population, axis=0, return_index=True)
    return rows, np.concatenate(values)[np.sort(first)]
