"""The in-context method: layers are timed inside whole networks, which contain all of them.

A layer does not depend on its neighbours' choices, so nine networks of full depth hold every block of a width and
resolution. The runtime's profile of a network gives each layer's share of the operators' time; the row is that
share of the time that the network takes without a profiler.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.architecture import uniform
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import Layer, layer_names, walk
from natdeploy.core.space import SearchSpace
from natdeploy.ports import Clock, Runtime
from natdeploy.profilers.meter import noise_image
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.timing import Timing, garbage_collector_off, time_interleaved
from natdeploy.runtimes.onnx_profile import ModelProfile, ProfiledModel, owners

Networks = Sequence[tuple[Layer, ...]]
Rows = dict[Layer, LatencyStats]
_TIMING = Timing(rounds=15, round_s=0.02)
_QUIET_SHARE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InContext:
    """How a width and resolution is profiled.

    Args:
        timing: How the networks are timed without a profiler.
        profile_rounds: Rounds of the profiled pass.
        profile_runs: Runs of each network in such a round.
    """

    timing: Timing = _TIMING
    profile_rounds: int = 10
    profile_runs: int = 5


def covering_networks(space: SearchSpace, width: float, resolution: int) -> list[tuple[Layer, ...]]:
    """Return networks of full depth which together hold every layer of this width and resolution.

    Each has one kernel and one expand ratio everywhere. The counts of classes change so that each meets every
    kernel and every ratio.
    """
    networks = []
    for row, kernel in enumerate(space.kernels):
        for column, expand_ratio in enumerate(space.expand_ratios):
            architecture = uniform(
                space,
                resolution=resolution,
                width=width,
                depth=space.max_depth,
                kernel=kernel,
                expand_ratio=expand_ratio,
            )
            classes = CLASSIFIER_COUNTS[(row + column) % len(CLASSIFIER_COUNTS)]
            networks.append(walk(space, architecture, classes))
    return networks


def profile_networks(
    networks: Networks,
    files: ModelFiles,
    runtime: Runtime,
    *,
    threads: int,
    clock: Clock,
    rng: np.random.Generator,
    method: InContext,
    folder: Path,
) -> Rows:
    """Return the rows of all layers of `networks`, which are of one resolution."""
    paths = [files.path(layers) for layers in networks]
    image = noise_image(networks[0][0].in_size, int(rng.integers(2**31)))
    calls = [runtime.open(path, threads=threads).prepare(image) for path in paths]
    whole = time_interleaved(calls, clock=clock, rng=rng, timing=method.timing)
    del calls
    models = [ProfiledModel(path, image, threads=threads, folder=folder) for path in paths]
    profiles = _profile(models, method, rng)
    shares = [layer_shares(layers, profile) for layers, profile in zip(networks, profiles, strict=True)]
    return merge_rows(networks, whole, shares)


def layer_shares(layers: tuple[Layer, ...], profile: ModelProfile) -> Mapping[str, NDArray[np.float64]]:
    """Return for each layer's name its share of the operators' time, one value for each of the quieter runs."""
    names = layer_names(layers)
    known = set(names)
    found = owners(profile.nodes, lambda node: _layer_of(node, known), last=names[-1])
    total = profile.times_us.sum(axis=1)
    quiet = total <= np.quantile(total, _QUIET_SHARE)
    shares = profile.times_us[quiet] / total[quiet, None]
    return {
        name: shares[:, [place for place, owner in enumerate(found) if owner == name]].sum(axis=1) for name in names
    }


def merge_rows(
    networks: Networks, whole: Sequence[LatencyStats], shares: Sequence[Mapping[str, NDArray[np.float64]]]
) -> Rows:
    """Turn shares into rows: equal layers of one network are averaged, of several networks the median is taken."""
    found: dict[Layer, list[LatencyStats]] = defaultdict(list)
    for layers, stats, share in zip(networks, whole, shares, strict=True):
        repeated: dict[Layer, list[float]] = defaultdict(list)
        for layer, name in zip(layers, layer_names(layers), strict=True):
            repeated[layer].append(float(share[name].mean()))
        for layer, parts in repeated.items():
            found[layer].append(stats.scaled(float(np.mean(parts))))
    return {layer: _median(rows) for layer, rows in found.items()}


def _profile(models: Sequence[ProfiledModel], method: InContext, rng: np.random.Generator) -> list[ModelProfile]:
    with garbage_collector_off():
        for model in models:
            for _ in range(method.profile_runs):
                model.run()
        for _ in range(method.profile_rounds):
            for place in rng.permutation(len(models)):
                for _ in range(method.profile_runs):
                    models[place].run()
    return [model.finish(skip_runs=method.profile_runs) for model in models]


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
