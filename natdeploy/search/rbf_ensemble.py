"""The NAT paper's predictor: an ensemble of radial-basis-function interpolants, computed together on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.genotype import Population
from natdeploy.errors import InputError
from natdeploy.machine import usable_cores
from natdeploy.search.predictor import Values

Singles = NDArray[np.float32]
_TRIES = 100
_LEAST_ROWS = 4
# Regularization: a gene that does not vary among a member's centres gets the smallest weights in the linear tail.
_RIDGE = 1e-8
# Largest arrays in entries: of distances, so that they fit into a core's cache, and of systems, into memory.
_BLOCK, _SYSTEMS = 1 << 17, 1 << 20
# Parts of the queries for threads. The number is the same on every machine, so that the sums are equal to the last bit.
_PARTS = 32


class RBFEnsemble:
    """Ensemble of cubic radial-basis-function interpolants with a linear tail, each on a random subset of the genes.

    Rows that are equal in a member's genes are averaged. The prediction is the mean over the members, the uncertainty
    their standard deviation. All members share the rows as centres, so that distances, solutions and predictions of
    many members are single array operations. Predictions are summed in single precision.
    Source: Lu et al., NAT (TPAMI 2021), section 3.2; the random choice of genes after E2EPP.

    Args:
        lower: Lowest value of each gene, an `L`-vector.
        upper: Highest value of each gene, an `L`-vector.
        ensemble_size: Members.
        rng: Source of the random subsets.
    """

    def __init__(self, lower: Population, upper: Population, *, ensemble_size: int, rng: np.random.Generator) -> None:
        self._lower = lower.astype(float)
        self._span = np.maximum(upper - lower, 1).astype(float)
        self._free = np.flatnonzero(upper > lower)
        self._ensemble_size, self._rng = ensemble_size, rng
        self._genes: Singles = np.empty((len(lower), 0), dtype=np.float32)
        self._centres: Singles = np.empty((0, len(lower)), dtype=np.float32)
        self._weights: Singles = np.empty((0, 0), dtype=np.float32)
        self._tails: Values = np.empty((1 + len(lower), 0))
        self._shares: Values = np.empty(0)

    def fit(self, population: Population, top1: Values) -> None:
        """Fit the ensemble to the `n x L` array `population` and its `n` values.

        Raises:
            InputError: There are fewer than four distinct rows.
        """
        distinct = len(np.unique(population, axis=0))
        if distinct < _LEAST_ROWS:
            msg = f"a predictor needs at least {_LEAST_ROWS} distinct architectures, not {distinct}"
            raise InputError(msg)
        rows = self._scale(population)
        # Members with the same genes are computed once and weighted by their number.
        chosen, repeated = np.unique(self._choose_genes(population), axis=1, return_counts=True)
        self._shares = repeated / self._ensemble_size
        count = len(rows)
        squares = ((rows[:, None] - rows) ** 2).reshape(count * count, -1).T
        batch = max(1, _SYSTEMS // (count + len(chosen) + 1) ** 2)
        batches = [chosen[:, start : start + batch] for start in range(0, len(repeated), batch)]
        solution = _map_parts(partial(_solve, squares, _tail(rows), top1), batches).T
        self._genes, self._centres = chosen.astype(np.float32), rows.astype(np.float32)
        self._weights, self._tails = solution[:count].astype(np.float32), solution[count:]

    def predict(self, population: Population) -> Values:
        """Return the `n` predicted values of the `n x L` array `population`."""
        weights = (self._weights * self._shares.astype(np.float32)).ravel()

        def predict_part(rows: Values) -> Values:
            total: Values = _tail(rows) @ (self._tails @ self._shares)
            for part, cubes in self._cubes(rows):
                total[part] += cubes.reshape(-1, len(weights)) @ weights
            return total

        return _map_parts(predict_part, np.array_split(self._scale(population), _PARTS))

    def uncertainty(self, population: Population) -> Values:
        """Return the standard deviation of the members' predictions for each row of the `n x L` array."""

        def deviate_part(rows: Values) -> Values:
            values = _tail(rows) @ self._tails
            for part, cubes in self._cubes(rows):
                values[part] += np.einsum("qcm,cm->qm", cubes, self._weights)
            mean = values @ self._shares
            deviation: Values = np.sqrt((values - mean[:, None]) ** 2 @ self._shares)
            return deviation

        return _map_parts(deviate_part, np.array_split(self._scale(population), _PARTS))

    def _cubes(self, rows: Values) -> Iterator[tuple[slice, Singles]]:
        """Yield slices of the rows with their cubed distances, `queries x centres x members`."""
        queries = rows.astype(np.float32)
        centres, members = self._weights.shape
        step = max(1, _BLOCK // (centres * members))
        for start in range(0, len(rows), step):
            part = queries[start : start + step]
            squares = ((part[:, None] - self._centres) ** 2).reshape(len(part) * centres, -1)
            distances = squares @ self._genes
            cubes = np.sqrt(distances)
            cubes *= distances
            yield slice(start, start + len(part)), cubes.reshape(len(part), centres, members)

    def _choose_genes(self, population: Population) -> NDArray[np.bool_]:
        """Choose genes for each member, `L x members`.

        The number of rows that differ in these genes must exceed the number of weights of the tail. If no draw
        achieves this, the best one is taken.
        """
        chosen = self._draw(len(population), self._ensemble_size)
        spare = _count_distinct(population, chosen) - chosen.sum(axis=0) - 1
        for _ in range(_TRIES):
            poor = np.flatnonzero(spare <= 0)
            if not len(poor):
                break
            fresh = self._draw(len(population), len(poor))
            gained = _count_distinct(population, fresh) - fresh.sum(axis=0) - 1
            better = gained > spare[poor]
            chosen[:, poor[better]], spare[poor[better]] = fresh[:, better], gained[better]
        return chosen

    def _draw(self, rows: int, members: int) -> NDArray[np.bool_]:
        most = max(1, min(len(self._free), rows - 3))
        counts = self._rng.integers(1, most + 1, size=members)
        order = self._rng.random((len(self._free), members)).argsort(axis=0)
        chosen = np.zeros((len(self._lower), members), dtype=bool)
        chosen[self._free] = order < counts
        return chosen

    def _scale(self, population: Population) -> Values:
        scaled: Values = (population - self._lower) / self._span
        return scaled


def _map_parts(work: Callable[[NDArray[Any]], Values], parts: Sequence[NDArray[Any]]) -> Values:
    """Apply `work` to the parts in threads, and return the results in order. numpy releases the lock meanwhile."""
    with ThreadPoolExecutor(usable_cores()) as pool:
        return np.concatenate(list(pool.map(work, parts)))


def _solve(squares: Values, tail: Values, top1: Values, chosen: NDArray[np.bool_]) -> Values:
    """Return the weights of some members, `members x (rows + 1 + L)`, from one batch of linear systems.

    Of rows that are equal in a member's genes, the first gets their mean and the others get no weight.

    Args:
        squares: `L x rows^2` squared differences of the rows in each gene.
        tail: `rows x (1 + L)` values of the linear tail.
        top1: Values of the rows.
        chosen: `L x members`, the genes of each member.
    """
    count, members = len(tail), chosen.shape[1]
    distances = (chosen.T.astype(float) @ squares).reshape(members, count, count)
    same = distances == 0.0
    alone = same.argmax(axis=2) == np.arange(count)
    size = count + tail.shape[1]
    system = np.zeros((members, size, size))
    system[:, :count, :count] = distances * np.sqrt(distances)
    system[:, :count, :count] *= alone[:, :, None] & alone[:, None]
    own_tail = tail * np.insert(chosen, 0, True, axis=0).T[:, None] * alone[:, :, None]
    system[:, :count, count:], system[:, count:, :count] = own_tail, own_tail.transpose(0, 2, 1)
    system[:, range(size), range(size)] = np.concatenate([~alone, np.full((members, tail.shape[1]), -_RIDGE)], axis=1)
    means = (same @ top1) / same.sum(axis=2)
    values = np.concatenate([means * alone, np.zeros((members, tail.shape[1]))], axis=1)
    solution: Values = np.linalg.solve(system, values[..., None])[..., 0]
    return solution


def _count_distinct(population: Population, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of rows of `population` that differ in each choice of genes, by a hash of the rows."""
    factors = np.random.default_rng(0).integers(1, 2**62, size=len(chosen))
    codes = np.sort(population @ (factors[:, None] * chosen), axis=0)
    distinct: NDArray[np.int64] = 1 + np.count_nonzero(np.diff(codes, axis=0), axis=0)
    return distinct


def _tail(rows: Values) -> Values:
    return np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
