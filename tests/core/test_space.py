"""Search spaces and the channel rule."""

import dataclasses

import pytest

from natdeploy.core.space import (
    SPACES,
    SearchSpace,
    find_space,
    make_divisible,
    mid_channels,
    space_of_width,
    squeeze_channels,
)
from natdeploy.errors import InputError
from tests.support.strategies import SMALL, TINY


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
    space = SPACES["nat"]
    assert space.channels(space.stem_channels, width) == stem
    assert [space.channels(stage.channels, width) for stage in space.stages] == stages
    assert [space.channels(channels, width) for channels in space.final_channels] == final


def test_expand_ratio_multiplies_the_input():
    """Channels inside a block are its input's times the expand ratio, rounded; those of its gate are a quarter."""
    assert [mid_channels(24, ratio) for ratio in (3, 4, 6)] == [72, 96, 144]
    assert [squeeze_channels(channels) for channels in (16, 72, 1152)] == [8, 24, 288]


def test_nat_space_has_its_published_size():
    """The nat space has 17 resolutions, 2 widths and 7371 choices for each of five stages."""
    nat = SPACES["nat"]
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
        assert dataclasses.replace(SPACES["nat"], name=name, widths=(width,)) == SPACES[name]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"widths": ()}, "widths"),
        ({"resolutions": (64, 32)}, "resolutions"),
        ({"resolutions": (24, 32)}, "resolutions start at 32"),
        ({"resolutions": (32, 32)}, "resolutions"),
        ({"kernels": (3, 4)}, "kernels must be odd"),
        ({"expand_ratios": (0, 3)}, "expand_ratios"),
        ({"depths": (0, 2)}, "depths"),
    ],
)
def test_lists_that_make_no_space_are_refused(change, named):
    """A list that is empty, not ascending or out of range is refused by its name."""
    with pytest.raises(InputError, match=named):
        dataclasses.replace(SMALL, **change)


def test_resolutions_can_be_replaced():
    """Another list of resolutions leaves everything else as it is."""
    other = SMALL.with_resolutions((96, 128))
    assert other.resolutions == (96, 128)
    assert dataclasses.replace(other, resolutions=SMALL.resolutions) == SMALL


def test_unknown_space_hints_at_the_nearest():
    """A misspelt name is refused with the nearest one as a hint and the known ones in the message."""
    assert find_space("nat") is SPACES["nat"]
    with pytest.raises(InputError, match=r"ofa-mbv3-w1\.0.*starter") as caught:
        find_space("startr")
    assert caught.value.hint == "did you mean 'starter'?"


@pytest.mark.parametrize(("width", "name"), [(1.0, "nat"), (1.2, "nat"), (0.5, "starter")])
def test_width_tells_the_space(width, name):
    """An architecture that names no supernet belongs to the space of its width."""
    assert space_of_width(width).name == name


def test_unknown_width_is_refused():
    """A width of no space is refused with the known ones."""
    with pytest.raises(InputError, match=r"width 1\.1 .*0\.5, 1, 1\.2"):
        space_of_width(1.1)
    with pytest.raises(InputError, match=r"width 1\.1 is not in space small \(its widths: 0\.5, 0\.75\)"):
        SMALL.width_index(1.1)


def test_width_index_forgives_rounding():
    """A width that differs in the last bits is the same."""
    assert SPACES["nat"].width_index(0.1 * 12) == 1


def test_a_space_is_a_value():
    """Equal lists make equal spaces."""
    assert SearchSpace(name="a", widths=(1.0,), resolutions=(32,)) == SearchSpace(
        name="a", widths=(1.0,), resolutions=(32,)
    )
