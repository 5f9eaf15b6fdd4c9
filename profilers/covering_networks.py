"""The few networks that together contain every layer of a width and resolution."""

from __future__ import annotations

from natdeploy.core.architecture import Architecture
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace


def make_covering_networks(space: SearchSpace, width: float, resolution: int) -> list[tuple[Layer, ...]]:
    """Return networks of full depth that together contain every layer of this width and resolution.

    There are as many networks as a slot has pairs of kernel and expand ratio, at most. From one network to the next,
    every slot advances to the next pair.
    """
    networks = []
    for number in range(max(space.max_gene, len(CLASSIFIER_COUNTS))):
        chosen = [pairs[(number + 2 * slot) % len(pairs)] for slot, pairs in enumerate(space.choices)]
        architecture = Architecture(
            resolution=resolution,
            width=width,
            depths=tuple(stage.slots for stage in space.stages),
            kernels=tuple(kernel for kernel, _ in chosen),
            expand_ratios=tuple(expand_ratio for _, expand_ratio in chosen),
        )
        networks.append(walk(space, architecture, CLASSIFIER_COUNTS[number % len(CLASSIFIER_COUNTS)]))
    return networks
