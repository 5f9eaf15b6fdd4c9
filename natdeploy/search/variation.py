"""Variation: crossover and mutation of canonical genotypes, each for a whole population at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pymoo.operators.mutation.pm import mut_pm

from natdeploy.core.genotype import Population, bounds, repair
from natdeploy.core.space import SearchSpace

Crossover = Callable[[Population, Population, np.random.Generator], Population]
Mutation = Callable[[SearchSpace, Population, float, np.random.Generator], Population]
_ETA = 1.0


def uniform_crossover(one: Population, other: Population, rng: np.random.Generator) -> Population:
    """Take each gene from one of two parents at random. Parents and children are `n x L` arrays."""
    return np.where(rng.random(one.shape) < 0.5, one, other)


def two_point_crossover(one: Population, other: Population, rng: np.random.Generator) -> Population:
    """Take the genes between two random positions of each row from the other parent."""
    places = np.arange(one.shape[1])
    first, second = np.sort(rng.integers(one.shape[1] + 1, size=(2, len(one), 1)), axis=0)
    return np.where((places >= first) & (places < second), other, one)


def polynomial_mutation(
    space: SearchSpace, population: Population, rate: float, rng: np.random.Generator
) -> Population:
    """Change each gene with probability `rate`; small changes are likelier than large ones.

    Source: Deb and Goyal, polynomial mutation (1996), by pymoo with distribution index 1, rounded to integers.
    """
    lower, upper = (bound.astype(float) for bound in bounds(space))
    count = len(population)
    index, rates = np.full(count, _ETA), np.full(count, rate)
    changed: NDArray[np.float64] = mut_pm(
        population.astype(float), lower, upper, index, rates, at_least_once=False, random_state=rng
    )
    return repair(space, np.rint(changed).astype(np.int64))


def uniform_mutation(space: SearchSpace, population: Population, rate: float, rng: np.random.Generator) -> Population:
    """Set each gene to any of its values with probability `rate`."""
    lower, upper = bounds(space)
    fresh = rng.integers(lower, upper + 1, size=population.shape)
    return repair(space, np.where(rng.random(population.shape) < rate, fresh, population))


def latin_hypercube(space: SearchSpace, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` rows in which each gene has all of its values about equally often, and repair them."""
    lower, upper = bounds(space)
    places = rng.permuted(np.tile(np.arange(count), (len(lower), 1)), axis=1).T
    shares = (places + rng.random(places.shape)) / count
    return repair(space, lower + (shares * (upper - lower + 1)).astype(np.int64))


CROSSOVER_OF: Mapping[str, Crossover] = MappingProxyType(
    {"uniform": uniform_crossover, "two-point": two_point_crossover}
)
MUTATION_OF: Mapping[str, Mutation] = MappingProxyType({"polynomial": polynomial_mutation, "uniform": uniform_mutation})
