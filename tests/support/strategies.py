"""Search spaces and hypothesis strategies for tests."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from natdeploy.core.architecture import Architecture
from natdeploy.core.space import Convolution, FixedBlock, SearchSpace, Stage
from natdeploy.io.spaces import find_space, shipped_spaces
from natdeploy.testing.choices import with_choices

NAT = find_space("nat")

# Two kernels, two expand ratios, and depths with a gap.
SMALL = with_choices(
    dataclasses.replace(
        NAT, name="small", widths=(0.5, 0.75), resolutions=(32, 47, 64), stages=NAT.stages[:3], source=""
    ),
    kernels=(3, 5),
    expand_ratios=(2, 4),
    depths=(1, 3),
)

# 144 architectures: few enough to try them all.
TINY = with_choices(
    dataclasses.replace(NAT, name="tiny", widths=(0.5, 1.0), resolutions=(32, 64), stages=NAT.stages[1:3], source=""),
    kernels=(3, 5),
    expand_ratios=(2,),
    depths=(1, 2),
)

# Every stage, and within the second every block, has choices of its own; it has all that the OFA spaces do not have.
MIXED = SearchSpace(
    name="mixed",
    widths=(0.5, 1.0),
    resolutions=(32, 45, 52),
    stem=Convolution(channels=16, activation="relu6"),
    fixed_block=FixedBlock(channels=8, activation="silu", kernel=5, se=True),
    stages=(
        Stage(
            channels=16,
            stride=2,
            se=False,
            activation="relu6",
            kernels=(3,),
            expand_ratios=((2, 4),) * 3,
            depths=(1, 2, 3),
        ),
        Stage(
            channels=24,
            stride=2,
            se=True,
            activation="silu",
            kernels=(3, 5),
            expand_ratios=((2, 4, 6), (2.5,), (2, 3)),
            depths=(1, 3),
        ),
        Stage(channels=24, stride=1, se=True, activation="h_swish", kernels=(5, 7), expand_ratios=((4,),), depths=(1,)),
        Stage(channels=32, stride=2, se=False, activation="relu6", kernels=(3,), expand_ratios=((1,),), depths=(1,)),
    ),
    final_expand=Convolution(channels=64, activation="relu6"),
    padding="same",
    se_unit="efficientnet",
    bn_eps=1e-3,
)

ALL_SPACES = (*shipped_spaces(), SMALL, TINY, MIXED)


@st.composite
def architectures(draw: st.DrawFn, space: SearchSpace) -> Architecture:
    """Draw an architecture of `space`."""
    depths = [draw(st.sampled_from(stage.depths)) for stage in space.stages]
    slots = [(stage, position) for stage, depth in zip(space.stages, depths, strict=True) for position in range(depth)]

    def choices(values: Sequence[Sequence[float]]) -> tuple[float, ...]:
        return tuple(draw(st.sampled_from(allowed)) for allowed in values)

    return Architecture(
        resolution=draw(st.sampled_from(space.resolutions)),
        width=draw(st.sampled_from(space.widths)),
        depths=tuple(depths),
        kernels=choices([stage.kernels for stage, _ in slots]),
        expand_ratios=choices([stage.expand_ratios[position] for stage, position in slots]),
    )


@st.composite
def raw_populations(draw: st.DrawFn, space: SearchSpace) -> np.ndarray:
    """Draw rows of integers as operators may leave them: out of range, not canonical."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 20))
    rng = np.random.default_rng(seed)
    return rng.integers(-3, space.max_gene + 4, size=(count, space.genotype_length))
