"""The NAT search as ask and tell."""

import dataclasses

import numpy as np
import pytest

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.cost import madds_array
from natdeploy.core.genotype import decode, drop_duplicates, remove_known, repair, sample
from natdeploy.core.pareto import non_dominated
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.search.nat import NatSearch
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.search.settings import EvolutionSettings, SearchSettings
from natdeploy.testing.accuracy import made_up_accuracy
from natdeploy.testing.tables import made_up_table
from tests.support.strategies import TINY

NAT = find_space("nat")
MADDS = madds_array(NAT, 10)
TABLE = made_up_table(NAT)
EVOLUTION = EvolutionSettings(population=20, generations=6)
SETTINGS = SearchSettings(
    initial=30, iterations=3, candidates=8, ensemble_size=15, evolution=EVOLUTION, adaptation_parents=20
)


def pose(*, objectives=("madds", "params"), limits=None, latency_limits_ms=()):
    """Return a problem over the whole space."""
    limited = tuple({"host": ms} for ms in latency_limits_ms)
    goal = SearchGoal(objectives=objectives, limits=limits or {}, latency_limits_ms=limited)
    return SearchProblem(space=NAT, classes=10, goal=goal, tables={"host": TABLE} if limited else {})


def make(*, seed=0, settings=SETTINGS, **goal):
    """Return a search."""
    return NatSearch(pose(**goal), settings, seed=seed)


def started(**arguments):
    """Return a search whose first archive has been evaluated."""
    search = make(**arguments)
    first = search.ask_first()
    search.tell(first, made_up_accuracy(first))
    return search


def drive(search):
    """Drive a search to its end, told values that drift with each adaptation; return its archive."""
    for iteration in range(1, SETTINGS.iterations + 1):
        candidates, _ = search.ask(iteration)
        search.tell(candidates, made_up_accuracy(candidates))
        search.tell(search.archive, made_up_accuracy(search.archive) + 0.01 * iteration)
    return search.archive, search.top1


@pytest.fixture(scope="module")
def driven():
    """A search that has ended."""
    search = started()
    drive(search)
    return search


def test_the_first_archive():
    """The first archive is as large as asked for, and holds the smallest and the largest architecture."""
    first = make().ask_first()
    assert len(drop_duplicates(first)) == 30
    assert decode(NAT, first[0]) == smallest(NAT)
    assert decode(NAT, first[1]) == largest(NAT)
    assert np.array_equal(make().ask_first(), first)
    assert not np.array_equal(make(seed=1).ask_first(), first)


def test_candidates_are_new():
    """What is proposed is canonical, distinct, not in the archive, and as much as asked for."""
    search = started()
    for iteration in (1, 2):
        candidates, predicted = search.ask(iteration)
        assert len(candidates) == len(predicted) == 8
        assert np.array_equal(repair(NAT, candidates), candidates)
        assert len(remove_known(candidates, search.archive)) == 8
        search.tell(candidates, made_up_accuracy(candidates))
    assert len(drop_duplicates(search.archive)) == len(search.archive) == 30 + 16


def test_predictions_are_top1():
    """What is predicted of candidates is an accuracy, near the one that they have."""
    candidates, predicted = started().ask(1)
    assert np.abs(predicted - made_up_accuracy(candidates)).max() < 0.15
    assert (predicted > 0).all()


def test_telling_again_overwrites():
    """An architecture that is told again keeps its place and gets the new value; others are added behind."""
    search = make()
    rows = sample(NAT, 4, np.random.default_rng(0))
    search.tell(rows[:3], np.array([0.1, 0.2, 0.3]))
    search.tell(rows[[1, 3]], np.array([0.9, 0.4]))
    assert np.array_equal(search.archive, rows)
    assert search.top1.tolist() == [0.1, 0.9, 0.3, 0.4]
    search.tell(search.archive, np.array([1.0, 2.0, 3.0, 4.0]))
    assert len(search.archive) == 4
    assert search.top1.tolist() == [1.0, 2.0, 3.0, 4.0]


def test_telling_repeated_rows_keeps_the_last_value():
    """A row that occurs twice in one telling is one row with the later value."""
    search = make()
    row = sample(NAT, 1, np.random.default_rng(0))
    search.tell(np.repeat(row, 2, axis=0), np.array([0.1, 0.2]))
    assert (len(search.archive), search.top1.tolist()) == (1, [0.2])


def test_telling_takes_one_value_a_row():
    """Values that are too few are refused."""
    with pytest.raises(ValueError, match="shorter"):
        make().tell(sample(NAT, 3, np.random.default_rng(0)), np.zeros(2))


