"""The NAT search with an ask-and-tell interface: what to evaluate next, and what to adapt the supernet to.

Source: Lu et al., NAT (TPAMI 2021), algorithm 1. Nothing here trains, measures or touches a file. The caller evaluates
the architectures that the search asks for, tells it the results, and adapts the supernet to `adaptation_parents`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from natdeploy.core.genotype import Population, remove_known, sample_initial
from natdeploy.search.evolution import evolve, select_survivors
from natdeploy.search.hypervolume import hypervolume, reference_point
from natdeploy.search.local_search import LocalSearch, keeps_limits
from natdeploy.search.predictor import Predictor
from natdeploy.search.predictors import make_predictor
from natdeploy.search.problem import SearchProblem
from natdeploy.search.ranking import farthest_points
from natdeploy.search.settings import SearchSettings
from natdeploy.search.variation import latin_hypercube

Values = NDArray[np.float64]
# Local searches on a predictor stay short, since it is accurate only near the rows that it was fitted to.
_MAX_STEPS, _PROPOSALS = 5, 50


class NatSearch:
    """State of one search: the archive with its top-1, and the architectures that cannot be evaluated.

    Args:
        problem: Space, objectives and constraints. Half of the candidates are selected within the constraints.
        settings: Settings.
        seed: Seed. The same seed and the same top-1 values make the search ask for the same architectures.
    """

    def __init__(self, problem: SearchProblem, settings: SearchSettings, *, seed: int) -> None:
        self.problem, self.settings, self.seed = problem, settings, seed
        self.space, self.costs = problem.space, problem.costs
        self.limits = tuple(limits for limits in problem.constraints if limits)
        self.archive: Population = np.empty((0, self.space.genotype_length), dtype=np.int64)
        self.top1: Values = np.empty(0)
        self.excluded: Population = self.archive
        self._reference, self._ideal = np.empty(0), np.empty(0)

    def ask_first(self) -> Population:
        """Return the architectures of the first archive: the smallest, the largest and random ones."""
        count = min(self.settings.initial, self.space.size)
        return sample_initial(self.space, count, np.random.default_rng([self.seed, 0]))

    def tell(self, population: Population, top1: Values) -> None:
        """Add architectures with their top-1 to the archive. Those already in it get the new value.

        At most `settings.archive` architectures stay, by the survival of NSGA-III.
        """
        known = {row.tobytes(): place for place, row in enumerate(self.archive)}
        for row, value in zip(np.ascontiguousarray(population, dtype=np.int64), top1, strict=True):
            place = known.get(row.tobytes())
            if place is None:
                known[row.tobytes()] = len(self.archive)
                self.archive = np.concatenate([self.archive, row[None]])
                self.top1 = np.append(self.top1, value)
            else:
                self.top1[place] = value
        if not len(self._reference) and len(self.archive):
            values = self._objectives()
            self._reference, self._ideal = reference_point(values), values.min(axis=0)
        if 0 < self.settings.archive < len(self.archive):
            self._keep(select_survivors(self._objectives(), self.settings.archive, seed=self.seed))

    def exclude(self, population: Population) -> None:
        """Remove architectures that cannot be evaluated from the archive, and never ask for them again."""
        self.excluded = np.concatenate([self.excluded, population])
        lost = (self.archive[:, None] == population).all(axis=2).any(axis=1)
        self._keep(np.flatnonzero(~lost))

    def hypervolume(self) -> float:
        """Return the archive's hypervolume, relative to the box from the best to the worst of the first archive."""
        return hypervolume(self._objectives(), self._reference, self._ideal)

    def reference_point(self) -> dict[str, float]:
        """Return the reference point of the hypervolume, by objective; `error` is 1 - top-1."""
        named = dict(zip(["error", *self.problem.objectives], self._reference.tolist(), strict=True))
        return {**named, "error": 1 + named["error"]}

    def ask(self, iteration: int) -> tuple[Population, Values]:
        """Return the candidates of `iteration` (from 1) and their predicted top-1; none is in the archive."""
        # The matrices have a few hundred rows. A second BLAS thread would only wait, much longer on a busy machine.
        with threadpool_limits(1, user_api="blas"):
            return self._ask(iteration)

    def adaptation_parents(self) -> Population:
        """Return the architectures of the archive whose marginals the subnets of an adaptation are drawn from."""
        return self.archive[select_survivors(self._objectives(), self.settings.adaptation_parents, seed=self.seed)]

    def best_within(self) -> list[float | None]:
        """Return the best top-1 of the archive within each constraint; None where no architecture keeps it."""
        kept = [self.top1[keeps_limits(self.costs, limit, self.archive)] for limit in self.limits]
        return [float(top1.max()) if len(top1) else None for top1 in kept]

    def _keep(self, places: NDArray[np.intp]) -> None:
        self.archive, self.top1 = self.archive[places], self.top1[places]

    def _objectives(self) -> Values:
        return np.column_stack([-self.top1, self.problem.cost_values(self.archive)])

    def _ask(self, iteration: int) -> tuple[Population, Values]:
        rng = np.random.default_rng([self.seed, iteration])
        settings = self.settings
        predictor = make_predictor(settings.predictor, self.space, rng=rng, ensemble_size=settings.ensemble_size)
        fitted = select_survivors(
            self._objectives(), settings.predictor_train_size or len(self.archive), seed=self.seed
        )
        predictor.fit(self.archive[fitted], self.top1[fitted])

        def objectives(population: Population) -> Values:
            return np.column_stack([-predictor.predict(population), self.problem.cost_values(population)])

        evolved = evolve(
            self.space,
            objectives,
            self._start(rng),
            settings.evolution,
            seed=int(rng.integers(2**31)),
        )
        known = np.concatenate([self.archive, self.excluded])
        fresh = remove_known(np.concatenate([evolved, *self._search_locally(predictor, evolved, rng)]), known)
        if not len(fresh):
            return fresh, np.empty(0)
        values = objectives(fresh)
        chosen = self._select(fresh, values)
        return fresh[chosen], -values[chosen, 0]

    def _start(self, rng: np.random.Generator) -> Population:
        if self.settings.start == "latin":
            return latin_hypercube(self.space, self.settings.evolution.population, rng)
        return self.archive[np.argsort(-self.top1, kind="stable")]

    def _search_locally(
        self, predictor: Predictor, population: Population, rng: np.random.Generator
    ) -> Iterator[Population]:
        """Yield, for each limit, the results of local searches from the best rows of `population`."""
        top1 = predictor.predict(population)
        for limit in self.limits if self.settings.local_searches else ():
            search = LocalSearch(
                space=self.space,
                top1=predictor.predict,
                costs=self.costs,
                limits=limit,
                max_steps=_MAX_STEPS,
                proposals=_PROPOSALS,
            )
            starts = search.select_starts(population, top1, 1)[: self.settings.local_searches]
            yield search.improve(starts, rng)[0]

    def _select(self, population: Population, values: Values) -> NDArray[np.intp]:
        """Select half of the candidates by predicted top-1, within each constraint in turn, half to cover the front."""
        count = min(self.settings.candidates, len(population))
        order = np.argsort(values[:, 0], kind="stable")
        queues = [order[keeps_limits(self.costs, limit, population[order])].tolist() for limit in self.limits or ({},)]
        in_turn = [place for places in zip_longest(*queues) for place in places if place is not None]
        best = np.array(list(dict.fromkeys(in_turn))[: (count + 1) // 2], dtype=np.intp)
        others = np.setdiff1d(np.arange(len(population)), best)
        known = np.concatenate([values[best], self._objectives()])
        return np.concatenate([best, others[farthest_points(values[others], known, count - len(best))]])
