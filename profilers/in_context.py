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
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from natdeploy.core.architecture import Architecture
from natdeploy.core.latency import CLASSIFIER_COUNTS, LatencyStats
from natdeploy.core.layers import Layer, layer_names, walk
from natdeploy.core.space import SearchSpace
from natdeploy.ports import Clock, Runtime
from natdeploy.profilers.drift import Pass, level_ms
from natdeploy.profilers.meter import noise_image
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.timing import Timing, time_interleaved
from natdeploy.runtimes.onnx_profile import ModelProfile, owners, profile_model

Networks = Sequence[tuple[Layer, ...]]
Rows = dict[Layer, LatencyStats]
_TIMING = Timing()
_QUIET_SHARE = 0.25
_PROFILER_SHARE = 0.9


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InContext:
    """How a width and resolution is profiled.

    Args:
        timing: How the networks are timed without a profiler.
        warmup_runs: Runs of each network with the profiler on that do not count.
        profile_runs: Runs that count.
    """

    timing: Timing = _TIMING
    warmup_runs: int = 5
    profile_runs: int = 25


def covering_networks(space: SearchSpace, width: float, resolution: int) -> list[tuple[Layer, ...]]:
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


def profile_networks(
    networks: Networks,
    references: Networks,
    files: ModelFiles,
    runtime: Runtime,
    *,
    threads: int,
    clock: Clock,
    rng: np.random.Generator,
    method: InContext,
    folder: Path,
) -> Pass:
    """Measure all layers of `networks`, which are of one resolution, and the level of the machine meanwhile."""
    seed = int(rng.integers(2**31))
    paths = [files.path(layers) for layers in networks]
    sessions = [runtime.open(path, threads=threads) for path in [*paths, *map(files.path, references)]]
    calls = [session.prepare(noise_image(session.input_size, seed)) for session in sessions]
    whole = time_interleaved(calls, clock=clock, rng=rng, timing=method.timing)
    del sessions, calls
    image = noise_image(networks[0][0].in_size, seed)
    shares = []
    for layers, path in zip(networks, paths, strict=True):
        profile = profile_model(
            path, image, threads=threads, folder=folder, runs=method.profile_runs, warmup_runs=method.warmup_runs
        )
        shares.append(layer_shares(layers, profile))
    rows = merge_rows(networks, whole[: len(networks)], shares)
    return Pass(rows=rows, level_ms=level_ms(whole[len(networks) :]))


def layer_shares(layers: tuple[Layer, ...], profile: ModelProfile) -> dict[str, float]:
    """Return for each layer's name its share of the operators' time.

    An operator's time is the mean of its quietest runs less the profiler's own cost, which is about what the cheapest
    operator takes: there is always one that moves nothing (`Flatten`).
    """
    names = layer_names(layers)
    found = owners(profile.nodes, lambda node: _layer_of(node, set(names)), last=names[-1])
    quiet = np.sort(profile.times_us, axis=0)[: math.ceil(_QUIET_SHARE * len(profile.times_us))].mean(axis=0)
    times = quiet - _PROFILER_SHARE * quiet.min()
    shares = dict.fromkeys(names, 0.0)
    for owner, share in zip(found, times / times.sum(), strict=True):
        shares[owner] += float(share)
    return shares


def merge_rows(networks: Networks, whole: Sequence[LatencyStats], shares: Sequence[Mapping[str, float]]) -> Rows:
    """Turn shares into rows: equal layers of one network are averaged, of several networks the median is taken."""
    found: dict[Layer, list[LatencyStats]] = defaultdict(list)
    for layers, stats, share in zip(networks, whole, shares, strict=True):
        repeated: dict[Layer, list[float]] = defaultdict(list)
        for layer, name in zip(layers, layer_names(layers), strict=True):
            repeated[layer].append(share[name])
        for layer, parts in repeated.items():
            found[layer].append(stats.scaled(float(np.mean(parts))))
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
