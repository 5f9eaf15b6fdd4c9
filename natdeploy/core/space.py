"""Search spaces: networks of inverted-residual blocks, and the choices that a search has in each of their stages.

Sources: Cai et al., Once-for-All (ICLR 2020), for the elastic network; Lu et al., NAT (TPAMI 2021), section 3.1, for
the encoding of architectures as integers.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

from natdeploy.errors import InputError

ACTIVATIONS = ("relu", "relu6", "h_swish", "silu", "mish", "none")
# Of the 3x3 and larger convolutions: as much before as after, or TensorFlow's, which has less before if the sum is odd.
SYMMETRIC, SAME = PADDINGS = ("symmetric", "same")
# Squeeze-and-excitation: a quarter of the expanded channels, ReLU and a hard sigmoid; or a quarter of the block's input
# channels, SiLU and a sigmoid.
MOBILENETV3, EFFICIENTNET = SE_UNITS = ("mobilenetv3", "efficientnet")
BN_EPS = 1e-5


def make_divisible(value: float, divisor: int = 8) -> int:
    """Round `value` to a multiple of `divisor`, never more than 10 % below it (MobileNet's channel rule)."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Convolution:
    """A convolution that all architectures of a space have.

    Args:
        channels: Output channels at width 1.0.
        activation: One of `ACTIVATIONS`.
        bias: Whether it has a bias. Only a feature mix, which has no BatchNorm, can have one.
    """

    channels: int
    activation: str
    bias: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FixedBlock:
    """The block after the stem, which does not expand and has stride 1.

    Args:
        channels: Output channels at width 1.0. The block has a skip connection where they equal the stem's.
        activation: One of `ACTIVATIONS`.
        kernel: Kernel size.
        se: Whether it has a squeeze-and-excitation unit.
    """

    channels: int
    activation: str
    kernel: int = 3
    se: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A searchable stage of inverted-residual blocks.

    Args:
        channels: Output channels at width 1.0.
        stride: Stride of its first block.
        se: Whether its blocks have a squeeze-and-excitation unit.
        activation: One of `ACTIVATIONS`.
        kernels: Kernel sizes of a block, ascending.
        expand_ratios: Expand ratios of each block, ascending. A ratio of 1 is a block that does not expand.
        depths: Numbers of blocks, ascending. The last is the number of layer slots.
    """

    channels: int
    stride: int
    se: bool
    activation: str
    kernels: tuple[int, ...]
    expand_ratios: tuple[tuple[float, ...], ...]
    depths: tuple[int, ...]

    @property
    def slots(self) -> int:
        """Layer slots of the stage."""
        return self.depths[-1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The architectures of one supernet family.

    A genotype of the space is `[resolution index, width index, one gene a layer slot]`. Gene 0 skips the slot, any
    other is `1 + kernel index + len(kernels) * expand index`, where the indices are those of the slot's own choices.

    Args:
        name: Name in files and messages.
        widths: Width multipliers, ascending.
        resolutions: Input sizes in pixels, ascending, each at least 32.
        stem: The first convolution, of kernel 3 and stride 2.
        fixed_block: The block after it.
        stages: The searchable stages.
        final_expand: The 1x1 convolution before the pooling; EfficientNet and MobileNetV2 call it the head.
        feature_mix: The 1x1 convolution after the pooling; None if the classifier follows at once.
        padding: One of `PADDINGS`.
        se_unit: One of `SE_UNITS`.
        bn_eps: Epsilon of every BatchNorm.
        source: How the space is found again: the name of a shipped space, or the absolute path of a file.

    Raises:
        InputError: A value is out of range, or a list is empty or not ascending. The message names it.
    """

    name: str
    widths: tuple[float, ...]
    resolutions: tuple[int, ...]
    stem: Convolution
    fixed_block: FixedBlock
    stages: tuple[Stage, ...]
    final_expand: Convolution
    feature_mix: Convolution | None = None
    padding: str = SYMMETRIC
    se_unit: str = MOBILENETV3
    bn_eps: float = BN_EPS
    source: str = dataclasses.field(default="", compare=False)

    def __post_init__(self) -> None:
        for place, reason in _find_faults(self):
            msg = f"space {self.name}: {place} {reason}"
            raise InputError(msg)

    @functools.cached_property
    def slot_places(self) -> tuple[tuple[int, int], ...]:
        """Stage and position in the stage of each layer slot."""
        return tuple((index, position) for index, stage in enumerate(self.stages) for position in range(stage.slots))

    @functools.cached_property
    def stage_slots(self) -> tuple[slice, ...]:
        """The layer slots of each stage."""
        ends = itertools.accumulate((stage.slots for stage in self.stages), initial=0)
        return tuple(slice(start, stop) for start, stop in itertools.pairwise(ends))

    @functools.cached_property
    def choices(self) -> tuple[tuple[tuple[int, float], ...], ...]:
        """Kernel size and expand ratio of genes 1, 2, .. of each layer slot."""
        return tuple(
            tuple(
                (kernel, ratio)
                for ratio in self.stages[index].expand_ratios[position]
                for kernel in self.stages[index].kernels
            )
            for index, position in self.slot_places
        )

    @property
    def slots(self) -> int:
        """Layer slots of the whole network."""
        return len(self.slot_places)

    @property
    def genotype_length(self) -> int:
        """Integers of a genotype: resolution, width and the slots."""
        return 2 + self.slots

    @property
    def max_gene(self) -> int:
        """Largest layer gene of any slot; genes count from 0 (skip)."""
        return max(len(choices) for choices in self.choices)

    @property
    def size(self) -> int:
        """Number of distinct architectures."""
        genes = [len(choices) for choices in self.choices]
        stages = [
            sum(math.prod(genes[slots][:depth]) for depth in stage.depths)
            for stage, slots in zip(self.stages, self.stage_slots, strict=True)
        ]
        return math.prod(stages) * len(self.widths) * len(self.resolutions)

    def channels(self, base: int, width: float) -> int:
        """Channels of a layer whose width-1.0 channels are `base`."""
        return make_divisible(base * width)

    def in_channels(self, slot: int, width: float) -> int:
        """Input channels of the block in layer slot `slot`."""
        index, position = self.slot_places[slot]
        before = self.stages[index] if position else self.stages[index - 1] if index else self.fixed_block
        return self.channels(before.channels, width)

    def with_resolutions(self, resolutions: tuple[int, ...]) -> SearchSpace:
        """Return the same space over other input sizes."""
        return dataclasses.replace(self, resolutions=tuple(resolutions))

    def has_networks_of(self, other: SearchSpace) -> bool:
        """Tell whether the two spaces differ at most in name, widths and resolutions."""
        return self == dataclasses.replace(
            other, name=self.name, widths=self.widths, resolutions=self.resolutions, source=self.source
        )

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


def mid_channels(in_channels: int, expand_ratio: float) -> int:
    """Channels inside a block: the expand ratio multiplies the block's *input* channels."""
    return make_divisible(round(in_channels * expand_ratio))


def squeeze_channels(channels: int) -> int:
    """Channels inside MobileNetV3's squeeze-and-excitation unit over `channels`."""
    return make_divisible(channels // 4)


def _find_faults(space: SearchSpace) -> Iterator[tuple[str, str]]:
    """Yield the place of each fault, and what is wrong there."""
    yield from _check_list("widths", space.widths)
    yield from _check_list("resolutions", space.resolutions)
    if space.resolutions[0] < 32:
        yield "resolutions", f"start at 32, not {space.resolutions[0]}"
    yield from _check_word("padding", space.padding, PADDINGS)
    yield from _check_word("se_unit", space.se_unit, SE_UNITS)
    if not 0 < space.bn_eps < 1:
        yield "bn_eps", f"must be between 0 and 1, not {space.bn_eps:g}"
    yield from _check_convolution("stem", space.stem)
    yield from _check_convolution("final_expand", space.final_expand)
    for place, unit in (("stem", space.stem), ("final_expand", space.final_expand)):
        if unit.bias:
            yield f"{place}.bias", "is for the feature mix, which has no BatchNorm"
    if space.feature_mix is not None:
        yield from _check_convolution("feature_mix", space.feature_mix)
    yield from _check_convolution("fixed_block", space.fixed_block)
    yield from _check_kernels("fixed_block.kernel", (space.fixed_block.kernel,))
    if not space.stages:
        yield "stages", "must list at least one stage"
    for number, stage in enumerate(space.stages):
        yield from _check_stage(f"stages[{number}]", stage)
    for width, (slot, (index, position)) in itertools.product(space.widths, enumerate(space.slot_places)):
        yield from _check_expansion(space, width, slot, f"stages[{index}].expand_ratios", position)


def _check_stage(place: str, stage: Stage) -> Iterator[tuple[str, str]]:
    yield from _check_convolution(place, stage)
    if stage.stride not in (1, 2):
        yield f"{place}.stride", f"must be 1 or 2, not {stage.stride}"
    yield from _check_list(f"{place}.depths", stage.depths)
    yield from _check_list(f"{place}.kernels", stage.kernels)
    yield from _check_kernels(f"{place}.kernels", stage.kernels)
    if len(stage.expand_ratios) != stage.slots:
        counts = f"{stage.slots} blocks, not for {len(stage.expand_ratios)}"
        yield f"{place}.expand_ratios", f"must list the ratios of its {counts}"
    for ratios in stage.expand_ratios:
        yield from _check_list(f"{place}.expand_ratios", ratios)
        if ratios[0] < 1:
            yield f"{place}.expand_ratios", f"must be 1 or more, not {ratios[0]:g}"
        if ratios[0] == 1 and len(ratios) > 1:
            yield f"{place}.expand_ratios", "cannot offer 1 beside others: such a block has no expanding convolution"


def _check_expansion(
    space: SearchSpace, width: float, slot: int, place: str, position: int
) -> Iterator[tuple[str, str]]:
    """Check that each ratio of a block gives other channels, since ratios round to multiples of eight channels."""
    in_channels = space.in_channels(slot, width)
    ratios = space.stages[space.slot_places[slot][0]].expand_ratios[position]
    channels = [in_channels, *(mid_channels(in_channels, ratio) for ratio in ratios if ratio > 1)]
    if len(set(channels)) < len(channels):
        given = ", ".join(f"{ratio:g}" for ratio in ratios)
        yield place, f"{given} round to {channels[1:]} channels over {in_channels} at width {width:g}: not all differ"


def _check_list(place: str, values: Sequence[float]) -> Iterator[tuple[str, str]]:
    if not values or list(values) != sorted(set(values)) or values[0] <= 0 or not math.isfinite(values[-1]):
        yield place, f"must be positive, ascending and distinct, not {values}"


def _check_kernels(place: str, kernels: Sequence[int]) -> Iterator[tuple[str, str]]:
    if any(kernel % 2 == 0 or not 1 < kernel < 16 for kernel in kernels):
        yield place, f"must be odd numbers from 3 to 15, not {', '.join(map(str, kernels))}"


def _check_convolution(place: str, unit: Convolution | FixedBlock | Stage) -> Iterator[tuple[str, str]]:
    if unit.channels < 1:
        yield f"{place}.channels", f"must be positive, not {unit.channels}"
    yield from _check_word(f"{place}.activation", unit.activation, ACTIVATIONS)


def _check_word(place: str, word: str, known: Sequence[str]) -> Iterator[tuple[str, str]]:
    if word not in known:
        yield place, f"is {word!r}, not one of {', '.join(known)}"
