"""The few networks that together contain every layer of a width and resolution."""

from __future__ import annotations

from natdeploy.core.architecture import Architecture
from natdeploy.core.latency import CLASSIFIER_COUNTS
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace


def make_covering_networks(space: SearchSpace, width: float, resolution: int) -> list[tuple[Layer, ...]]:
    """Return networks of full depth that together contain every layer of this width and resolution.

    There is one network for each pair of kernel and expand ratio. From one network to the next, every slot advances to
    the next pair.
    """
    pairs = [(kernel, expand_ratio) for expand_ratio in space.expand_ratios for kernel in space.kernels]
    networks = []
    for number in range(max(len(pairs), len(CLASSIFIER_COUNTS))):
        chosen = [pairs[(number + 2 * slot) % len(pairs)] for slot in range(space.slots)]
        architecture = Architecture(
            resolution=resolution,
            width=width,
            depths=(space.max_depth,) * len(space.stages),
            kernels=tuple(kernel for kernel, _ in chosen),
            expand_ratios=tuple(expand_ratio for _, expand_ratio in chosen),
        )
        networks.append(walk(space, architecture, CLASSIFIER_COUNTS[number % len(CLASSIFIER_COUNTS)]))
    return networks
