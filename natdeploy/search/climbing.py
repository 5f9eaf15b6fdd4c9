"""Exploitation near a limit: hill climbing from many architectures at once, over changes of one gene and of two.

A cost adds up over layers, and an accuracy nearly does. What single changes gain and cost therefore tells which pairs
of them are worth a prediction: mostly one that pays with latency and one that saves it again.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, bounds, distinct, repair
from natdeploy.core.space import SearchSpace

Values = NDArray[np.float64]
Accuracy = Callable[[Population], Values]
_GAIN = 1e-7


def within(costs: Mapping[str, CostArray], limits: Mapping[str, float], population: Population) -> NDArray[np.bool_]:
    """Tell which rows of the `n x L` array `population` keep the limit of every cost that has one."""
    meets = np.ones(len(population), dtype=bool)
    for name, most in limits.items():
        meets &= costs[name](population) <= most
    return meets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Climber:
    """Raises the accuracy of architectures within limits.

    Args:
        space: Search space.
        top1: Gives the accuracy of each row of an `n x L` array.
        costs: Costs, by name.
        limits: Largest value of each cost that is limited, by its name.
        rounds: Steps of one architecture, at most.
        pairs: Pairs of changes that are predicted in a step of one architecture.
        beam: Architectures, at most, that climb on after each step: the best.
    """

    space: SearchSpace
    top1: Accuracy
    costs: Mapping[str, CostArray]
    limits: Mapping[str, float]
    rounds: int = 40
    pairs: int = 100
    beam: int = 8

    def within(self, population: Population) -> NDArray[np.bool_]:
        """Tell which rows of the `n x L` array meet every limit."""
        return within(self.costs, self.limits, population)

    def starts(self, population: Population, top1: Values, count: int) -> Population:
        """Return where to climb from: the `count` best rows within the limits, of each resolution and width.

        Where no row of the `n x L` array `population` is within them, the cheapest architectures are tried.
        """
        order = np.argsort(-top1, kind="stable")
        rows = population[order][self.within(population[order])]
        if not len(rows):
            rows = distinct(np.stack([self.costs[name].cheapest(self.space)[0] for name in self.limits]))
            rows = rows[self.within(rows)]
        kinds, kind = np.unique(rows[:, :2], axis=0, return_inverse=True)
        first = [np.flatnonzero(kind.ravel() == number)[:count] for number in range(len(kinds))]
        chosen: Population = rows[np.sort(np.concatenate([*first, np.empty(0, dtype=np.intp)]))]
        return chosen

    def climb(self, start: Population) -> tuple[Population, Values]:
        """Climb from each row of `start`, which is canonical and within the limits, as far as it goes.

        Returns:
            The distinct rows where a climb has stood, its start included, and their accuracies.
        """
        rows = distinct(start)
        values = self._accuracy(rows)
        stood = [(rows, values)]
        for _ in range(self.rounds):
            if not len(rows):
                break
            rows, values = self._step(rows, values)
            order = np.argsort(-values, kind="stable")[: self.beam]
            rows, values = rows[order], values[order]
            stood.append((rows, values))
        population = np.concatenate([rows for rows, _ in stood])
        _, first = np.unique(population, axis=0, return_index=True)
        return population[first], np.concatenate([values for _, values in stood])[first]

    def _step(self, rows: Population, values: Values) -> tuple[Population, Values]:
        """Return the best that one change or two make of each row, of the rows that can still be bettered."""
        singles, owners, change = self._singles(rows)
        gains = self._accuracy(singles) - values[owners]
        extra = self._paid(singles) - self._paid(rows)[:, owners]
        spare = self._most[:, None] - self._paid(rows)
        pairs, pair_owners = self._pairs(rows, _Changes(owners, change, gains, extra), spare)
        fits, pair_fits = (extra <= spare[:, owners]).all(axis=0), self.within(pairs)
        pairs, pair_owners = pairs[pair_fits], pair_owners[pair_fits]
        reached = np.concatenate([singles[fits], pairs])
        owner = np.concatenate([owners[fits], pair_owners])
        found = np.concatenate([values[owners[fits]] + gains[fits], self._accuracy(pairs)])
        rose = found > values[owner] + _GAIN
        order = np.lexsort((found[rose], owner[rose]))
        last = np.flatnonzero(np.diff(owner[rose][order], append=len(rows)))
        best = np.flatnonzero(rose)[order[last]]
        _, first = np.unique(reached[best], axis=0, return_index=True)
        return reached[best[first]], found[best[first]]

    def _singles(self, rows: Population) -> tuple[Population, NDArray[np.intp], NDArray[np.intp]]:
        """Return what each change makes of each row, the row's place, and the change's number."""
        places, genes = self._changes
        raw = np.repeat(rows[:, None], len(places), axis=1)
        raw[:, np.arange(len(places)), places] = genes
        made = repair(self.space, raw.reshape(-1, rows.shape[1])).reshape(raw.shape)
        # A gene beyond the first skipped slot moves to that slot, where another change puts it already.
        fresh = (made != rows[:, None]).any(axis=2) & ((made == raw).all(axis=2) | (genes == 0))
        owners, change = np.nonzero(fresh)
        return made[fresh], owners, change

    def _pairs(self, rows: Population, known: _Changes, spare: Values) -> tuple[Population, NDArray[np.intp]]:
        """Return what the pairs of changes that promise most make of each row, and the row's place."""
        places, genes = self._changes
        shape = (len(rows), len(places))
        gain, extra = np.full(shape, -np.inf), np.zeros((len(spare), *shape))
        gain[known.owners, known.change] = known.gains
        extra[:, known.owners, known.change] = known.extra
        promise = gain[:, :, None] + gain[:, None]
        promise[:, places[:, None] >= places] = -np.inf
        for paid, left in zip(extra, spare, strict=True):
            promise[paid[:, :, None] + paid[:, None] > left[:, None, None]] = -np.inf
        promise = promise.reshape(len(rows), -1)
        count = min(self.pairs, promise.shape[1])
        chosen = np.argpartition(-promise, count - 1, axis=1)[:, :count]
        owner, column = np.nonzero(np.isfinite(np.take_along_axis(promise, chosen, axis=1)))
        one, other = np.divmod(chosen[owner, column], len(places))
        made, line = rows[owner], np.arange(len(owner))
        made[line, places[one]], made[line, places[other]] = genes[one], genes[other]
        return repair(self.space, made), owner

    def _accuracy(self, population: Population) -> Values:
        # Models of scikit-learn refuse to predict nothing.
        return self.top1(population) if len(population) else np.empty(0)

    def _paid(self, population: Population) -> Values:
        """Return the limited costs of the `n x L` array, one row a limit."""
        paid = np.array([self.costs[name](population) for name in self.limits])
        return paid.reshape(len(self.limits), len(population))

    @property
    def _most(self) -> Values:
        return np.array(list(self.limits.values()), dtype=float)

    @functools.cached_property
    def _changes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every gene's place and value that a change can set, two vectors."""
        lower, upper = bounds(self.space)
        return (
            np.repeat(np.arange(len(lower)), upper - lower + 1),
            np.concatenate([np.arange(low, high + 1) for low, high in zip(lower, upper, strict=True)]),
        )


@dataclasses.dataclass(frozen=True)
class _Changes:
    """Changes of single genes: the row's place, the change's number, what it gains, and what it costs a limit."""

    owners: NDArray[np.intp]
    change: NDArray[np.intp]
    gains: Values
    extra: Values
