"""Local search near a limit: hill climbing from many architectures at once, a few layers at a time.

A cost is a sum over layers, and an accuracy nearly is. The gain and the cost of each layer's choices therefore tell
which changes are worth a prediction. A proposal is the solution of a small knapsack problem over a few random layers,
found with a Lagrange multiplier on the cost. Noise on the gains makes each proposal a different one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.cost import CostArray
from natdeploy.core.genotype import Population, bounds, drop_duplicates, repair
from natdeploy.core.space import SearchSpace

Values = NDArray[np.float64]
Places = NDArray[np.intp]
Accuracy = Callable[[Population], Values]
Gains = Callable[[Population], Values]
_MIN_GAIN = 1e-7
# Layers that one proposal may change, at least and at most.
_FEWEST, _MOST = 2, 7
# Highest Lagrange multiplier, in top-1 for the whole of a limit, and the steps of its bisection.
_HIGHEST_PRICE, _BISECTIONS = 4.0, 13


def keeps_limits(
    costs: Mapping[str, CostArray], limits: Mapping[str, float], population: Population
) -> NDArray[np.bool_]:
    """Tell which rows of the `n x L` array `population` keep the limit of every limited cost."""
    meets = np.ones(len(population), dtype=bool)
    for name, most in limits.items():
        meets &= costs[name](population) <= most
    return meets


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalSearch:
    """Improves the accuracy of architectures within limits, at the same resolution and width.

    Args:
        space: Search space.
        top1: Gives the accuracy of each row of an `n x L` array.
        costs: Costs that add up over layers, by name.
        limits: Largest value of each cost that is limited, by its name.
        gains: Estimates the accuracy of each gene in each slot of each row, `n x slots x genes`, up to a constant per
            slot. By default every change of a single slot is predicted, and is a possible step as well.
        max_steps: Largest number of steps of an architecture.
        proposals: Proposals for each step of an architecture.
        patience: Steps without improvement after which the search from an architecture ends.
        gain_noise: Standard deviation of the noise on the gains, relative to that of the gains.
    """

    space: SearchSpace
    top1: Accuracy
    costs: Mapping[str, CostArray]
    limits: Mapping[str, float]
    gains: Gains | None = None
    max_steps: int = 30
    proposals: int = 12
    patience: int = 2
    gain_noise: float = 0.3

    def keeps_limits(self, population: Population) -> NDArray[np.bool_]:
        """Tell which rows of the `n x L` array `population` keep every limit."""
        return keeps_limits(self.costs, self.limits, population)

    def select_starts(self, population: Population, top1: Values, count: int) -> Population:
        """Return the `count` best rows of each resolution and width that keep the limits.

        Where no row of the `n x L` array `population` keeps them, the cheapest architectures of the space are returned
        as far as they do.
        """
        order = np.argsort(-top1, kind="stable")
        rows = population[order][self.keeps_limits(population[order])]
        if not len(rows):
            rows = drop_duplicates(np.stack([self.costs[name].cheapest(self.space)[0] for name in self.limits]))
            rows = rows[self.keeps_limits(rows)]
        kinds, kind = np.unique(rows[:, :2], axis=0, return_inverse=True)
        first = [np.flatnonzero(kind.ravel() == number)[:count] for number in range(len(kinds))]
        chosen: Population = rows[np.sort(np.concatenate([*first, np.empty(0, dtype=np.intp)]))]
        return chosen

    def improve(self, start: Population, rng: np.random.Generator) -> tuple[Population, Values]:
        """Search from each canonical row of `start` until it improves no more. The rows may exceed the limits.

        Returns:
            The distinct rows at which the searches ended within the limits, and their accuracies.
        """
        rows = start.copy()
        values = np.where(self.keeps_limits(rows), self._predict(rows), -np.inf)
        failed = np.zeros(len(rows), dtype=int)
        for _ in range(self.max_steps):
            going = np.flatnonzero(failed < self.patience)
            if not len(going):
                break
            made, owners, found = self._find_neighbours(rows[going], rng)
            owners = going[owners]
            best = _best_of_each(owners, found, found > values[owners] + _MIN_GAIN)
            failed[going] += 1
            rows[owners[best]], values[owners[best]], failed[owners[best]] = made[best], found[best], 0
        kept = np.isfinite(values)
        _, first = np.unique(rows[kept], axis=0, return_index=True)
        return rows[kept][first], values[kept][first]

    def _find_neighbours(self, rows: Population, rng: np.random.Generator) -> tuple[Population, Places, Values]:
        """Return neighbours of the rows within the limits, the index of each one's row, and their accuracies."""
        if self.gains is not None:
            made, owners = self._propose(rows, self.gains(rows), rng)
            return made, owners, self._predict(made)
        singles, places, values = self._change_single_slots(rows)
        owners, slots, genes = places
        gains = np.full((len(rows), self.space.slots, self.space.max_gene + 1), -np.inf)
        gains[owners, slots, genes] = values
        np.put_along_axis(gains, rows[:, 2:, None], self._predict(rows)[:, None, None], axis=2)
        made, makers = self._propose(rows, gains, rng)
        fits = self.keeps_limits(singles)
        return (
            np.concatenate([singles[fits], made]),
            np.concatenate([owners[fits], makers]),
            np.concatenate([values[fits], self._predict(made)]),
        )

    def _change_single_slots(self, rows: Population) -> tuple[Population, tuple[Places, Places, Places], Values]:
        """Return every change of a single slot of each row, its (row, slot, gene), and its accuracy."""
        slot, gene = np.divmod(np.arange(self.space.slots * (self.space.max_gene + 1)), self.space.max_gene + 1)
        raw = np.repeat(rows[:, None], len(slot), axis=1)
        raw[:, np.arange(len(slot)), 2 + slot] = gene
        made = repair(self.space, raw.reshape(-1, rows.shape[1])).reshape(raw.shape)
        # A gene after the first skipped slot moves to that slot, and so is already made by another change. A gene that
        # the slot does not have becomes another one.
        fresh = (made != rows[:, None]).any(axis=2) & ((made == raw).all(axis=2) | (gene == 0))
        owners, change = np.nonzero(fresh)
        return made[fresh], (owners, slot[change], gene[change]), self._predict(made[fresh])

    def _propose(self, rows: Population, gains: Values, rng: np.random.Generator) -> tuple[Population, Places]:
        """Return the proposals for each row that keep the limits, and the index of each one's row."""
        owners = np.repeat(np.arange(len(rows)), self.proposals)
        slots = rng.random((len(owners), self.space.slots)).argsort(axis=1)[:, :_MOST]
        own = rows[owners[:, None], 2 + slots]
        free = np.arange(slots.shape[1]) < rng.integers(_FEWEST, _MOST + 1, size=len(owners))[:, None]
        relative = self._relative_gains(rows, gains)
        noise = self.gain_noise * np.std(relative, axis=(1, 2), where=np.isfinite(relative))
        gain = relative[owners[:, None], slots]
        gain += noise[owners, None, None] * rng.standard_normal(gain.shape)
        gain[~free] = -np.inf
        np.put_along_axis(gain, own[:, :, None], 0.0, axis=2)
        extra, spare = self._relative_costs(rows)
        made = rows[owners]
        picked = _solve_knapsacks(gain, extra[:, owners[:, None], slots], spare[:, owners], own, rng)
        np.put_along_axis(made, 2 + slots, picked, axis=1)
        made = repair(self.space, made)
        kept = (made != rows[owners]).any(axis=1) & self.keeps_limits(made)
        return made[kept], owners[kept]

    def _relative_gains(self, rows: Population, gains: Values) -> Values:
        """Return the gain of each gene over the row's own; minus infinity where a slot has no such gene."""
        relative: Values = gains - np.take_along_axis(gains, rows[:, 2:, None], axis=2)
        lower, upper = (bound[2:, None] for bound in bounds(self.space))
        genes = np.arange(gains.shape[2])
        relative[:, (genes < lower) | (genes > upper)] = -np.inf
        return relative

    def _relative_costs(self, rows: Population) -> tuple[Values, Values]:
        """Return the cost of each gene over the row's own, `limits x n x slots x genes`, and the rest of each limit.

        Both are shares of the limit.
        """
        extra, spare = [], []
        for name, most in self.limits.items():
            blocks = self.costs[name].blocks[rows[:, 1], rows[:, 0]]
            extra.append((blocks - np.take_along_axis(blocks, rows[:, 2:, None], axis=2)) / most)
            spare.append(1 - self.costs[name](rows) / most)
        shape = (len(self.limits), len(rows), self.space.slots, self.space.max_gene + 1)
        return np.array(extra).reshape(shape), np.array(spare).reshape(shape[:2])

    def _predict(self, population: Population) -> Values:
        # Models of scikit-learn refuse to predict nothing.
        return self.top1(population) if len(population) else np.empty(0)


