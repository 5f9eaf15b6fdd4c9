"""Optimization of a surrogate: search without training."""

import numpy as np
import pytest

from natdeploy.core.architecture import largest
from natdeploy.core.cost import madds_array, params_array
from natdeploy.core.genotype import drop_duplicates, encode, repair, sample
from natdeploy.io.spaces import find_space
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.search.settings import EvolutionSettings
from natdeploy.search.surrogate import Surrogate, SurrogateSettings, optimize_surrogate
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.tables import made_up_table

SPACE = find_space("ofa-mbv3-w1.2").with_resolutions((192, 224))
MADDS = madds_array(SPACE, 1000)
EVOLUTION = EvolutionSettings(population=30, generations=10)
SETTINGS = SurrogateSettings(evolution=EVOLUTION, starts=1, predictions=6000, proposals=30)
TABLE = made_up_table(SPACE)
LATENCY = TABLE.compile(SPACE, 1000)
LIMITS_MS = (25.0, 40.0)
SURROGATE = Surrogate(top1=made_up_accuracy)


def optimize(*, surrogate=SURROGATE, seed=0, **goal):
    """Search a problem."""
    problem = SearchProblem(space=SPACE, classes=1000, goal=SearchGoal(**goal), tables={"host": TABLE})
    return optimize_surrogate(problem, surrogate, SETTINGS, seed=seed)


def searched(*, seed=0, limits_ms=LIMITS_MS):
    """Search within two limits of latency."""
    limits = tuple({"host": ms} for ms in limits_ms)
    return optimize(seed=seed, objectives=("latency:host",), latency_limits_ms=limits)


@pytest.fixture(scope="module")
def found():
    """What a search finds."""
    return searched()


def test_rows_are_distinct_with_their_accuracy(found):
    """What is found is canonical and distinct, and each row has its own accuracy."""
    rows, values = found
    assert len(drop_duplicates(rows)) == len(rows)
    assert np.array_equal(repair(SPACE, rows), rows)
    np.testing.assert_allclose(values, made_up_accuracy(rows))


def test_every_limit_is_searched_near(found):
    """Within each limit the best is above what far more random rows hold, and uses most of what it may."""
    rows, values = found
    random = sample(SPACE, 20_000, np.random.default_rng(0))
    for limit in LIMITS_MS:
        within = LATENCY(rows) <= limit
        best = rows[within][np.argmax(values[within])]
        assert made_up_accuracy(best[None])[0] > made_up_accuracy(random[LATENCY(random) <= limit]).max()
        assert LATENCY(best[None])[0] > 0.93 * limit


def test_the_seed_decides(found):
    """The same seed finds the same in the same order, another one something else."""
    assert np.array_equal(searched()[0], found[0])
    assert not np.array_equal(searched(seed=1)[0], found[0])


def test_without_a_limit_the_most_accurate_is_looked_for():
    """Without a limit, the search finds something about as accurate as anything of the space."""
    assert searched(limits_ms=())[1].max() > 0.99 * made_up_accuracy(encode(SPACE, largest(SPACE))[None])[0]


def test_limits_of_several_costs_hold_together():
    """A limit on two costs is searched near both."""
    costs = {"madds": MADDS, "params": params_array(SPACE, 1000)}
    both = {"madds": 4e8, "params": 6e6}
    rows, _ = optimize(objectives=("madds", "params"), limits=both)
    within = (costs["madds"](rows) <= both["madds"]) & (costs["params"](rows) <= both["params"])
    best = rows[within][np.argmax(made_up_accuracy(rows[within]))]
    assert max(costs[name](best[None])[0] / limit for name, limit in both.items()) > 0.95


def test_several_accuracies_are_objectives_each():
    """Each accuracy is an objective of its own, their mean is what is raised near a limit, and few rows are kept."""

    def each(rows):
        return np.column_stack(
            [made_up_accuracy(rows), 0.9 - 0.05 * rows[:, 2:].mean(axis=1), made_up_accuracy(rows[:, ::-1])]
        )

    def mean(rows):
        return each(rows).mean(axis=1)

    surrogate = Surrogate(top1=mean, by_task=each)
    rows, values = optimize(surrogate=surrogate, objectives=("madds",), limits={"madds": 3e8})
    np.testing.assert_allclose(values, mean(rows))
    assert len(rows) <= EVOLUTION.population + 10
    for column in each(rows).T:
        assert len(np.unique(column)) > 3
    within = MADDS(rows) <= 3e8
    random = sample(SPACE, 5000, np.random.default_rng(0))
    assert values[within].max() > mean(random[MADDS(random) <= 3e8]).max()
