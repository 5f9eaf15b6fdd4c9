"""Exploitation near a limit: hill climbing from many architectures at once, a few layers at a time.

A cost adds up over layers, and an accuracy nearly does. What the choices of each layer gain and cost therefore tells
which changes are worth a prediction: a small knapsack over a few random layers, solved by a price on the cost. Noise
on the gains makes each try another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, bounds, distinct, repair
from natdeploy.core.space import SearchSpace

Values = NDArray[np.float64]
Places = NDArray[np.intp]
Accuracy = Callable[[Population], Values]
Gains = Callable[[Population], Values]
_GAIN = 1e-7
# Layers that one try may change.
_FEW, _MANY = 2, 7
# The highest price of all that a limit allows, in top-1; its halvings.
_STEEPEST, _HALVINGS = 4.0, 13


def within(costs: Mapping[str, CostArray], limits: Mapping[str, float], population: Population) -> NDArray[np.bool_]:
    """Tell which rows of the `n x L` array `population` keep the limit of every cost that has one."""
    meets = np.ones(len(population), dtype=bool)
    for name, most in limits.items():
        meets &= costs[name](population) <= most
    return meets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Climber:
    """Raises the accuracy of architectures within limits, at their own resolution and width.

    Args:
        space: Search space.
        top1: Gives the accuracy of each row of an `n x L` array.
        costs: Costs that add up over layers, by name.
        limits: Largest value of each cost that is limited, by its name.
        gains: Estimates the accuracy of each gene in each slot of each row, `n x slots x genes`, up to a constant a
            slot. By default every change of one slot is predicted, and climbed to as well.
        rounds: Steps of one architecture, at most.
        tries: Proposals for a step of one architecture.
        patience: Steps without a better one after which an architecture stays.
        blur: Noise on the gains, relative to their spread.
    """

    space: SearchSpace
    top1: Accuracy
    costs: Mapping[str, CostArray]
    limits: Mapping[str, float]
    gains: Gains | None = None
    rounds: int = 30
    tries: int = 12
    patience: int = 2
    blur: float = 0.3

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

    def climb(self, start: Population, rng: np.random.Generator) -> tuple[Population, Values]:
        """Climb from each canonical row of `start`, which may be beyond the limits, as far as it goes.

        Returns:
            The distinct rows within the limits where the climbs ended, and their accuracies.
        """
        rows = start.copy()
        values = np.where(self.within(rows), self._accuracy(rows), -np.inf)
        failed = np.zeros(len(rows), dtype=int)
        for _ in range(self.rounds):
            going = np.flatnonzero(failed < self.patience)
            if not len(going):
                break
            made, owners, found = self._reached(rows[going], rng)
            owners = going[owners]
            best = _best(owners, found, found > values[owners] + _GAIN)
            failed[going] += 1
            rows[owners[best]], values[owners[best]], failed[owners[best]] = made[best], found[best], 0
        kept = np.isfinite(values)
        _, first = np.unique(rows[kept], axis=0, return_index=True)
        return rows[kept][first], values[kept][first]

    def _reached(self, rows: Population, rng: np.random.Generator) -> tuple[Population, Places, Values]:
        """Return what is within the limits near each row, the row's place, and the accuracy."""
        if self.gains is not None:
            made, owners = self._proposed(rows, self.gains(rows), rng)
            return made, owners, self._accuracy(made)
        singles, places, values = self._singles(rows)
        owners, slots, genes = places
        gains = np.full((len(rows), self.space.slots, self.space.max_gene + 1), -np.inf)
        gains[owners, slots, genes] = values
        np.put_along_axis(gains, rows[:, 2:, None], self._accuracy(rows)[:, None, None], axis=2)
        made, makers = self._proposed(rows, gains, rng)
        fits = self.within(singles)
        return (
            np.concatenate([singles[fits], made]),
            np.concatenate([owners[fits], makers]),
            np.concatenate([values[fits], self._accuracy(made)]),
        )

    def _singles(self, rows: Population) -> tuple[Population, tuple[Places, Places, Places], Values]:
        """Return what each change of one slot makes of each row, (row, slot, gene) of each, and its accuracy."""
        slot, gene = np.divmod(np.arange(self.space.slots * (self.space.max_gene + 1)), self.space.max_gene + 1)
        raw = np.repeat(rows[:, None], len(slot), axis=1)
        raw[:, np.arange(len(slot)), 2 + slot] = gene
        made = repair(self.space, raw.reshape(-1, rows.shape[1])).reshape(raw.shape)
        # A gene beyond the first skipped slot moves to that slot, where another change puts it already.
        fresh = (made != rows[:, None]).any(axis=2) & ((made == raw).all(axis=2) | (gene == 0))
        owners, change = np.nonzero(fresh)
        return made[fresh], (owners, slot[change], gene[change]), self._accuracy(made[fresh])

    def _proposed(self, rows: Population, gains: Values, rng: np.random.Generator) -> tuple[Population, Places]:
        """Return what the tries make of each row within the limits, and the row's place."""
        owners = np.repeat(np.arange(len(rows)), self.tries)
        slots = rng.random((len(owners), self.space.slots)).argsort(axis=1)[:, :_MANY]
        own = rows[owners[:, None], 2 + slots]
        free = np.arange(slots.shape[1]) < rng.integers(_FEW, _MANY + 1, size=len(owners))[:, None]
        relative = self._relative(rows, gains)
        blur = self.blur * np.std(relative, axis=(1, 2), where=np.isfinite(relative))
        gain = relative[owners[:, None], slots]
        gain += blur[owners, None, None] * rng.standard_normal(gain.shape)
        gain[~free] = -np.inf
        np.put_along_axis(gain, own[:, :, None], 0.0, axis=2)
        extra, spare = self._extra(rows)
        made = rows[owners]
        picked = _packed(gain, extra[:, owners[:, None], slots], spare[:, owners], own, rng)
        np.put_along_axis(made, 2 + slots, picked, axis=1)
        made = repair(self.space, made)
        kept = (made != rows[owners]).any(axis=1) & self.within(made)
        return made[kept], owners[kept]

    def _relative(self, rows: Population, gains: Values) -> Values:
        """Return what each gene gains over a row's own, nothing good where a slot must not be skipped."""
        relative: Values = gains - np.take_along_axis(gains, rows[:, 2:, None], axis=2)
        relative[:, bounds(self.space)[0][2:] > 0, 0] = -np.inf
        return relative

    def _extra(self, rows: Population) -> tuple[Values, Values]:
        """Return what each gene costs beyond a row's own, `limits x n x slots x genes`, and what is left, as shares."""
        extra, spare = [], []
        for name, most in self.limits.items():
            blocks = self.costs[name].blocks[rows[:, 1], rows[:, 0]]
            extra.append((blocks - np.take_along_axis(blocks, rows[:, 2:, None], axis=2)) / most)
            spare.append(1 - self.costs[name](rows) / most)
        shape = (len(self.limits), len(rows), self.space.slots, self.space.max_gene + 1)
        return np.array(extra).reshape(shape), np.array(spare).reshape(shape[:2])

    def _accuracy(self, population: Population) -> Values:
        # Models of scikit-learn refuse to predict nothing.
        return self.top1(population) if len(population) else np.empty(0)


