"""Many-objective evolution over canonical genotypes. Every step is an array operation over the population.

Sources: Deb et al., NSGA-II (2002); Deb and Jain, NSGA-III (2014); Blank et al., Riesz reference directions (2021).
The survival of both algorithms is pymoo's.
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

from natdeploy.core.genotype import Population, drop_duplicates, repair
from natdeploy.core.space import SearchSpace
from natdeploy.search.settings import AUTO, EvolutionSettings
from natdeploy.search.variation import CROSSOVER_OF, MUTATION_OF, uniform_mutation

Values = NDArray[np.float64]
Objectives = Callable[[Population], Values]
# Rounds of mating in a generation until it has enough children that were never evaluated.
_MATINGS = 20
_FILLING_RATE = 0.2


def evolve(
    space: SearchSpace, objectives: Objectives, start: Population, settings: EvolutionSettings, *, seed: int
) -> Population:
    """Minimize `objectives`. No architecture is evaluated twice.

    Args:
        space: Search space.
        objectives: Maps an `n x L` array to the `n x m` array of minimized values.
        start: First rows of the first population, canonical. Mutations of them fill it up.
        settings: Settings.
        seed: Seed.

    Returns:
        The distinct rows of the last population.
    """
    rng = np.random.default_rng(seed)
    size = min(settings.population, space.size)
    rows = _fill(space, start, size, rng)
    values = objectives(rows)
    offset, span = values.min(axis=0), _span(values)
    survival = _make_survival(settings.algorithm, values.shape[1], size)
    kept, rank, crowding = _survive(survival, (values - offset) / span, size, rng)
    rows, values = rows[kept], values[kept]
    mating = _Mating(space, settings, rng, known=rows)
    for _ in range(settings.generations - 1):
        children = mating.make_children(rows, rank, crowding)
        if not len(children):
            break
        rows, values = np.concatenate([rows, children]), np.concatenate([values, objectives(children)])
        kept, rank, crowding = _survive(survival, (values - offset) / span, size, rng)
        rows, values = rows[kept], values[kept]
    return rows


def select_survivors(values: Values, count: int, *, seed: int) -> NDArray[np.intp]:
    """Return the indices of the `count` rows of the `n x m` array `values` that the survival of NSGA-III keeps."""
    if len(values) <= count:
        return np.arange(len(values))
    survival = _make_survival("nsga3", values.shape[1], count)
    scaled = (values - values.min(axis=0)) / _span(values)
    kept, _, _ = _survive(survival, scaled, count, np.random.default_rng(seed))
    return np.sort(kept)


@functools.lru_cache(maxsize=32)
def reference_directions(objectives: int, count: int) -> Values:
    """Return `count` reference directions: evenly spaced for two objectives, Riesz for more (takes seconds, once)."""
    if objectives == 1:
        return np.ones((1, 1))
    if objectives == 2:
        share = np.linspace(0.0, 1.0, count)
        return np.column_stack([share, 1 - share])
    directions: Values = get_reference_directions("energy", objectives, count, seed=1)
    return directions


def _make_survival(algorithm: str, objectives: int, size: int) -> Survival:
    if algorithm == "nsga2" or (algorithm == AUTO and objectives <= 2):
        return RankAndCrowding()
    return ReferenceDirectionSurvival(reference_directions(objectives, size))


def _survive(
    survival: Survival, values: Values, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
    """Return the indices of the surviving rows, their ranks and their crowding distances (0 for NSGA-III).

    The values must be scaled, since the survival ignores differences below 0.001.
    """
    population = PymooPopulation.new("F", values, "index", np.arange(len(values)), "crowding", np.zeros(len(values)))
    problem = Problem(n_var=1, n_obj=values.shape[1])
    kept = survival.do(problem, population, n_survive=count, random_state=rng)
    index, rank, crowding = kept.get("index"), kept.get("rank"), kept.get("crowding")
    return index.astype(np.intp), rank.astype(np.intp), crowding.astype(float)


class _Mating:
    """Makes children that were never evaluated before.

    Args:
        space: Search space.
        settings: Crossover and mutation.
        rng: Source of randomness.
        known: Rows that were evaluated already.
    """

    def __init__(
        self, space: SearchSpace, settings: EvolutionSettings, rng: np.random.Generator, *, known: Population
    ) -> None:
        self._space, self._settings, self._rng = space, settings, rng
        self._known = {row.tobytes() for row in known}

    def make_children(self, rows: Population, rank: NDArray[np.intp], crowding: Values) -> Population:
        """Return as many new children as there are `rows`, or as many as can be found. They are known from here on."""
        made: list[Population] = []
        for _ in range(_MATINGS):
            one, other = (rows[_tournament(rank, crowding, self._rng)] for _ in range(2))
            for child in np.ascontiguousarray(self._mate(one, other)):
                if len(made) < len(rows) and child.tobytes() not in self._known:
                    self._known.add(child.tobytes())
                    made.append(child)
            if len(made) == len(rows):
                break
        return np.array(made, dtype=np.int64).reshape(-1, rows.shape[1])

    def _mate(self, one: Population, other: Population) -> Population:
        crossed = CROSSOVER_OF[self._settings.crossover](one, other, self._rng)
        crossed = np.where(self._rng.random((len(one), 1)) < self._settings.crossover_rate, crossed, one)
        rate = self._settings.mutation_rate or 1 / self._space.genotype_length
        mutate = MUTATION_OF[self._settings.mutation]
        return mutate(self._space, repair(self._space, crossed), rate, self._rng)


def _tournament(rank: NDArray[np.intp], crowding: Values, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the winners of binary tournaments, as many as there are rows: by rank, by crowding, then at random."""
    one, other = rng.integers(len(rank), size=(2, len(rank)))
    better = (rank[one] < rank[other]) | ((rank[one] == rank[other]) & (crowding[one] >= crowding[other]))
    winners: NDArray[np.intp] = np.where(better, one, other)
    return winners


def _span(values: Values) -> Values:
    span: Values = np.ptp(values, axis=0)
    return np.where(span > 0, span, 1.0)


def _fill(space: SearchSpace, start: Population, size: int, rng: np.random.Generator) -> Population:
    rows = drop_duplicates(start)[:size]
    while len(rows) < size:
        parents = rows[rng.integers(len(rows), size=size)]
        mutated = uniform_mutation(space, parents, _FILLING_RATE, rng)
        rows = drop_duplicates(np.concatenate([rows, mutated]))[:size]
    return rows
