"""Search spaces and the channel rule."""

import dataclasses
import re

import pytest

from natdeploy.core.space import Convolution, FixedBlock, make_divisible, mid_channels, squeeze_channels
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from tests.support.strategies import MIXED, SMALL, TINY


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 8), (8, 8), (11, 16), (12, 16), (19.2, 24), (20, 24), (83, 80), (90, 88), (1152.0, 1152)],
)
def test_channels_are_a_multiple_of_eight_never_far_below(value, expected):
    """Channels are rounded to the nearest multiple of 8, and up where that would lose more than a tenth."""
    assert make_divisible(value) == expected


@pytest.mark.parametrize(
    ("width", "stem", "stages", "final"),
    [
        (1.0, 16, [24, 40, 80, 112, 160], [960, 1280]),
        (1.2, 24, [32, 48, 96, 136, 192], [1152, 1536]),
    ],
)
def test_widths_give_the_published_channels(width, stem, stages, final):
    """Both widths of NAT have the channels of the released networks."""
    space = find_space("nat")
    assert space.channels(space.stem.channels, width) == stem
    assert space.channels(space.fixed_block.channels, width) == stem
    assert [space.channels(stage.channels, width) for stage in space.stages] == stages
    assert [space.channels(unit.channels, width) for unit in (space.final_expand, space.feature_mix)] == final


def test_expand_ratio_multiplies_the_input():
    """Channels inside a block are its input's times the expand ratio, rounded; those of its gate are a quarter."""
    assert [mid_channels(24, ratio) for ratio in (3, 4, 6)] == [72, 96, 144]
    assert [squeeze_channels(channels) for channels in (16, 72, 1152)] == [8, 24, 288]


def test_nat_space_has_its_published_size():
    """The nat space has 17 resolutions, 2 widths and 7371 choices for each of five stages."""
    nat = find_space("nat")
    assert nat.size == 17 * 2 * 7371**5
    assert nat.genotype_length == 22
    assert nat.resolutions == tuple(range(192, 257, 4))


def test_sizes_of_made_up_spaces():
    """Size counts canonical genotypes, also where depths have a gap."""
    assert TINY.size == 2 * 2 * (2 + 4) ** 2
    assert SMALL.size == 2 * 3 * (4 + 64) ** 3


def test_spaces_of_one_width_are_parts_of_nat():
    """The two spaces of one width differ from nat in nothing but name and widths."""
    for name, width in (("ofa-mbv3-w1.0", 1.0), ("ofa-mbv3-w1.2", 1.2)):
        assert dataclasses.replace(find_space("nat"), name=name, widths=(width,)) == find_space(name)


def test_size_counts_the_choices_of_each_block():
    """Stages and blocks with choices of their own are counted as they are."""
    stages = (2 + 2**2 + 2**3) * (6 + 6 * 2 * 4) * 2 * 1
    assert MIXED.size == 3 * 2 * stages
    assert MIXED.genotype_length == 2 + 3 + 3 + 1 + 1
    assert MIXED.max_gene == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"widths": ()}, "widths must be positive, ascending"),
        ({"resolutions": (64, 32)}, "resolutions must be positive, ascending"),
        ({"resolutions": (24, 32)}, "resolutions start at 32"),
        ({"resolutions": (32, 32)}, "resolutions must be positive, ascending and distinct"),
        ({"stages": ()}, "stages must list at least one stage"),
        ({"padding": "valid"}, "padding is 'valid', not one of symmetric, same"),
        ({"se_unit": "mnasnet"}, "se_unit is 'mnasnet', not one of mobilenetv3, efficientnet"),
        ({"bn_eps": 0.0}, "bn_eps must be between 0 and 1"),
        ({"stem": Convolution(channels=0, activation="relu")}, "stem.channels must be positive"),
        ({"stem": Convolution(channels=16, activation="relu", bias=True)}, "stem.bias is for the feature mix"),
        (
            {"final_expand": Convolution(channels=16, activation="gelu")},
            "final_expand.activation is 'gelu', not one of",
        ),
        ({"fixed_block": FixedBlock(channels=16, activation="relu", kernel=4)}, "fixed_block.kernel must be odd"),
    ],
)
def test_values_that_make_no_space_are_refused(change, reason):
    """A value that is empty, not ascending, unknown or out of range is refused by its name."""
    with pytest.raises(InputError, match=re.escape(f"space small: {reason}")):
        dataclasses.replace(SMALL, **change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kernels": (3, 4)}, "kernels must be odd"),
        ({"kernels": (1, 3)}, "kernels must be odd numbers from 3"),
        ({"depths": (0, 3)}, "depths must be positive"),
        ({"stride": 3}, "stride must be 1 or 2, not 3"),
        ({"expand_ratios": ((2, 4),) * 2}, "expand_ratios must list the ratios of its 3 blocks, not for 2"),
        ({"expand_ratios": ((0, 3),) * 3}, "expand_ratios must be positive"),
        ({"expand_ratios": ((0.5, 3),) * 3}, "expand_ratios must be 1 or more, not 0.5"),
        ({"expand_ratios": ((1, 3),) * 3}, "expand_ratios cannot offer 1 beside others"),
        ({"expand_ratios": ((2, 2.1),) * 3}, "expand_ratios 2, 2.1 round to [32, 32] channels over 16 at width 0.5"),
    ],
)
def test_stages_that_make_no_space_are_refused(change, reason):
    """The message names the stage by its number, and the value in it."""
    stages = (SMALL.stages[0], dataclasses.replace(SMALL.stages[1], **change), SMALL.stages[2])
    with pytest.raises(InputError, match=re.escape(f"space small: stages[1].{reason}")):
        dataclasses.replace(SMALL, stages=stages)


def test_resolutions_can_be_replaced():
    """Another list of resolutions leaves everything else as it is."""
    other = SMALL.with_resolutions((96, 128))
    assert other.resolutions == (96, 128)
    assert dataclasses.replace(other, resolutions=SMALL.resolutions) == SMALL


def test_unknown_width_of_a_space_is_refused():
    """A width that the space does not have is refused with those that it has."""
    with pytest.raises(InputError, match=r"width 1\.1 is not in space small \(its widths: 0\.5, 0\.75\)"):
        SMALL.width_index(1.1)


def test_width_index_forgives_rounding():
    """A width that differs in the last bits is the same."""
    assert find_space("nat").width_index(0.1 * 12) == 1


def test_a_space_is_a_value():
    """Equal contents make equal spaces, wherever they were found."""
    assert dataclasses.replace(MIXED, source="elsewhere") == MIXED
    assert MIXED.has_networks_of(dataclasses.replace(MIXED, name="other", widths=(1.0,), resolutions=(64,)))
    assert not MIXED.has_networks_of(dataclasses.replace(MIXED, padding="symmetric"))
