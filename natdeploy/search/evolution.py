"""Many-objective evolution over canonical genotypes; every step is an array operation over the population.

Sources: Deb et al., NSGA-II (2002); Deb and Jain, NSGA-III (2014); Blank et al., Riesz reference directions (2021);
the survival of both through pymoo.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.core.survival import Survival
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
from pymoo.util.ref_dirs import get_reference_directions

from natdeploy.core.genotype import Population, distinct, repair
from natdeploy.core.space import SearchSpace
from natdeploy.search.operators import CROSSOVER_OF, MUTATION_OF, uniform_mutation
from natdeploy.search.settings import AUTO, Operators

Values = NDArray[np.float64]
Objectives = Callable[[Population], Values]
# Matings for which a generation may ask until it has enough children that were never evaluated.
_TRIES = 20
_FILLING_RATE = 0.2


def evolve(
    space: SearchSpace,
    objectives: Objectives,
    start: Population,
    *,
    size: int,
    generations: int,
    seed: int,
    operators: Operators | None = None,
) -> Population:
    """Minimize `objectives`; no architecture is evaluated twice.

    Args:
        space: Search space.
        objectives: Maps an `n x L` array to the `n x m` array of what is minimized.
        start: First rows of the first population, canonical; it is filled up by mutating them.
        size: Architectures in a population, and reference directions.
        generations: Generations, the first population included.
        seed: Seed.
        operators: Operators.

    Returns:
        The distinct rows of the last population.
    """
    operators, rng = operators or Operators(), np.random.default_rng(seed)
    size = min(size, space.size)
    rows = _fill(space, start, size, rng)
    values = objectives(rows)
    offset, span = values.min(axis=0), _span(values)
    survival = _survival(operators.algorithm, values.shape[1], size)
    kept, rank, crowding = _survive(survival, (values - offset) / span, size, rng)
    rows, values = rows[kept], values[kept]
    seen = {row.tobytes() for row in rows}
    for _ in range(generations - 1):
        parents = functools.partial(_tournament, rank, crowding, rng)
        children = _children(space, rows, parents, count=size, seen=seen, operators=operators, rng=rng)
        if not len(children):
            break
        rows, values = np.concatenate([rows, children]), np.concatenate([values, objectives(children)])
        kept, rank, crowding = _survive(survival, (values - offset) / span, size, rng)
        rows, values = rows[kept], values[kept]
    return rows


def survivors(values: Values, count: int, *, seed: int) -> NDArray[np.intp]:
    """Return the indices of the `count` rows of the `n x m` array `values` that NSGA-III's survival keeps."""
    if len(values) <= count:
        return np.arange(len(values))
    survival = _survival("nsga3", values.shape[1], count)
    scaled = (values - values.min(axis=0)) / _span(values)
    kept, _, _ = _survive(survival, scaled, count, np.random.default_rng(seed))
    return np.sort(kept)


@functools.lru_cache(maxsize=32)
def reference_directions(objectives: int, count: int) -> Values:
    """Return `count` reference directions: evenly spread for two objectives, Riesz for more (seconds, once)."""
    if objectives == 1:
        return np.ones((1, 1))
    if objectives == 2:
        share = np.linspace(0.0, 1.0, count)
        return np.column_stack([share, 1 - share])
    directions: Values = get_reference_directions("energy", objectives, count, seed=1)
    return directions


def _survival(algorithm: str, objectives: int, size: int) -> Survival:
    if algorithm == "nsga2" or (algorithm == AUTO and objectives <= 2):
        return RankAndCrowding()
    return ReferenceDirectionSurvival(reference_directions(objectives, size))


def _survive(
    survival: Survival, values: Values, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
    """Return the indices of the rows that survive, their ranks, and their crowding distances (0 for NSGA-III).

    Values are to be scaled: the survival takes differences below 0.001 for none.
    """
    population = PymooPopulation.new("F", values, "index", np.arange(len(values)), "crowding", np.zeros(len(values)))
    problem = Problem(n_var=1, n_obj=values.shape[1])
    kept = survival.do(problem, population, n_survive=count, random_state=rng)
    index, rank, crowding = kept.get("index"), kept.get("rank"), kept.get("crowding")
    return index.astype(np.intp), rank.astype(np.intp), crowding.astype(float)


def _tournament(rank: NDArray[np.intp], crowding: Values, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
    """Return `count` winners of binary tournaments: by rank, then by crowding distance, then by lot."""
    one, other = rng.integers(len(rank), size=(2, count))
    better = (rank[one] < rank[other]) | ((rank[one] == rank[other]) & (crowding[one] >= crowding[other]))
    winners: NDArray[np.intp] = np.where(better, one, other)
    return winners


def _children(
    space: SearchSpace,
    rows: Population,
    parents: Callable[[int], NDArray[np.intp]],
    *,
    count: int,
    seen: set[bytes],
    operators: Operators,
    rng: np.random.Generator,
) -> Population:
    """Return `count` children, or as many as can be found, none of which has been seen; they are seen from here on."""
    made: list[Population] = []
    for _ in range(_TRIES):
        one, other = rows[parents(count)], rows[parents(count)]
        crossed = CROSSOVER_OF[operators.crossover](one, other, rng)
        crossed = np.where(rng.random((count, 1)) < operators.crossover_rate, crossed, one)
        rate = operators.mutation_rate or 1 / space.genotype_length
        children = MUTATION_OF[operators.mutation](space, repair(space, crossed), rate, rng)
        for child in np.ascontiguousarray(children):
            if len(made) < count and child.tobytes() not in seen:
                seen.add(child.tobytes())
                made.append(child)
        if len(made) == count:
            break
    return np.array(made, dtype=np.int64).reshape(-1, rows.shape[1])


def _span(values: Values) -> Values:
    span: Values = np.ptp(values, axis=0)
    return np.where(span > 0, span, 1.0)


def _fill(space: SearchSpace, start: Population, size: int, rng: np.random.Generator) -> Population:
    rows = distinct(start)[:size]
    while len(rows) < size:
        parents = rows[rng.integers(len(rows), size=size)]
        mutated = uniform_mutation(space, parents, _FILLING_RATE, rng)
        rows = distinct(np.concatenate([rows, mutated]))[:size]
    return rows