def test_half_of_the_candidates_respect_the_limits():
    """At least half of the candidates meet every limit, and the better of them by prediction come first."""
    reachable = np.quantile(MADDS(started().archive), 0.5)
    search = started(limits={"madds": float(reachable)})
    candidates, predicted = search.ask(1)
    within = MADDS(candidates) <= reachable
    assert within[:4].all()
    assert (np.diff(predicted[:4]) <= 0).all()
    without_limit, _ = started().ask(1)
    assert (MADDS(without_limit[:4]) > reachable).any()


def test_limits_that_nothing_meets_leave_the_spread():
    """Where no candidate meets the limits, there are as many candidates nevertheless."""
    assert len(started(limits={"madds": 1.0}).ask(1)[0]) == 8


def test_the_same_seed_ends_the_same(driven):
    """Two searches with one seed and the same values ask for the same, another seed for something else."""
    again, other = started(), started(seed=1)
    assert np.array_equal(drive(again)[0], driven.archive)
    assert np.array_equal(again.top1, driven.top1)
    assert not np.array_equal(drive(other)[0], driven.archive)


def test_a_proposal_hangs_on_the_archive_alone(driven):
    """A search that is told an archive at once proposes what one proposes that grew to it."""
    rebuilt = make()
    rebuilt.tell(driven.archive, driven.top1)
    (first, _), (second, _) = rebuilt.ask(4), driven.ask(4)
    assert np.array_equal(first, second)


def test_searching_improves_the_front(driven):
    """The candidates of the search push the front further than as many random architectures do."""
    first = driven.archive[:30]
    random = np.concatenate([first, sample(NAT, len(driven.archive) - 30, np.random.default_rng(5))])

    def share(rows):
        both = np.concatenate([rows, first])
        values = np.column_stack([-made_up_accuracy(both), MADDS(both)])
        return non_dominated(values)[30 : len(rows)].sum()

    assert share(driven.archive) > share(random)


def test_marginals_come_from_the_archive(driven):
    """The supernet is adapted to as many architectures as asked for, all of the archive, the same on every call."""
    population = driven.adaptation_parents()
    assert len(population) == 20
    assert len(remove_known(population, driven.archive)) == 0
    assert np.array_equal(driven.adaptation_parents(), population)


def test_a_small_archive_is_adapted_to_as_a_whole():
    """Where the archive is not larger than the part that is asked for, all of it counts."""
    search = started(settings=dataclasses.replace(SETTINGS, adaptation_parents=30))
    assert np.array_equal(search.adaptation_parents(), search.archive)


def test_a_space_can_be_searched_to_its_end():
    """When every architecture is known there is nothing left to propose."""
    tiny = TINY.with_resolutions((32,))
    settings = dataclasses.replace(SETTINGS, initial=500)
    problem = SearchProblem(space=tiny, classes=10, goal=SearchGoal(objectives=("madds",)))
    search = NatSearch(problem, settings, seed=0)
    first = search.ask_first()
    assert len(first) == tiny.size
    search.tell(first, first.sum(axis=1) / 30)
    candidates, predicted = search.ask(1)
    assert (len(candidates), len(predicted)) == (0, 0)


def test_every_limit_gets_its_share():
    """Of several limits, each gets candidates within it in turn, the best first, and nothing is proposed twice."""
    latency = TABLE.compile(NAT, 10)
    low, high = np.quantile(latency(started().archive), [0.3, 0.7])
    candidates, predicted = started(latency_limits_ms=(low, high)).ask(1)
    taken_ms = latency(candidates)
    assert (taken_ms[[0, 2]] <= low).all()
    assert (taken_ms[[1, 3]] <= high).all()
    assert (taken_ms[[1, 3]] > low).any()
    assert predicted[1] >= predicted[0]
    assert len(drop_duplicates(candidates)) == 8


@pytest.mark.parametrize("predictor", ["rbf", "ridge", "trees", "gp", "knn", "auto"])
def test_any_predictor_and_evolution_can_be_chosen(predictor):
    """A search asks for as many new architectures with every predictor, and with another evolution."""
    evolution = dataclasses.replace(EVOLUTION, algorithm="nsga2", crossover="two-point", mutation="uniform")
    search = started(settings=dataclasses.replace(SETTINGS, predictor=predictor, evolution=evolution))
    assert len(remove_known(search.ask(1)[0], search.archive)) == 8


def test_an_unknown_predictor_is_refused():
    """A search cannot be set up with a predictor that is not known."""
    with pytest.raises(InputError, match="unknown predictor 'rgb'"):
        dataclasses.replace(SETTINGS, predictor="rgb")