def _best(owners: Places, found: Values, better: NDArray[np.bool_]) -> Places:
    """Return the place of the highest value of each owner that has a better one."""
    places = np.flatnonzero(better)
    order = places[np.lexsort((found[places], owners[places]))]
    best: Places = order[np.flatnonzero(np.diff(owners[order], append=-1))]
    return best


def _packed(gain: Values, extra: Values, spare: Values, own: Population, rng: np.random.Generator) -> Population:
    """Return the genes of each try that gain most within what is left, `tries x slots`; its own where none fit.

    The price of a cost that fits is looked for by halving; of several costs, each try weighs them otherwise.

    Args:
        gain: `tries x slots x genes`.
        extra: `limits x tries x slots x genes`.
        spare: `limits x tries`.
        own: `tries x slots`, the genes of now.
        rng: Source of the weights.
    """
    weights = rng.random(spare.shape)
    weights /= weights.sum(axis=0)
    mixed = np.einsum("lt,ltsg->tsg", weights, extra)
    picked = own.copy()
    price, low, high = np.zeros(len(own)), np.zeros(len(own)), np.full(len(own), _STEEPEST)
    first, flat = np.arange(own.size).reshape(own.shape) * gain.shape[2], extra.reshape(len(extra), gain.size)
    for _ in range(_HALVINGS):
        genes = (gain - price[:, None, None] * mixed).argmax(axis=2)
        paid = flat[:, first + genes].sum(axis=2)
        fits = (paid <= spare).all(axis=0)
        picked[fits] = genes[fits]
        low, high = np.where(fits, low, price), np.where(fits, price, high)
        price = (low + high) / 2
    return picked
