"""Search spaces with other choices, for tests."""

from __future__ import annotations

import dataclasses

from natdeploy.core.space import SearchSpace


def with_choices(
    space: SearchSpace,
    *,
    kernels: tuple[int, ...] | None = None,
    expand_ratios: tuple[float, ...] | None = None,
    depths: tuple[int, ...] | None = None,
) -> SearchSpace:
    """Return the space with the given choices in every stage; expand ratios are those of its first block."""
    stages = []
    for stage in space.stages:
        own_depths = depths or stage.depths
        ratios = (expand_ratios or stage.expand_ratios[0],) * own_depths[-1]
        stages.append(
            dataclasses.replace(stage, kernels=kernels or stage.kernels, expand_ratios=ratios, depths=own_depths)
        )
    return dataclasses.replace(space, stages=tuple(stages))
