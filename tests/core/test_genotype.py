"""Genotypes: the codec, its canonical form, and sampling."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.genotype import (
    bounds,
    decode,
    drop_duplicates,
    encode,
    remove_known,
    repair,
    sample,
    sample_initial,
    sample_marginals,
)
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding, to_encoding
from natdeploy.io.spaces import find_space
from tests.support.published import PUBLISHED
from tests.support.strategies import ALL_SPACES, MIXED, SMALL, TINY, architectures, raw_populations

each_space = pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
any_space = st.sampled_from(ALL_SPACES)


def every_row(space):
    """Return all canonical rows of a space, through a very large sample."""
    rows = drop_duplicates(sample(space, 20_000, np.random.default_rng(0)))
    assert len(rows) == space.size
    return rows


@pytest.mark.parametrize("subnet", PUBLISHED, ids=str)
def test_published_encodings_decode_and_encode_exactly(subnet):
    """A released encoding decodes to the released resolution, width and depths, and encodes to the same string."""
    architecture = from_encoding(subnet.encoding)
    assert (architecture.resolution, architecture.width) == (subnet.resolution, subnet.width)
    assert architecture.depths == subnet.depths
    assert to_encoding(architecture) == subnet.encoding


def test_released_architectures_have_these_encodings(shared_data):
    """The released kernels and expand ratios give the strings of the table, those that ship a string theirs."""
    released = json.loads((shared_data / "published_subnets" / "nat_published_subnets.json").read_text())
    ours = {subnet.name: subnet.encoding for subnet in PUBLISHED}
    official = 0
    for entry in released:
        subnet, dataset = entry["subnet"], entry["dataset"]
        architecture = Architecture(
            resolution=subnet["r"],
            width=subnet.get("w", 1.2),
            depths=tuple(subnet["d"]),
            kernels=tuple(subnet["ks"]),
            expand_ratios=tuple(subnet["e"]),
        )
        name = f"{dataset} {entry['name']}" if dataset == "imagenet" else dataset
        assert to_encoding(architecture) == ours[name]
        assert from_encoding(ours[name]) == architecture
        official += entry["encoding"] == ours[name]
        assert entry["encoding"] in {None, ours[name]}
    assert (len(released), official) == (14, 4)


def test_genes_count_kernels_first():
    """Gene 1 + kernel index + 3 x expand index: kernels 3, 5, 7 at ratio 3 are genes 1, 2, 3."""
    architecture = Architecture(
        resolution=224, width=1.0, depths=(2,) * 5, kernels=(3, 5, 7, 3, 5, 7, 3, 5, 7, 3),
        expand_ratios=(3, 3, 3, 4, 4, 4, 6, 6, 6, 3),
    )  # fmt: skip
    assert encode(find_space("nat"), architecture).tolist() == [
        8,
        0,
        1,
        2,
        0,
        0,
        3,
        4,
        0,
        0,
        5,
        6,
        0,
        0,
        7,
        8,
        0,
        0,
        9,
        1,
        0,
        0,
    ]


@given(any_space.flatmap(lambda space: st.tuples(st.just(space), architectures(space))))
def test_decoding_undoes_encoding(case):
    """An architecture comes back from its genotype unchanged, in every space."""
    space, architecture = case
    assert decode(space, encode(space, architecture)) == architecture


@given(any_space.flatmap(lambda space: st.tuples(st.just(space), raw_populations(space))))
def test_repair_yields_canonical_rows(case):
    """Repair is idempotent, and its rows are those that their architectures encode to."""
    space, population = case
    repaired = repair(space, population)
    assert np.array_equal(repair(space, repaired), repaired)
    for row, raw in zip(repaired, population, strict=True):
        assert np.array_equal(encode(space, decode(space, row)), row)
        assert decode(space, raw) == decode(space, row)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ([5, 6, 0, 7], [5, 6, 7, 0]),
        ([5, 6, 7, 0], [5, 6, 7, 0]),
        ([5, 6, 0, 0], [5, 6, 0, 0]),
        ([5, 0, 6, 7], [5, 1, 6, 7]),
        ([0, 0, 0, 0], [1, 1, 0, 0]),
        ([0, 0, 0, 9], [1, 1, 9, 0]),
        ([10, -1, 99, -5], [9, 1, 9, 0]),
    ],
)
def test_repair_closes_gaps(stage, expected):
    """A layer behind a skipped one moves up; a layer that cannot be skipped gets the first gene; genes are clipped."""
    row = np.array([[0, 0, *stage, *([1, 1, 0, 0] * 4)]])
    assert repair(find_space("nat"), row)[0, 2:6].tolist() == expected


@pytest.mark.parametrize(
    ("stage", "expected"), [([2, 0, 3], [2, 0, 0]), ([2, 3, 0], [2, 0, 0]), ([2, 3, 4], [2, 3, 4])]
)
def test_a_depth_between_two_allowed_ones_drops(stage, expected):
    """In a space of depths 1 and 3, a stage of two layers keeps its first."""
    row = np.array([[0, 0, *stage, *([1, 0, 0] * 2)]])
    assert repair(SMALL, row)[0, 2:5].tolist() == expected


def test_repair_clips_resolution_and_width():
    """Resolution and width stay within their lists."""
    row = np.array([[99, -1, *([1, 1, 0, 0] * 5)]])
    assert repair(find_space("nat"), row)[0, :2].tolist() == [16, 0]


def test_repair_leaves_its_argument_alone():
    """The population that is repaired is not changed in place."""
    population = np.full((3, 22), 99)
    repair(find_space("nat"), population)
    assert (population == 99).all()


def test_bounds_are_those_of_the_paper():
    """The first two layers of a stage are never skipped; resolutions and widths are indices."""
    lower, upper = bounds(find_space("nat"))
    assert lower.tolist() == [0, 0] + [1, 1, 0, 0] * 5
    assert upper.tolist() == [16, 1] + [9] * 20


def test_encoding_off_the_list_is_refused():
    """A resolution that the space does not list has no genotype."""
    architecture = smallest(find_space("nat").with_resolutions((100,)))
    with pytest.raises(InputError, match="resolution 100 is not in the list of space nat"):
        encode(find_space("nat"), architecture)


def test_a_genotype_of_another_length_is_refused():
    """A vector that is too short is refused, not read in part."""
    with pytest.raises(InputError, match="22 integers, not 21"):
        decode(find_space("nat"), np.ones(21, dtype=np.int64))


@each_space
def test_samples_are_canonical_and_seeded(space):
    """Sampled rows are canonical, the same for the same seed and others for another."""
    rows = sample(space, 200, np.random.default_rng(3))
    assert np.array_equal(repair(space, rows), rows)
    assert np.array_equal(sample(space, 200, np.random.default_rng(3)), rows)
    assert not np.array_equal(sample(space, 200, np.random.default_rng(4)), rows)


@each_space
def test_samples_are_uniform_in_depth(space):
    """Each depth of each stage comes up equally often: within four standard deviations."""
    count = 6000
    genes = sample(space, count, np.random.default_rng(0))[:, 2:]
    for stage, slots in zip(space.stages, space.stage_slots, strict=True):
        depths = np.count_nonzero(genes[:, slots], axis=1)
        share = 1 / len(stage.depths)
        bound = 4 * np.sqrt(share * (1 - share) / count)
        for depth in stage.depths:
            found = (depths == depth).mean()
            assert abs(found - share) <= bound, (depth, found)


def test_a_layer_that_moves_forward_keeps_what_its_slot_has():
    """Where a slot has fewer expand ratios, a gene that moves into it keeps its kernel and takes the largest ratio."""
    stage = MIXED.stage_slots[1]
    row = np.zeros((1, MIXED.genotype_length), dtype=np.int64)
    last = 1 + 1 + 2 * 1  # kernel 5, second expand ratio of the third block
    row[0, 2:][stage] = [6, 0, last]
    assert repair(MIXED, row)[0, 2:][stage].tolist() == [6, 0, 0]
    narrow = dataclasses.replace(MIXED.stages[1], depths=(1, 2, 3))
    space = dataclasses.replace(MIXED, stages=(MIXED.stages[0], narrow, *MIXED.stages[2:]))
    assert repair(space, row)[0, 2:][stage].tolist() == [6, 2, 0]
    assert decode(space, row[0]).expand_ratios[1:3] == (6, 2.5)


def test_samples_are_uniform_in_the_choices_of_a_layer():
    """Given that a layer is active, each of its genes, and each width and resolution, comes up equally often."""
    rows = sample(find_space("nat"), 20_000, np.random.default_rng(1))
    for column, values in ((0, range(17)), (1, range(2)), (2, range(1, 10)), (5, range(1, 10))):
        active = rows[:, column][(rows[:, column] > 0) | (column < 2)]
        counts = np.array([(active == value).sum() for value in values])
        expected = len(active) / len(counts)
        assert ((counts - expected) ** 2 / expected).sum() < 2.5 * len(counts) + 15


@each_space
def test_the_first_rows_are_smallest_and_largest(space):
    """The first archive is distinct and begins with the two extremes."""
    rows = sample_initial(space, 40, np.random.default_rng(0))
    assert decode(space, rows[0]) == smallest(space)
    assert decode(space, rows[1]) == largest(space)
    assert len(drop_duplicates(rows)) == len(rows) == 40


def test_a_whole_space_can_be_drawn():
    """As many architectures as the space holds can be drawn, one more cannot."""
    assert len(sample_initial(TINY, TINY.size, np.random.default_rng(0))) == TINY.size
    for count in (TINY.size + 1, 1):
        with pytest.raises(InputError, match=f"cannot draw {count} distinct"):
            sample_initial(TINY, count, np.random.default_rng(0))


def test_samples_reach_the_whole_space():
    """Every architecture of a tiny space is sampled at some time."""
    assert len(every_row(TINY)) == TINY.size


def test_distinct_keeps_the_first_of_each():
    """Repetitions go, the order of first appearance stays; an empty population stays empty."""
    rows = np.array([[3, 1], [1, 1], [3, 1], [2, 9], [1, 1]])
    assert drop_duplicates(rows).tolist() == [[3, 1], [1, 1], [2, 9]]
    assert drop_duplicates(np.empty((0, 22), dtype=np.int64)).shape == (0, 22)


@given(raw_populations(TINY), raw_populations(TINY))
def test_without_is_the_ordered_difference(first, second):
    """What is left is distinct, in order, not known, and nothing else is missing."""
    population, known = repair(TINY, first), repair(TINY, second)
    fresh = remove_known(population, known)
    known_rows = {tuple(row) for row in known.tolist()}
    expected = list(dict.fromkeys(tuple(row) for row in population.tolist() if tuple(row) not in known_rows))
    assert [tuple(row) for row in fresh.tolist()] == expected


def test_without_looks_at_values_not_at_memory():
    """A population of another memory layout or integer type is compared by value."""
    rows = sample(TINY, 20, np.random.default_rng(0))
    assert len(remove_known(np.asfortranarray(rows), rows.astype(np.int32))) == 0
    assert len(remove_known(rows, rows[:0])) == len(drop_duplicates(rows))


@given(st.integers(0, 2**32 - 1))
def test_marginals_keep_to_the_values_of_the_population(seed):
    """A drawn gene is one that the population has there, or what repair moved there; rows are canonical."""
    rng = np.random.default_rng(seed)
    population = sample(find_space("nat"), 8, rng)
    rows = sample_marginals(find_space("nat"), population, 50, rng)
    assert np.array_equal(repair(find_space("nat"), rows), rows)
    for column in range(22):
        own = set(population[:, column])
        moved = set(population[:, column + 1]) if column >= 2 and (column - 2) % 4 == 2 else set()
        assert set(rows[:, column]) <= own | moved | ({0} if moved or (column - 2) % 4 == 3 else set())


def test_marginals_of_one_row_are_that_row():
    """A population of one architecture leaves nothing else to draw."""
    row = sample(find_space("nat"), 1, np.random.default_rng(0))
    assert (sample_marginals(find_space("nat"), row, 30, np.random.default_rng(1)) == row).all()


def test_marginals_follow_the_shares():
    """A gene that three of four rows have is drawn about three times in four."""
    population = sample(find_space("nat"), 4, np.random.default_rng(0))
    population[:, 1] = [0, 1, 1, 1]
    rows = sample_marginals(find_space("nat"), population, 4000, np.random.default_rng(1))
    assert abs(rows[:, 1].mean() - 0.75) < 0.03
