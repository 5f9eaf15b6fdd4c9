"""The in-context method: layers are timed inside whole networks, which contain all of them.

A layer does not depend on its neighbours' choices, so nine networks of full depth hold every block of a width and
resolution. The runtime's profile of a network gives each layer's share of the operators' time; the row is that
share of the time that the network takes without a profiler.

The nine networks mix kernels and expand ratios instead of having one of each everywhere. Each then takes about as
long, and needs about as much of the caches, as a typical architecture, and an error in the time of one network is
spread over all architectures instead of over those that look like it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.core.architecture import Architecture
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import Layer, layer_names, walk
from natdeploy.core.operators import ModelProfile, owners
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.ports import ModelTimer
from natdeploy.profilers.model_files import ModelFiles

Networks = Sequence[tuple[Layer, ...]]
Rows = dict[Layer, LatencyStats]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InContextProfiler:
    """Profiles a width and resolution in context; implements `natdeploy.ports.Profiler`.

    Args:
        timer: The device; its runtime tells operator times.
        files: Model files of the networks.
        seed: Seed of images and order.
    """

    timer: ModelTimer
    files: ModelFiles
    seed: int

    @property
    def method(self) -> str:
        """Name of the method."""
        return "in-context"

    def measure(
        self, space: SearchSpace, width: float, resolution: int, references: Networks
    ) -> tuple[Rows, list[LatencyStats]]:
        """Return the rows of all layers of this width and resolution, and the latency of `references` meanwhile."""
        networks = make_covering_networks(space, width, resolution)
        paths = [self.files.path(layers) for layers in networks]
        whole = self.timer.time([*paths, *map(self.files.path, references)], seed=self.seed)
        profiles = self.timer.operators(paths, seed=self.seed)
        shares = [compute_layer_shares(layers, profile) for layers, profile in zip(networks, profiles, strict=True)]
        return merge_rows(networks, whole[: len(networks)], shares), whole[len(networks) :]


def make_covering_networks(space: SearchSpace, width: float, resolution: int) -> list[tuple[Layer, ...]]:
    """Return networks of full depth which together hold every layer of this width and resolution.

    There are as many as pairs of kernel and expand ratio; from one network to the next, every slot goes on to the
    next pair.
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


def compute_layer_shares(layers: tuple[Layer, ...], profile: ModelProfile) -> dict[str, float]:
    """Return for each layer's name its share of the operators' time."""
    names = layer_names(layers)
    found = owners(profile.nodes, lambda node: _layer_of(node, set(names)), last=names[-1])
    shares = dict.fromkeys(names, 0.0)
    for owner, share in zip(found, profile.shares(), strict=True):
        shares[owner] += float(share)
    return shares


def merge_rows(networks: Networks, whole: Sequence[LatencyStats], shares: Sequence[Mapping[str, float]]) -> Rows:
    """Turn shares into rows: equal layers of one network are averaged, of several networks the median is taken.

    Raises:
        InputError: A layer has no share: the runtime counts its operators to those of other layers.
    """
    found: dict[Layer, list[LatencyStats]] = defaultdict(list)
    for layers, stats, share in zip(networks, whole, shares, strict=True):
        repeated: dict[Layer, list[float]] = defaultdict(list)
        for layer, name in zip(layers, layer_names(layers), strict=True):
            repeated[layer].append(share[name])
        for layer, parts in repeated.items():
            if not any(parts):
                msg = f"the runtime's profile has no time of the layer {layer.op} at size {layer.in_size}"
                hint = "measure whole networks instead, and make a table of them with: natdeploy tables fit"
                raise InputError(msg, hint=hint)
            found[layer].append(stats.scale(float(np.mean(parts))))
    return {layer: _median(rows) for layer, rows in found.items()}


def _layer_of(node: str, known: set[str]) -> str | None:
    """Return the layer whose module an operator's name begins with: `/stem/..` or `/blocks/blocks.3/..`."""
    scopes = node.strip("/").split("/")[:2]
    return next((scope for scope in scopes if scope in known), None)


def _median(rows: Sequence[LatencyStats]) -> LatencyStats:
    figures = {
        name: round(float(np.median([getattr(row, name) for row in rows])), 6)
        for name in ("median_ms", "p10_ms", "p90_ms", "mean_ms", "std_ms")
    }
    return LatencyStats(**figures, runs=sum(row.runs for row in rows))
