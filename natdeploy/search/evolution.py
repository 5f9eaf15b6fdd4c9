"""Many-objective evolution over canonical genotypes: NSGA-III with operators that repair what they make.

Sources: Deb and Jain, NSGA-III (2014); Blank et al., Riesz reference directions (2021); both through pymoo.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import NSGA3, ReferenceDirectionSurvival
from pymoo.core.individual import Individual
from pymoo.core.population import Population as PymooPopulation
from pymoo.core.problem import Problem
from pymoo.core.repair import Repair
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.optimize import minimize
from pymoo.util.ref_dirs import get_reference_directions

from natdeploy.core.genotype import Population, bounds, distinct, repair
from natdeploy.core.space import SearchSpace

Objectives = Callable[[Population], NDArray[np.float64]]
_CROSSOVER_RATE = 0.9
_MUTATION_RATE = 0.1
_MUTATION_ETA = 1.0


class _Canonical(Repair):  # type: ignore[misc]
    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Problem, X: NDArray[Any], **kwargs: object) -> Population:  # noqa: ARG002, N803
        return repair(self._space, np.rint(X).astype(np.int64))


class _SearchProblem(Problem):  # type: ignore[misc]
    def __init__(self, space: SearchSpace, objectives: Objectives, count: int) -> None:
        lower, upper = bounds(space)
        super().__init__(n_var=space.genotype_length, n_obj=count, xl=lower, xu=upper, vtype=int)
        self._objectives = objectives

    def _evaluate(self, X: NDArray[Any], out: dict[str, Any], *args: object, **kwargs: object) -> None:  # noqa: ARG002, N803
        out["F"] = self._objectives(X.astype(np.int64))


def evolve(
    space: SearchSpace, objectives: Objectives, start: Population, *, size: int, generations: int, seed: int
) -> Population:
    """Minimize `objectives` with NSGA-III, uniform crossover and polynomial mutation.

    Args:
        space: Search space.
        objectives: Maps an `n x L` array to the `n x m` array of what is minimized.
        start: First rows of the first population, canonical; it is filled up by mutating them.
        size: Architectures in a population, and reference directions.
        generations: Generations.
        seed: Seed.

    Returns:
        The distinct rows of the last population.
    """
    count = objectives(start[:1]).shape[1]
    size = min(size, space.size)
    canonical = _Canonical(space)
    algorithm = NSGA3(
        ref_dirs=reference_directions(count, size),
        pop_size=size,
        sampling=_fill(space, start, size, np.random.default_rng(seed)),
        crossover=UX(prob=_CROSSOVER_RATE, repair=canonical),
        mutation=PM(prob=1.0, prob_var=_MUTATION_RATE, eta=_MUTATION_ETA, repair=canonical),
        repair=canonical,
        eliminate_duplicates=True,
    )
    problem = _SearchProblem(space, objectives, count)
    result = minimize(problem, algorithm, ("n_gen", generations), seed=seed, verbose=False)
    return distinct(np.asarray(result.pop.get("X")).astype(np.int64))


def survivors(values: NDArray[np.float64], count: int, *, seed: int) -> NDArray[np.intp]:
    """Return the indices of the `count` rows of the `n x m` array `values` that NSGA-III's survival keeps."""
    if len(values) <= count:
        return np.arange(len(values))
    individuals = PymooPopulation(individuals=[Individual(F=row, index=place) for place, row in enumerate(values)])
    survival = ReferenceDirectionSurvival(reference_directions(values.shape[1], count))
    problem = Problem(n_var=1, n_obj=values.shape[1])
    kept = survival.do(problem, individuals, n_survive=count, random_state=np.random.default_rng(seed))
    return np.sort(np.array([individual.data["index"] for individual in kept], dtype=np.intp))


@functools.lru_cache(maxsize=32)
def reference_directions(objectives: int, count: int) -> NDArray[np.float64]:
    """Return `count` Riesz reference directions; they take seconds to make, so they are kept."""
    if objectives == 1:
        return np.ones((1, 1))
    directions: NDArray[np.float64] = get_reference_directions("energy", objectives, count, seed=1)
    return directions


def _fill(space: SearchSpace, start: Population, size: int, rng: np.random.Generator) -> Population:
    rows = distinct(start)[:size]
    lower, upper = bounds(space)
    while len(rows) < size:
        parents = rows[rng.integers(len(rows), size=size)]
        fresh = rng.integers(lower, upper + 1, size=parents.shape)
        mutated = np.where(rng.random(parents.shape) < 2 * _MUTATION_RATE, fresh, parents)
        rows = distinct(np.concatenate([rows, repair(space, mutated)]))[:size]
    return rows
