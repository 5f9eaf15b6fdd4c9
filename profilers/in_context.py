"""The in-context method: layers are timed inside whole networks.

A layer does not depend on the choices of its neighbours, so as many networks of full depth as a block has choices (nine
in the OFA spaces) contain every block of a width and resolution. The runtime's profile of a network gives each layer's
share of the operators' time. The row of a layer is this share of the time that the network takes without a profiler.

Each of these networks mixes kernels and expand ratios. So each takes about as long as a typical architecture and
needs about as much of the caches. An error in the latency of one network is then spread over all architectures, not
only over those that resemble it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.core.latency import STATISTICS, LatencyStats
from natdeploy.core.layers import Layer, layer_names
from natdeploy.core.operators import ModelProfile, find_owners
from natdeploy.core.space import SearchSpace
from natdeploy.errors import InputError
from natdeploy.ports import ModelTimer
from natdeploy.profilers.covering_networks import make_covering_networks
from natdeploy.profilers.model_files import ModelFiles

Networks = Sequence[tuple[Layer, ...]]
Rows = dict[Layer, LatencyStats]


@dataclasses.dataclass(frozen=True, kw_only=True)
class InContextProfiler:
    """Profiles a width and resolution in context; implements `natdeploy.ports.Profiler`.

    Args:
        timer: The device, whose runtime times operators.
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
        """Return the rows of all layers of a width and resolution, and the latencies of `references`."""
        networks = make_covering_networks(space, width, resolution)
        paths = [self.files.path(layers) for layers in networks]
        whole = self.timer.time([*paths, *map(self.files.path, references)], seed=self.seed).stats
        profiles = self.timer.operators(paths, seed=self.seed)
        shares = [compute_layer_shares(layers, profile) for layers, profile in zip(networks, profiles, strict=True)]
        return merge_rows(networks, whole[: len(networks)], shares), list(whole[len(networks) :])


def compute_layer_shares(layers: tuple[Layer, ...], profile: ModelProfile) -> dict[str, float]:
    """Return the share of the operators' time of each layer, by its name."""
    names = layer_names(layers)
    found = find_owners(profile.nodes, lambda node: _layer_of(node, set(names)), last=names[-1])
    shares = dict.fromkeys(names, 0.0)
    for owner, share in zip(found, profile.shares(), strict=True):
        shares[owner] += float(share)
    return shares


def merge_rows(networks: Networks, whole: Sequence[LatencyStats], shares: Sequence[Mapping[str, float]]) -> Rows:
    """Turn shares into rows: the mean over equal layers of a network, then the median over networks.

    Raises:
        InputError: A layer has no share: the runtime counts its operators to other layers.
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
    """Return the layer whose module an operator's name starts with: `/stem/..` or `/blocks/blocks.3/..`."""
    scopes = node.strip("/").split("/")[:2]
    return next((scope for scope in scopes if scope in known), None)


def _median(rows: Sequence[LatencyStats]) -> LatencyStats:
    figures = {name: float(np.median([getattr(row, name) for row in rows])) for name in STATISTICS}
    return LatencyStats(**figures, runs=sum(row.runs for row in rows)).round()