def _best_of_each(owners: Places, found: Values, better: NDArray[np.bool_]) -> Places:
    """Return the index of the highest value of each owner that has a better one."""
    places = np.flatnonzero(better)
    order = places[np.lexsort((found[places], owners[places]))]
    best: Places = order[np.flatnonzero(np.diff(owners[order], append=-1))]
    return best


def _solve_knapsacks(
    gain: Values, extra: Values, spare: Values, own: Population, rng: np.random.Generator
) -> Population:
    """Return the genes of each proposal that gain most within the rest of the limits, `proposals x slots`.

    The Lagrange multiplier is found by bisection. Each proposal weights several costs differently. Where nothing fits,
    a proposal keeps its present genes.

    Args:
        gain: `proposals x slots x genes`.
        extra: `limits x proposals x slots x genes`.
        spare: `limits x proposals`.
        own: `proposals x slots`, the present genes.
        rng: Source of the weights.
    """
    weights = rng.random(spare.shape)
    weights /= weights.sum(axis=0)
    mixed = np.einsum("lt,ltsg->tsg", weights, extra)
    picked = own.copy()
    price, low, high = np.zeros(len(own)), np.zeros(len(own)), np.full(len(own), _HIGHEST_PRICE)
    first, flat = np.arange(own.size).reshape(own.shape) * gain.shape[2], extra.reshape(len(extra), gain.size)
    for _ in range(_BISECTIONS):
        genes = (gain - price[:, None, None] * mixed).argmax(axis=2)
        paid = flat[:, first + genes].sum(axis=2)
        fits = (paid <= spare).all(axis=0)
        picked[fits] = genes[fits]
        low, high = np.where(fits, low, price), np.where(fits, price, high)
        price = (low + high) / 2
    return picked
