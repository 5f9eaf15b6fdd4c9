"""Prints how long a profile of this machine takes, how far its predictions are off, and how often its bound holds.

The networks of this benchmark are in no fit: the correction of a table comes from others. RUNTIME is a runtime of this
machine, `onnxruntime` or `litert`.
Run: python benchmarks/latency.py [RUNTIME [NETWORKS]]
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from host_setup import open_host_setup

from natdeploy.core.device import Deployment, TableSelector, find_deployment
from natdeploy.core.latency import LatencyTable, Validation, count_searchable_blocks
from natdeploy.core.latency_correction import fit_correction_with_interval
from natdeploy.core.space import SearchSpace
from natdeploy.core.table_errors import compute_errors
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space, shipped_spaces
from natdeploy.profilers.meter import Meter
from natdeploy.profilers.references import choose_reference_place, read_reference
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.table_building import profile_device
from natdeploy.profilers.validation_networks import choose_spread_networks, draw_random_networks
from natdeploy.profilers.whole_network_validation import Networks

SPACES = (find_space("ofa-mbv3-w1.0").with_resolutions((224,)), find_space("starter"))
SPLITS, CALIBRATING = 20, 2 / 3


class Stopwatch:
    """Notes when the rows are done and the check begins."""

    def __init__(self) -> None:
        self.rows_s = 0.0
        self.started = time.perf_counter()

    def info(self, message: str) -> None:
        """Take the time of the message that begins the check."""
        print(message, file=sys.stderr)
        if message.startswith("checking"):
            self.rows_s = time.perf_counter() - self.started

    def warn(self, message: str) -> None:
        """Pass a warning on."""
        print(message, file=sys.stderr)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Pass a step on."""
        print(f"{stage} {done}/{total} {detail}", file=sys.stderr)


def profiled(space: SearchSpace, deployment: Deployment, setup: ProfilingSetup) -> LatencyTable:
    """Return a table of this machine."""
    with tempfile.TemporaryDirectory() as folder:
        return profile_device(space, deployment, setup, existing=None, journal=Path(folder) / "rows.jsonl")


def bound(table: LatencyTable, networks: Networks, measured_ms: Sequence[float], seed: int) -> tuple[float, float]:
    """Return the share of networks below the upper bound and its mean excess, over random splits."""
    sums = np.array([table.sum_ms(layers) for layers in networks])
    blocks = np.array([count_searchable_blocks(layers) for layers in networks])
    truth, rng = np.array(measured_ms), np.random.default_rng(seed)
    count = round(len(networks) * CALIBRATING)
    held, excess = [], []
    for _ in range(SPLITS):
        order = rng.permutation(len(networks))
        own, others = order[:count], order[count:]
        correction, _ = fit_correction_with_interval(sums[own].tolist(), blocks[own].tolist(), truth[own].tolist())
        corrected = dataclasses.replace(table, latency_correction=correction)
        upper = np.array([corrected.predict(networks[place]).upper_ms for place in others])
        held.append(float((truth[others] <= upper).mean()))
        excess.append(correction.upper_ratio - 1)
    return float(np.mean(held)), float(np.mean(excess))


def describe(name: str, checked: Validation) -> str:
    """Return the errors over some networks as a line of the table."""
    return (
        f"  {name:24} {checked.networks:8} {checked.mape_percent:7.2f} {checked.max_error_percent:6.2f} "
        f"{checked.within_5_percent:10.2f} {checked.spearman_rho:8.3f} {checked.kendall_tau:7.3f}"
    )


def report(space: SearchSpace, runtime: str, count: int, seed: int = 0) -> None:
    """Print the part of the table that is about one space."""
    deployment, stopwatch = find_deployment(find_device("host"), TableSelector(runtime=runtime)), Stopwatch()
    with open_host_setup(deployment, stopwatch, seed) as setup:
        table = profiled(space, deployment, setup)
        seconds = stopwatch.rows_s / len(space.resolutions)
        drawn = np.random.default_rng(seed + 1000)
        spread = choose_spread_networks(space, table, count, drawn)
        networks = [*spread, *draw_random_networks(space, 2 * count, drawn)]
        references = choose_reference_place(space).make_networks()
        timed = Meter(exporter=setup.exporter, timer=setup.timer, seed=seed).measure([*networks, *references]).stats
    reference = read_reference(table, shipped_spaces())
    level = reference.compute_level(timed[len(networks) :]) if reference else 1.0
    measured_ms = [stats.median_ms * level for stats in timed[: len(networks)]]
    predicted = [table.predict(layers).latency_ms for layers in networks]
    sums = [table.sum_ms(layers) for layers in networks]
    resolutions = ", ".join(map(str, space.resolutions))
    print(f"{space.name} at {resolutions}, {runtime} ({table.method}): {seconds:.1f} s a resolution")
    print("                           networks  MAPE %  max %  within 5 %  Spearman  Kendall")
    print(describe("spread over the range", compute_errors(predicted[:count], measured_ms[:count])))
    print(describe("random", compute_errors(predicted[count:], measured_ms[count:])))
    print(describe("spread, plain sums", compute_errors(sums[:count], measured_ms[:count])))
    print(describe("random, plain sums", compute_errors(sums[count:], measured_ms[count:])))
    share, excess = bound(table, networks, measured_ms, seed)
    print(
        f"  90 % bound over {SPLITS} splits: holds for {100 * share:.1f} %, {100 * excess:.1f} % above the prediction; "
        f"noise floor {table.conditions['noise_floor_percent']} %",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    runtime = sys.argv[1] if len(sys.argv) > 1 else "onnxruntime"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 50
    for space in SPACES:
        report(space, runtime, count)


if __name__ == "__main__":
    main()
