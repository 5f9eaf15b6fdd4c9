"""Local search near a limit."""

import numpy as np
import pytest

from natdeploy.core.cost import madds_array, params_array
from natdeploy.core.genotype import drop_duplicates, repair, sample, sample_initial
from natdeploy.io.spaces import find_space
from natdeploy.search.local_search import LocalSearch
from natdeploy.testing.accuracy import made_up_accuracy
from tests.support.strategies import SMALL, TINY

NAT = find_space("nat").with_resolutions((192, 224, 256))
COSTS = {"madds": madds_array(NAT, 10), "params": params_array(NAT, 10)}


def searcher(limits, *, space=NAT, costs=COSTS, top1=made_up_accuracy, **effort):
    """Return a local search."""
    return LocalSearch(space=space, top1=top1, costs=costs, limits=limits, **effort)


@pytest.fixture(scope="module")
def population():
    """Architectures of all sizes."""
    return sample_initial(NAT, 200, np.random.default_rng(0))


@pytest.fixture(scope="module")
def limits(population):
    """Limits that leave a quarter and a half of them."""
    return {"madds": np.quantile(COSTS["madds"](population), 0.25), "params": np.median(COSTS["params"](population))}


@pytest.fixture(scope="module")
def improved(population, limits):
    """The starts and the results of a search within the limits from the best of them."""
    own = searcher(limits)
    starts = own.select_starts(population, made_up_accuracy(population), 2)
    return starts, own.improve(starts, np.random.default_rng(2))


def test_starts_are_the_best_of_each_size(population, limits):
    """Of each resolution and width, the most accurate rows within the limits are taken, as many as asked for."""
    own = searcher(limits)
    starts = own.select_starts(population, made_up_accuracy(population), 2)
    assert own.keeps_limits(starts).all()
    kept = population[own.keeps_limits(population)]
    for kind in np.unique(starts[:, :2], axis=0):
        same = kept[(kept[:, :2] == kind).all(axis=1)]
        best = np.sort(made_up_accuracy(same))[-2:]
        np.testing.assert_allclose(np.sort(made_up_accuracy(starts[(starts[:, :2] == kind).all(axis=1)])), best)


def test_a_search_stays_within_the_limits(improved, limits):
    """The results are canonical and distinct, keep every limit, and come with their accuracies."""
    rows, values = improved[1]
    assert searcher(limits).keeps_limits(rows).all()
    assert np.array_equal(repair(NAT, rows), rows)
    assert len(drop_duplicates(rows)) == len(rows)
    np.testing.assert_allclose(values, made_up_accuracy(rows))


def test_a_search_finds_more_than_random_search(improved, limits):
    """The best is above all starts, and above the best of many random rows within the limits."""
    starts, (_, values) = improved
    random = sample(NAT, 20_000, np.random.default_rng(1))
    random = random[searcher(limits).keeps_limits(random)]
    assert values.max() > made_up_accuracy(starts).max() + 0.005
    assert values.max() > made_up_accuracy(random).max() + 0.005


def test_no_change_of_a_slot_betters_the_best(improved, limits):
    """Of the best row, no slot's gene can be set to another value within the limits and gain."""
    rows, values = improved[1]
    best = rows[np.argmax(values)]
    changed = np.repeat(best[None], 20 * 10, axis=0)
    changed[np.arange(len(changed)), 2 + np.repeat(np.arange(20), 10)] = np.tile(np.arange(10), 20)
    changed = repair(NAT, changed)
    changed = changed[searcher(limits).keeps_limits(changed)]
    assert made_up_accuracy(changed).max() <= values.max() + 1e-6


