"""Search spaces and hypothesis strategies for tests."""

import numpy as np
from hypothesis import strategies as st

from natdeploy.core.architecture import Architecture
from natdeploy.core.space import OFA_STAGES, SPACES, SearchSpace

# Two kernels, two expand ratios, and depths with a gap.
SMALL = SearchSpace(
    name="small",
    widths=(0.5, 0.75),
    resolutions=(32, 47, 64),
    kernels=(3, 5),
    expand_ratios=(2, 4),
    depths=(1, 3),
    stages=OFA_STAGES[:3],
)

# 144 architectures: few enough to try them all.
TINY = SearchSpace(
    name="tiny",
    widths=(0.5, 1.0),
    resolutions=(32, 64),
    kernels=(3, 5),
    expand_ratios=(2,),
    depths=(1, 2),
    stages=OFA_STAGES[1:3],
)

ALL_SPACES = (*SPACES.values(), SMALL, TINY)


@st.composite
def architectures(draw: st.DrawFn, space: SearchSpace) -> Architecture:
    """Draw an architecture of `space`."""
    stages = len(space.stages)
    depths = draw(st.lists(st.sampled_from(space.depths), min_size=stages, max_size=stages))
    layers = sum(depths)

    def choices(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.sampled_from(values), min_size=layers, max_size=layers)))

    return Architecture(
        resolution=draw(st.sampled_from(space.resolutions)),
        width=draw(st.sampled_from(space.widths)),
        depths=tuple(depths),
        kernels=choices(space.kernels),
        expand_ratios=choices(space.expand_ratios),
    )


@st.composite
def raw_populations(draw: st.DrawFn, space: SearchSpace) -> np.ndarray:
    """Draw rows of integers as operators may leave them: out of range, not canonical."""
    seed, count = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 20))
    rng = np.random.default_rng(seed)
    return rng.integers(-3, space.max_gene + 4, size=(count, space.genotype_length))
