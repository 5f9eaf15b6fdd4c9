"""The cost array, against the walk over layers and against brute force."""

import dataclasses
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.core.cost import (
    CostArray,
    compile_cost,
    madds_array,
    params_array,
    peak_memory_array,
    size_array,
    space_layers,
)
from natdeploy.core.genotype import decode, drop_duplicates, encode, repair, sample
from natdeploy.core.layers import walk
from natdeploy.io.encodings import from_encoding
from natdeploy.io.spaces import find_space
from tests.support.published import PUBLISHED
from tests.support.strategies import ALL_SPACES, SMALL, TINY

each_space = pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)


@pytest.mark.parametrize("subnet", PUBLISHED, ids=str)
def test_published_costs(subnet):
    """MAdds are within 3 % of the name's figure and at the computed one, params within 0.01 M of theirs."""
    row = encode(find_space("nat"), from_encoding(subnet.encoding))[None]
    madds_m = madds_array(find_space("nat"), subnet.classes)(row)[0] / 1e6
    params_m = params_array(find_space("nat"), subnet.classes)(row)[0] / 1e6
    assert madds_m == pytest.approx(subnet.named_madds_m, rel=0.03)
    assert madds_m == pytest.approx(subnet.madds_m, abs=0.1)
    assert params_m == pytest.approx(subnet.params_m, abs=0.01)


def test_params_of_the_first_published_net_are_exact():
    """NAT-M1 has the 6,067,408 parameters that a user counted in the released network."""
    row = encode(find_space("nat"), from_encoding(PUBLISHED[0].encoding))[None]
    assert params_array(find_space("nat"), 1000)(row).tolist() == [6067408]


@each_space
@pytest.mark.parametrize(
    ("compile_array", "layer_cost", "reduce"),
    [
        (madds_array, lambda layer: layer.madds, sum),
        (params_array, lambda layer: layer.params, sum),
        (peak_memory_array, lambda layer: layer.peak_memory_bytes, max),
    ],
    ids=["madds", "params", "peak memory"],
)
def test_array_equals_the_walk(space, compile_array, layer_cost, reduce):
    """For random architectures, the array gives exactly what the walk over the layers adds up to, or its largest."""
    rows = sample(space, 60, np.random.default_rng(5))
    expected = [reduce(layer_cost(layer) for layer in walk(space, decode(space, row), 17)) for row in rows]
    assert compile_array(space, 17)(rows).tolist() == expected


@given(st.integers(0, 2**32 - 1))
def test_array_equals_the_walk_for_any_cost(seed):
    """Also a cost that differs between all layers comes out the same, for any canonical population."""
    rng = np.random.default_rng(seed)

    def cost(layer):
        return (zlib.crc32(repr(layer).encode()) % 1009) / 7

    rows = repair(SMALL, rng.integers(-1, 20, size=(5, SMALL.genotype_length)))
    expected = [sum(cost(layer) for layer in walk(SMALL, decode(SMALL, row), 10)) for row in rows]
    np.testing.assert_allclose(compile_cost(SMALL, 10, cost)(rows), expected, rtol=1e-12)


def test_each_layer_is_priced_once():
    """The cost of a layer is asked for once, however often it occurs, and for no layer that the space has not."""
    asked = []
    compile_cost(SMALL, 10, lambda layer: asked.append(layer) or 1.0)
    own = {layer for r in SMALL.resolutions for width in SMALL.widths for layer in space_layers(SMALL, width, r, [10])}
    assert len(asked) == len(set(asked))
    assert set(asked) == own


def test_large_populations_are_costed_in_parts():
    """A population larger than one part gets each row's own cost, and an empty one none."""
    array = madds_array(find_space("nat"), 10)
    rows = sample(find_space("nat"), 9000, np.random.default_rng(0))
    whole = array(rows)
    assert whole.shape == (9000,)
    assert np.array_equal(whole[::-1], array(rows[::-1]))
    assert np.array_equal(whole[4090:4100], array(rows[4090:4100]))
    assert array(rows[:0]).shape == (0,)


def test_skipped_layers_cost_nothing():
    """Gene 0 is free in every slot, and only there."""
    array = madds_array(find_space("nat"), 10)
    assert not array.blocks[..., 0].any()
    assert (array.blocks[..., 1:] > 0).all()


def test_classes_change_the_classifier_alone():
    """Each class more costs one row of the classifier."""
    rows = sample(find_space("ofa-mbv3-w1.2"), 5, np.random.default_rng(0))
    few, many = (madds_array(find_space("ofa-mbv3-w1.2"), classes)(rows) for classes in (10, 110))
    assert (many - few).tolist() == [100 * 1536] * 5
    few, many = (params_array(find_space("ofa-mbv3-w1.2"), classes)(rows) for classes in (10, 110))
    assert (many - few).tolist() == [100 * 1537] * 5


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_cheapest_equals_brute_force(seed, negative):
    """The cheapest architecture of a tiny space is the one that trying all of them finds, whatever the prices."""
    rng = np.random.default_rng(seed)
    shape = (2, 2, TINY.slots, TINY.max_gene + 1)
    blocks = rng.uniform(-1.0 if negative else 0.1, 1.0, size=shape)
    blocks[..., 0] = 0.0
    array = CostArray(blocks=blocks, fixed=rng.uniform(0.1, 1.0, size=(2, 2)))
    everything = every_row(TINY)
    genotype, cost = array.cheapest(TINY)
    assert cost == pytest.approx(array(everything).min(), rel=1e-12)
    assert array(genotype[None])[0] == pytest.approx(cost, rel=1e-12)
    assert np.array_equal(repair(TINY, genotype[None])[0], genotype)


def test_cheapest_breaks_ties_towards_lower_genes():
    """Where everything costs the same, the smallest architecture is named."""
    blocks = np.ones((1, 2, 20, 10))
    blocks[..., 0] = 0.0
    nat = dataclasses.replace(find_space("ofa-mbv3-w1.0"), resolutions=(32, 64))
    genotype, cost = CostArray(blocks=blocks, fixed=np.zeros((1, 2))).cheapest(nat)
    assert genotype.tolist() == [0, 0] + [1, 1, 0, 0] * 5
    assert cost == 10.0


def every_row(space):
    """Return all canonical rows of a tiny space."""
    grid = np.stack(np.meshgrid(*[np.arange(space.max_gene + 1)] * space.slots, indexing="ij"), axis=-1)
    genes = grid.reshape(-1, space.slots)
    rows = [
        np.concatenate([np.broadcast_to([r, w], (len(genes), 2)), genes], axis=1)
        for r in range(len(space.resolutions))
        for w in range(len(space.widths))
    ]
    found = drop_duplicates(repair(space, np.concatenate(rows)))
    assert len(found) == space.size
    return found


def test_size_is_four_bytes_a_parameter():
    """The fp32 weights of any architecture take four bytes a parameter."""
    rows = sample(SMALL, 20, np.random.default_rng(0))
    np.testing.assert_allclose(size_array(SMALL, 10)(rows), 4 * params_array(SMALL, 10)(rows))
