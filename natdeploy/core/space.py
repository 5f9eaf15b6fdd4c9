"""Search spaces of the OFA-MobileNetV3 family.

Sources: Cai et al., Once-for-All (ICLR 2020), for the network; Lu et al., NAT (TPAMI 2021), section 3.1, for the
encoding of architectures as integers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType

from natdeploy.errors import InputError, require_known

NAT_RESOLUTIONS = tuple(range(192, 257, 4))


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round `value` to a multiple of `divisor`, never more than 10 % below it (MobileNet's channel rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A searchable stage: `channels` is its output at width 1.0, `stride` that of its first block."""

    channels: int
    stride: int
    se: bool
    activation: str


OFA_STAGES = (
    Stage(channels=24, stride=2, se=False, activation="relu"),
    Stage(channels=40, stride=2, se=True, activation="relu"),
    Stage(channels=80, stride=2, se=False, activation="h_swish"),
    Stage(channels=112, stride=1, se=True, activation="h_swish"),
    Stage(channels=160, stride=2, se=True, activation="h_swish"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The architectures of one supernet family.

    A genotype of the space is `[resolution index, width index, one gene a layer slot]`; a stage has
    `max_depth` slots. Gene 0 skips the slot, any other is `1 + kernel index + len(kernels) * expand index`.

    Args:
        name: Name in files and commands.
        widths: Width multipliers, ascending.
        resolutions: Input sizes in pixels, ascending, each at least 32.
        kernels: Kernel sizes of a layer, ascending.
        expand_ratios: Expand ratios of a layer, ascending.
        depths: Depths of a stage, ascending. The last is the number of slots of a stage.
        stages: The searchable stages.
        stem_channels: Channels of stem and fixed block at width 1.0.
        final_channels: Channels of final expand and feature mix at width 1.0.
        fixed_activation: Activation of the fixed block.

    Raises:
        InputError: A list is empty, not ascending or out of range.
    """

    name: str
    widths: tuple[float, ...]
    resolutions: tuple[int, ...]
    kernels: tuple[int, ...] = (3, 5, 7)
    expand_ratios: tuple[int, ...] = (3, 4, 6)
    depths: tuple[int, ...] = (2, 3, 4)
    stages: tuple[Stage, ...] = OFA_STAGES
    stem_channels: int = 16
    final_channels: tuple[int, int] = (960, 1280)
    fixed_activation: str = "relu"

    def __post_init__(self) -> None:
        for what in ("widths", "resolutions", "kernels", "expand_ratios", "depths"):
            values = getattr(self, what)
            if not values or list(values) != sorted(set(values)) or values[0] <= 0:
                msg = f"space {self.name}: {what} must be positive, ascending and distinct, not {values}"
                raise InputError(msg)
        if self.resolutions[0] < 32:
            msg = f"space {self.name}: resolutions start at 32, not {self.resolutions[0]}"
            raise InputError(msg)
        if any(kernel % 2 == 0 for kernel in self.kernels):
            msg = f"space {self.name}: kernels must be odd, not {self.kernels}"
            raise InputError(msg)

    @property
    def max_depth(self) -> int:
        """Slots of a stage."""
        return self.depths[-1]

    @property
    def slots(self) -> int:
        """Layer slots of the whole network."""
        return len(self.stages) * self.max_depth

    @property
    def genotype_length(self) -> int:
        """Integers of a genotype: resolution, width and the slots."""
        return 2 + self.slots

    @property
    def max_gene(self) -> int:
        """Largest layer gene; genes count from 0 (skip)."""
        return len(self.kernels) * len(self.expand_ratios)

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        per_stage = sum(self.max_gene**depth for depth in self.depths)
        return int(per_stage ** len(self.stages) * len(self.widths) * len(self.resolutions))

    def channels(self, base: int, width: float) -> int:
        """Channels of a layer whose width-1.0 channels are `base`."""
        return make_divisible(base * width)

    def with_resolutions(self, resolutions: tuple[int, ...]) -> SearchSpace:
        """Return the same space over other input sizes."""
        return dataclasses.replace(self, resolutions=tuple(resolutions))

    def width_index(self, width: float) -> int:
        """Return the index of `width`.

        Raises:
            InputError: The space has no such width.
        """
        for index, own in enumerate(self.widths):
            if math.isclose(own, width):
                return index
        msg = f"width {width:g} is not in space {self.name} (its widths: {', '.join(f'{w:g}' for w in self.widths)})"
        raise InputError(msg)


def mid_channels(in_channels: int, expand_ratio: int) -> int:
    """Channels inside a block: the expand ratio multiplies the block's *input* channels."""
    return make_divisible(round(in_channels * expand_ratio))


def squeeze_channels(channels: int) -> int:
    """Channels inside a squeeze-and-excitation unit over `channels`."""
    return make_divisible(channels // 4)


SPACES: Mapping[str, SearchSpace] = MappingProxyType(
    {
        space.name: space
        for space in (
            SearchSpace(name="ofa-mbv3-w1.0", widths=(1.0,), resolutions=NAT_RESOLUTIONS),
            SearchSpace(name="ofa-mbv3-w1.2", widths=(1.2,), resolutions=NAT_RESOLUTIONS),
            SearchSpace(name="nat", widths=(1.0, 1.2), resolutions=NAT_RESOLUTIONS),
            SearchSpace(name="starter", widths=(0.5,), resolutions=(32, 40, 48)),
        )
    }
)


def find_space(name: str) -> SearchSpace:
    """Return the search space called `name`.

    Raises:
        InputError: The name is unknown. The hint gives the nearest known one.
    """
    require_known("supernet", name, SPACES)
    return SPACES[name]


def space_of_width(width: float) -> SearchSpace:
    """Return the space of an architecture of width `width` whose file names no supernet.

    Raises:
        InputError: No known space has this width.
    """
    for name in ("nat", "starter"):
        if any(math.isclose(width, own) for own in SPACES[name].widths):
            return SPACES[name]
    known = sorted({own for space in SPACES.values() for own in space.widths})
    msg = f"no known supernet has width {width:g} (known widths: {', '.join(f'{own:g}' for own in known)})"
    raise InputError(msg)
