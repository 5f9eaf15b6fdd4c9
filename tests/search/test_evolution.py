"""Evolution over canonical genotypes."""

import numpy as np
import pytest
from pymoo.indicators.hv import HV

from natdeploy.core.cost import madds_array
from natdeploy.core.genotype import drop_duplicates, repair, sample, sample_initial
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.search.evolution import evolve, reference_directions, select_survivors
from natdeploy.search.settings import EvolutionSettings
from natdeploy.testing.accuracy import made_up_accuracy
from tests.support.strategies import SMALL, TINY

NAT = find_space("nat")
MADDS = madds_array(NAT, 10)


def objectives(rows):
    """Return error and giga multiply-adds."""
    return np.column_stack([-made_up_accuracy(rows), MADDS(rows) / 1e9])


def start(count=10):
    """Return the first rows of a population."""
    return sample_initial(NAT, count, np.random.default_rng(0))


@pytest.fixture(scope="module")
def evolved():
    """Return what evolution makes of them."""
    return evolve(NAT, objectives, start(), EvolutionSettings(population=20, generations=15), seed=1)


def test_rows_are_canonical_and_distinct(evolved):
    """The last population has no more rows than asked for, each canonical and none twice."""
    assert 10 <= len(evolved) <= 20
    assert evolved.dtype == np.int64
    assert np.array_equal(repair(NAT, evolved), evolved)
    assert len(drop_duplicates(evolved)) == len(evolved)


def test_objectives_are_asked_for_canonical_rows_alone():
    """Nothing that repair would change is ever evaluated."""
    asked = []

    def spy(rows):
        asked.append(rows.copy())
        return objectives(rows)

    evolve(NAT, spy, start(), EvolutionSettings(population=20, generations=4), seed=0)
    rows = np.concatenate(asked)
    assert len(asked) >= 4
    assert np.array_equal(repair(NAT, rows), rows)


def test_the_seed_decides(evolved):
    """The same seed gives the same rows in the same order, another seed others."""
    again, other = (
        evolve(NAT, objectives, start(), EvolutionSettings(population=20, generations=15), seed=seed) for seed in (1, 2)
    )
    assert np.array_equal(again, evolved)
    assert not np.array_equal(other, evolved)


def test_evolution_beats_random_sampling(evolved):
    """The last population dominates more than as many random architectures as were evaluated, its start included."""
    random = np.concatenate([start(), sample(NAT, 20 * 15, np.random.default_rng(3))])
    dominated = HV(ref_point=np.array([0.0, 1.2]))
    assert dominated(objectives(evolved)) > 1.03 * dominated(objectives(random))


def test_a_single_objective_is_minimized():
    """With one objective, the best of the last population beats what random sampling finds."""
    rows = evolve(
        NAT,
        lambda rows: -made_up_accuracy(rows)[:, None],
        start(),
        EvolutionSettings(population=16, generations=12),
        seed=0,
    )
    assert made_up_accuracy(rows).max() > made_up_accuracy(sample(NAT, 16 * 12, np.random.default_rng(0))).max()


@pytest.mark.parametrize("count", [2, 60])
def test_the_start_may_have_any_size(count):
    """Fewer rows than a population are filled up, more are cut."""
    rows = evolve(
        SMALL,
        small_objectives,
        sample_initial(SMALL, count, np.random.default_rng(0)),
        EvolutionSettings(population=20, generations=3),
        seed=0,
    )
    assert 2 <= len(rows) <= 20


def test_a_space_smaller_than_a_population_is_searched():
    """Where there are fewer architectures than a population has places, evolution ends nevertheless."""
    tiny = TINY.with_resolutions((32,))
    cost = madds_array(tiny, 10)
    rows = evolve(
        tiny,
        lambda rows: np.column_stack([cost(rows), -rows.sum(axis=1)]),
        sample_initial(tiny, 2, np.random.default_rng(0)),
        EvolutionSettings(population=200, generations=2),
        seed=0,
    )
    assert len(rows) <= tiny.size == 72


def small_objectives(rows):
    """Return two objectives of the small space."""
    return np.column_stack([-rows.sum(axis=1), rows[:, 2:].max(axis=1)])


def test_survivors_are_a_seeded_choice():
    """As many distinct rows as asked for are kept, in order, the same for the same seed."""
    values = np.random.default_rng(0).uniform(size=(50, 2))
    kept = select_survivors(values, 20, seed=3)
    assert len(kept) == len(set(kept.tolist())) == 20
    assert (np.diff(kept) > 0).all()
    assert np.array_equal(select_survivors(values, 20, seed=3), kept)