def test_the_hypervolume_grows(driven):
    """The archive's hypervolume, against the reference point of the first one, grows with what is found."""
    begun = started()
    first = begun.hypervolume()
    assert 0 < first < 1
    rest = driven.archive[30:]
    begun.tell(rest, made_up_accuracy(rest))
    assert begun.hypervolume() > first
    assert begun.reference_point() == started().reference_point()
    assert set(begun.reference_point()) == {"error", "madds", "params"}
    assert begun.reference_point()["error"] >= 1 - made_up_accuracy(begun.archive[:30]).min()


def test_an_archive_can_be_capped():
    """Of more architectures than are to be kept, so many survive, with their values; the most accurate is one."""
    search = started(settings=dataclasses.replace(SETTINGS, archive=32))
    candidates, _ = search.ask(1)
    best = max(made_up_accuracy(candidates).max(), search.top1.max())
    search.tell(candidates, made_up_accuracy(candidates))
    assert len(drop_duplicates(search.archive)) == len(search.archive) == 32
    np.testing.assert_allclose(search.top1, made_up_accuracy(search.archive))
    assert search.top1.max() == best


def test_the_predictor_can_be_fitted_to_a_part(monkeypatch):
    """It is fitted to as many architectures as asked for, with their own values."""
    seen = []

    class Spy:
        def fit(self, population, top1):
            seen.append((population, top1))

        def predict(self, population):
            return made_up_accuracy(population)

    monkeypatch.setattr("natdeploy.search.nat.make_predictor", lambda *_, **__: Spy())
    started(settings=dataclasses.replace(SETTINGS, predictor_train_size=12)).ask(1)
    ((population, top1),) = seen
    assert len(drop_duplicates(population)) == 12
    np.testing.assert_allclose(top1, made_up_accuracy(population))


def test_the_evolution_can_begin_anywhere():
    """Begun at a latin hypercube instead of the archive, a search proposes other architectures, as many and as new."""
    search = started(settings=dataclasses.replace(SETTINGS, start="latin"))
    candidates, _ = search.ask(1)
    assert len(remove_known(candidates, search.archive)) == 8
    assert not np.array_equal(candidates, started().ask(1)[0])


def test_local_searches_can_be_left_out(monkeypatch):
    """Without local searches, nothing is searched near a limit after the evolution."""

    class Refusing:
        def __init__(self, **_):
            raise AssertionError

    monkeypatch.setattr("natdeploy.search.nat.LocalSearch", Refusing)
    limits = {"madds": 3e8}
    assert len(started(limits=limits, settings=dataclasses.replace(SETTINGS, local_searches=0)).ask(1)[0]) == 8
    with pytest.raises(AssertionError):
        started(limits=limits).ask(1)


def test_what_cannot_be_evaluated_is_never_proposed_again(driven):
    """Dropped architectures leave the archive, with their values, and are among no later candidates."""
    search = make()
    search.tell(driven.archive, driven.top1)
    wanted, _ = search.ask(4)
    search.exclude(np.concatenate([wanted[:3], driven.archive[5:7]]))
    assert len(search.archive) == len(search.top1) == len(driven.archive) - 2
    assert len(remove_known(search.archive, driven.archive[5:7])) == len(search.archive)
    candidates, _ = search.ask(4)
    assert len(remove_known(candidates, wanted[:3])) == len(candidates) == 8
    assert len(remove_known(candidates, driven.archive)) == 8


def test_top1_can_be_the_only_objective():
    """Without a cost the most accurate architectures are looked for, and the hypervolume is a share of top-1."""
    search = started(objectives=("top1",))
    before = search.top1.max()
    for iteration in (1, 2):
        candidates, _ = search.ask(iteration)
        assert len(remove_known(candidates, search.archive)) == 8
        search.tell(candidates, made_up_accuracy(candidates))
    assert search.top1.max() >= before
    assert list(search.reference_point()) == ["error"]
    assert search.hypervolume() > 0.9
    assert len(search.adaptation_parents()) == 20


def test_the_best_within_each_limit_is_told():
    """For each limit it is the most accurate of the archive that keeps it, and nothing where none does."""
    latency, first = TABLE.compile(NAT, 10), make().ask_first()
    limit_ms = float(np.median(latency(first)))
    kept = made_up_accuracy(first)[latency(first) <= limit_ms]
    assert started(latency_limits_ms=(limit_ms, 1e-3)).best_within() == [kept.max(), None]
    assert started().best_within() == []