def test_gains_replace_predictions_of_single_changes(improved, limits):
    """With gains, a search gets nearly as far with a fraction of the predictions."""

    def gains(rows):
        weights = np.linspace(1.0, 0.3, 20)
        by_slot = np.sqrt(np.arange(10)) * weights[:, None] / (6 * weights.sum())
        return np.tile(by_slot, (len(rows), 1, 1))

    asked = []

    def counted(rows):
        asked.append(len(rows))
        return made_up_accuracy(rows)

    starts, (_, values) = improved
    told = searcher(limits, top1=counted, gains=gains)
    _, found = told.improve(starts, np.random.default_rng(2))
    with_gains = sum(asked)
    asked.clear()
    searcher(limits, top1=counted).improve(starts, np.random.default_rng(2))
    assert found.max() > made_up_accuracy(starts).max() + 0.8 * (values.max() - made_up_accuracy(starts).max())
    assert with_gains < 0.5 * sum(asked)


def test_a_search_from_beyond_the_limit_ends_within_it():
    """A row that costs a little too much is brought within the limit; one that cannot be is left out."""
    rows = sample(NAT, 50, np.random.default_rng(3))
    rows = rows[np.argsort(COSTS["madds"](rows))]
    limit = float(COSTS["madds"](rows)[25])
    found, _ = searcher({"madds": limit}).improve(rows[26:29], np.random.default_rng(0))
    assert len(found) == 3
    assert (COSTS["madds"](found) <= limit).all()
    least = COSTS["madds"].cheapest(NAT)[1]
    assert len(searcher({"madds": 0.9 * least}).improve(rows[:3], np.random.default_rng(0))[0]) == 0


def test_a_space_of_few_architectures_is_searched_to_its_best():
    """In a space small enough to enumerate, a search finds the best architecture within the limit."""
    cost = madds_array(TINY, 10)
    rows = drop_duplicates(sample(TINY, 3000, np.random.default_rng(0)))
    assert len(rows) == TINY.size

    def top1(rows):
        return rows @ np.linspace(1.0, 0.2, rows.shape[1])

    limit = float(np.quantile(cost(rows), 0.6))
    own = searcher({"madds": limit}, space=TINY, costs={"madds": cost}, top1=top1)
    _, values = own.improve(own.select_starts(rows, top1(rows), 1000), np.random.default_rng(0))
    assert values.max() == pytest.approx(top1(rows[cost(rows) <= limit]).max())


def test_the_cheapest_is_the_start_where_nothing_else_is_within(population):
    """Where no row keeps the limit, the search starts at the cheapest architecture of the space, if that keeps it."""
    least = COSTS["madds"].cheapest(NAT)[1]
    large = population[COSTS["madds"](population) > 1.2 * least]
    own = searcher({"madds": 1.1 * least})
    starts = own.select_starts(large, made_up_accuracy(large), 2)
    assert COSTS["madds"](starts).tolist() == [least]
    assert len(searcher({"madds": 0.9 * least}).select_starts(large, made_up_accuracy(large), 2)) == 0
    rows, values = searcher({"madds": 0.9 * least}).improve(large[:0], np.random.default_rng(0))
    assert (len(rows), len(values)) == (0, 0)


def test_without_limits_everything_is_within(population):
    """Without a limit the search starts at the most accurate row and ends at the most accurate architecture."""
    own = searcher({})
    best = made_up_accuracy(own.select_starts(population, made_up_accuracy(population), 1)).max()
    assert best == made_up_accuracy(population).max()
    _, values = own.improve(own.select_starts(population, made_up_accuracy(population), 1), np.random.default_rng(0))
    assert values.max() >= made_up_accuracy(sample_initial(NAT, 2, np.random.default_rng(0))).max()


def test_depths_with_a_gap_stay_canonical():
    """In a space whose depths have a gap, searches end on canonical rows only."""
    cost = madds_array(SMALL, 10)
    rows = sample_initial(SMALL, 20, np.random.default_rng(0))
    own = searcher({"madds": float(np.median(cost(rows)))}, space=SMALL, costs={"madds": cost})
    ended, _ = own.improve(own.select_starts(rows, made_up_accuracy(rows), 3), np.random.default_rng(0))
    assert np.array_equal(repair(SMALL, ended), ended)