def test_few_rows_all_survive():
    """Where there are not more rows than places, all stay."""
    values = np.random.default_rng(0).uniform(size=(5, 2))
    assert select_survivors(values, 5, seed=0).tolist() == [0, 1, 2, 3, 4]
    assert select_survivors(values, 20, seed=0).tolist() == [0, 1, 2, 3, 4]


def test_the_front_survives():
    """Rows of the front stay before dominated ones."""
    angle = np.linspace(0, np.pi / 2, 15)
    front = 1 - np.column_stack([np.cos(angle), np.sin(angle)])
    values = np.concatenate([front + 0.5, front, front + 0.8])
    assert select_survivors(values, 20, seed=0).tolist()[:15] != list(range(15))
    assert set(range(15, 30)) <= set(select_survivors(values, 20, seed=0).tolist())


def test_reference_directions_lie_on_the_simplex():
    """There are as many as asked for, none negative, each summing to 1; a single objective has a single one."""
    directions = reference_directions(2, 20)
    assert directions.shape == (20, 2)
    assert (directions >= 0).all()
    np.testing.assert_allclose(directions.sum(axis=1), 1)
    assert reference_directions(1, 20).tolist() == [[1.0]]


@pytest.mark.parametrize("crossover", ["uniform", "two-point"])
@pytest.mark.parametrize("mutation", ["polynomial", "uniform"])
@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])
def test_every_algorithm_and_variation_beats_random_sampling(crossover, mutation, algorithm):
    """Whichever survival, crossover and mutation are combined, evolution is better than as much random sampling."""
    settings = EvolutionSettings(
        population=20, generations=12, algorithm=algorithm, crossover=crossover, mutation=mutation
    )
    rows = evolve(NAT, objectives, start(), settings, seed=1)
    random = np.concatenate([start(), sample(NAT, 20 * 12, np.random.default_rng(3))])
    dominated = HV(ref_point=np.array([0.0, 1.2]))
    assert np.array_equal(repair(NAT, rows), rows)
    assert dominated(objectives(rows)) > dominated(objectives(random))


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3"])
def test_no_architecture_is_evaluated_twice(algorithm):
    """Over all generations, no row is asked for a second time, not even one that did not survive."""
    asked = []

    def spy(rows):
        asked.append(rows.copy())
        return small_objectives(rows)

    evolve(SMALL, spy, start_small(), EvolutionSettings(population=20, generations=12, algorithm=algorithm), seed=0)
    rows = np.concatenate(asked)
    assert len(asked) == 12
    assert len(drop_duplicates(rows)) == len(rows) == 240


def start_small():
    """Return the first rows of a population of the small space."""
    return sample_initial(SMALL, 5, np.random.default_rng(0))


def test_the_scale_of_objectives_does_not_matter():
    """Objectives in other units, ever so small or large, lead to the same population."""
    plain = evolve(NAT, objectives, start(), EvolutionSettings(population=20, generations=6), seed=0)
    scaled = evolve(
        NAT,
        lambda rows: objectives(rows) * [2.0**-20, 2.0**20],
        start(),
        EvolutionSettings(population=20, generations=6),
        seed=0,
    )
    assert np.array_equal(plain, scaled)
    values = np.random.default_rng(0).uniform(size=(50, 2))
    assert np.array_equal(
        select_survivors(values, 20, seed=0), select_survivors(values * [2.0**-20, 2.0**20], 20, seed=0)
    )


@pytest.mark.parametrize("wrong", [{"algorithm": "nsga"}, {"crossover": "one-point"}, {"mutation": "normal"}])
def test_unknown_names_are_refused(wrong):
    """A name that is not known is refused with those that are."""
    with pytest.raises(InputError, match="known: "):
        EvolutionSettings(population=20, generations=12, **wrong)


def test_the_survival_can_hang_on_the_number_of_objectives():
    """`auto` is NSGA-II for two objectives and NSGA-III for three."""

    def third(rows):
        return np.column_stack([objectives(rows), rows[:, 0]])

    for values, same, other in ((objectives, "nsga2", "nsga3"), (third, "nsga3", "nsga2")):
        by_name = {
            name: evolve(NAT, values, start(), EvolutionSettings(population=12, generations=5, algorithm=name), seed=0)
            for name in ("auto", same, other)
        }
        assert np.array_equal(by_name["auto"], by_name[same])
        assert not np.array_equal(by_name["auto"], by_name[other])


def test_without_a_mutation_rate_one_gene_changes_on_average():
    """A rate of 0 stands for one gene of each child."""
    one, other = (
        evolve(NAT, objectives, start(), EvolutionSettings(population=12, generations=5, mutation_rate=rate), seed=0)
        for rate in (0.0, 1 / 22)
    )
    assert np.array_equal(one, other)
