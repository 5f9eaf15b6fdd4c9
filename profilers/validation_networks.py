"""Choosing the whole networks that validate a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from natdeploy.core import genotype
from natdeploy.core.genotype import Population
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyTable
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace

Values = NDArray[np.float64]
_CANDIDATES = 2000


def choose_spread_networks(
    space: SearchSpace, table: LatencyTable, count: int, rng: np.random.Generator
) -> list[tuple[Layer, ...]]:
    """Choose `count` networks whose predicted latencies spread evenly over the range of `space`.

    Their classifiers have the numbers of classes that are profiled.
    """
    candidates = np.concatenate(
        [genotype.sample(space, _CANDIDATES, rng), draw_leaning_genotypes(space, _CANDIDATES, rng)]
    )
    classes = rng.integers(len(CLASSIFIER_COUNTS), size=len(candidates))
    predicted = np.empty(len(candidates))
    for index, number in enumerate(CLASSIFIER_COUNTS):
        predicted[classes == index] = table.compile(space, number)(candidates[classes == index])
    return [
        walk(space, genotype.decode(space, candidates[place]), CLASSIFIER_COUNTS[classes[place]])
        for place in _evenly(predicted, count)
    ]


def draw_random_networks(space: SearchSpace, count: int, rng: np.random.Generator) -> list[tuple[Layer, ...]]:
    """Draw `count` random networks of `space`."""
    rows = genotype.sample(space, count, rng)
    classes = rng.choice(CLASSIFIER_COUNTS, size=count).tolist()
    return [walk(space, genotype.decode(space, row), number) for row, number in zip(rows, classes, strict=True)]


def draw_leaning_genotypes(space: SearchSpace, count: int, rng: np.random.Generator) -> Population:
    """Draw `count` genotypes that lean towards small or large choices; the degree rises evenly from row to row.

    Uniform samples would crowd around the middle of the range of latency. The first row is the smallest architecture,
    the last the largest.
    """
    degree = np.linspace(0.0, 1.0, count)[:, None]
    slots = [(space.stages[index], position) for index, position in space.slot_places]
    kernels: Population = np.array([len(stage.kernels) for stage, _ in slots])
    ratios = np.array([len(stage.expand_ratios[position]) for stage, position in slots])
    kernel = _lean(degree, kernels, (count, space.slots), rng)
    genes = 1 + kernel + kernels * _lean(degree, ratios, (count, space.slots), rng)
    depths = np.array([len(stage.depths) for stage in space.stages])
    genotype.skip_beyond_depths(space, genes, _lean(degree, depths, (count, len(depths)), rng))
    resolution = _lean(degree, len(space.resolutions), (count, 1), rng)
    width = _lean(degree, len(space.widths), (count, 1), rng)
    return np.concatenate([resolution, width, genes], axis=1)


def _evenly(predicted: Values, count: int) -> list[int]:
    chosen: list[int] = []
    free = np.ones(len(predicted), dtype=bool)
    for wanted in np.linspace(predicted.min(), predicted.max(), count):
        place = int(np.argmin(np.where(free, np.abs(predicted - wanted), np.inf)))
        free[place] = False
        chosen.append(place)
    return chosen


def _lean(degree: Values, choices: int | Population, shape: tuple[int, int], rng: np.random.Generator) -> Population:
    """Draw indices below `choices` from a binomial distribution with mean `degree` times the last index."""
    drawn: Population = rng.binomial(choices - 1, np.broadcast_to(degree, shape))
    return drawn
