"""Crossover and mutation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.core.genotype import bounds, repair, sample
from natdeploy.io.spaces import find_space
from natdeploy.search.variation import CROSSOVER_OF, MUTATION_OF, latin_hypercube, two_point_crossover
from tests.support.strategies import ALL_SPACES, SMALL

NAT = find_space("nat")
seeds = st.integers(0, 2**32 - 1)


@given(st.sampled_from(sorted(CROSSOVER_OF)), seeds)
def test_children_have_every_gene_from_a_parent(name, seed):
    """At each place, a child has the gene of one parent or of the other, and each parent gives some."""
    rng = np.random.default_rng(seed)
    one, other = np.zeros((50, 22), dtype=np.int64), np.ones((50, 22), dtype=np.int64)
    children = CROSSOVER_OF[name](one, other, rng)
    assert set(np.unique(children)) == {0, 1}
    assert 0.2 < children.mean() < 0.8


def test_two_point_crossover_takes_one_run_of_genes():
    """What comes from the other parent is one run, beginning and ending anywhere, the ends included."""
    one, other = np.zeros((2000, 22), dtype=np.int64), np.ones((2000, 22), dtype=np.int64)
    children = two_point_crossover(one, other, np.random.default_rng(0))
    assert (np.abs(np.diff(np.pad(children, ((0, 0), (1, 1))), axis=1)).sum(axis=1) <= 2).all()
    assert children[:, 0].any()
    assert children[:, -1].any()


@pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
@given(st.sampled_from(sorted(MUTATION_OF)), st.sampled_from([0.0, 0.1, 1.0]), seeds)
def test_mutants_are_canonical(space, name, rate, seed):
    """Whatever is mutated, the result is canonical and within bounds; at rate 0 nothing changes."""
    rng = np.random.default_rng(seed)
    rows = sample(space, 20, rng)
    mutated = MUTATION_OF[name](space, rows, rate, rng)
    assert mutated.dtype == np.int64
    assert np.array_equal(repair(space, mutated), mutated)
    lower, upper = bounds(space)
    assert ((mutated >= lower) & (mutated <= upper)).all()
    if rate == 0.0:
        assert np.array_equal(mutated, rows)


@pytest.mark.parametrize("name", sorted(MUTATION_OF))
def test_the_rate_is_the_share_of_genes_that_may_change(name):
    """About as many genes as the rate says are changed, and every value of a gene can come out."""
    rows = np.tile(np.array([8, 0, *[5] * 20]), (4000, 1))
    mutated = MUTATION_OF[name](NAT, rows, 0.1, np.random.default_rng(0))
    changed = (mutated[:, 2:4] != 5).mean()
    assert 0.06 < changed < 0.11
    assert set(np.unique(mutated[:, 2])) == set(range(1, 10))


def test_polynomial_mutation_prefers_small_steps():
    """Steps of one are more frequent than steps of four."""
    rows = np.tile(np.array([8, 0, *[5] * 20]), (4000, 1))
    steps = np.abs(MUTATION_OF["polynomial"](NAT, rows, 1.0, np.random.default_rng(0))[:, 2] - 5)
    assert (steps == 1).sum() > 1.5 * (steps == 4).sum()


@pytest.mark.parametrize("space", [find_space("nat"), SMALL], ids=lambda space: space.name)
def test_a_latin_hypercube_covers_every_gene(space):
    """Its rows are canonical, and each forced gene takes all of its values about equally often."""
    rows = latin_hypercube(space, 100, np.random.default_rng(0))
    assert rows.shape == (100, space.genotype_length)
    assert np.array_equal(repair(space, rows), rows)
    counts = np.bincount(rows[:, 0])
    assert len(counts) == len(space.resolutions)
    assert np.ptp(counts) <= 2
    assert not np.array_equal(latin_hypercube(space, 100, np.random.default_rng(1)), rows)
