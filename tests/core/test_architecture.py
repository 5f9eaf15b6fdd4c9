"""Architectures."""

import numpy as np
import pytest
from hypothesis import given

from natdeploy.core.architecture import Architecture, check_member, largest, smallest, uniform
from natdeploy.core.cost import madds_array
from natdeploy.core.genotype import encode, sample
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from tests.support.strategies import ALL_SPACES, SMALL, architectures


def make(**changes):
    """Return a small architecture with some fields replaced."""
    fields = {"resolution": 32, "width": 0.5, "depths": (1, 3, 1), "kernels": (3,) * 5, "expand_ratios": (2,) * 5}
    return Architecture(**{**fields, **changes})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernels": (3,) * 4}, "ks lists 4 layers"),
        ({"expand_ratios": (2,) * 6}, "e lists 6 layers"),
        ({"resolution": 31}, "resolution 31 is below 32"),
    ],
)
def test_lists_that_do_not_fit_together_are_refused(change, message):
    """Kernels and expand ratios list as many layers as the depths add up to; the input has 32 pixels at least."""
    with pytest.raises(InputError, match=message):
        make(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0.6}, "width 0.6"),
        ({"depths": (1, 2, 2)}, r"d\[1\] is 2, space small allows \[1, 3\]"),
        ({"kernels": (3, 3, 7, 3, 3)}, r"ks\[2\] is 7"),
        ({"expand_ratios": (2, 2, 2, 2, 3)}, r"e\[4\] is 3"),
        ({"depths": (1, 4)}, "d lists 2 stages, space small has 3"),
    ],
)
def test_a_choice_outside_the_space_is_named(change, message):
    """What a space does not hold is refused with key, place and what is allowed."""
    with pytest.raises(InputError, match=message):
        check_member(SMALL, make(**change))


def test_membership_leaves_the_resolution_alone():
    """An architecture may have any resolution."""
    check_member(SMALL, make(resolution=1000))


@given(architectures(SMALL))
def test_stages_hold_the_layers_in_order(architecture):
    """The stages put together are the listed layers, each stage as deep as it says."""
    stages = architecture.stages()
    assert tuple(len(stage) for stage in stages) == architecture.depths
    flat = [pair for stage in stages for pair in stage]
    assert flat == list(zip(architecture.kernels, architecture.expand_ratios, strict=True))


def test_json_has_the_keys_of_the_authors():
    """The keys of the written form are the NAT authors' own."""
    assert make().to_json() == {"w": 0.5, "r": 32, "d": [1, 3, 1], "e": [2] * 5, "ks": [3] * 5}


@pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
def test_smallest_and_largest_bound_the_costs(space):
    """No random architecture costs less than the smallest or more than the largest."""
    cost = madds_array(space, 10)
    low, high = cost(np.stack([encode(space, smallest(space)), encode(space, largest(space))]))
    others = cost(sample(space, 300, np.random.default_rng(0)))
    assert low <= others.min()
    assert others.max() <= high


def test_uniform_has_one_choice_everywhere():
    """A uniform architecture repeats one depth, kernel and expand ratio."""
    made = uniform(find_space("nat"), resolution=224, width=1.2, depth=3, kernel=5, expand_ratio=4)
    assert (made.depths, made.kernels, made.expand_ratios) == ((3,) * 5, (5,) * 15, (4,) * 15)
