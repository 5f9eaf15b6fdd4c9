"""Prints how long a profile of this machine takes, and how far its sums are from whole networks really run.

Run as `python benchmarks/latency.py [NETWORKS]`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from natdeploy.api.context import SystemClock
from natdeploy.core.calibration import compare
from natdeploy.core.space import SearchSpace, find_space
from natdeploy.export.onnx import OnnxExporter
from natdeploy.io.devices import find_device, target_of
from natdeploy.profilers.build import profile_device
from natdeploy.profilers.local_timer import LocalTimer
from natdeploy.profilers.meter import Meter
from natdeploy.profilers.passes import Bench
from natdeploy.profilers.validation import random_networks
from natdeploy.runtimes.onnx_runtime import OnnxRuntime

SPACES = (find_space("ofa-mbv3-w1.0").with_resolutions((224,)), find_space("starter"))


class Stopwatch:
    """Notes when the rows are done and the check begins."""

    def __init__(self) -> None:
        self.rows_s = 0.0
        self.started = time.perf_counter()

    def info(self, message: str) -> None:
        """Take the time of the message that begins the check."""
        if message.startswith("checking"):
            self.rows_s = time.perf_counter() - self.started

    def warn(self, message: str) -> None:
        """Pass a warning on."""
        print(message, file=sys.stderr)

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Pass a step on."""
        print(f"{stage} {done}/{total} {detail}", file=sys.stderr)


def measure(space: SearchSpace, networks: int, seed: int) -> str:
    """Return one line of the table."""
    device, clock, reporter = find_device("host"), SystemClock(), Stopwatch()
    timer = LocalTimer(runtime=OnnxRuntime(), threads=1, clock=clock)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(timer=timer, exporter=OnnxExporter(), clock=clock, reporter=reporter, seed=seed)
        journal = Path(folder) / "rows.jsonl"
        table = profile_device(
            space, target_of(device), bench, existing=None, journal=journal, validate_networks=networks
        )
    drawn = random_networks(space, networks, np.random.default_rng(seed + 1))
    meter = Meter(exporter=OnnxExporter(), timer=timer, seed=seed)
    measured = [stats.median_ms for stats in meter.measure(drawn)]
    plain = compare([table.predict(layers).latency_ms for layers in drawn], measured)
    spread = table.validation
    assert spread is not None
    per_resolution_s = reporter.rows_s / len(space.resolutions)
    return (
        f"{space.name:14} {len(space.resolutions):11} {per_resolution_s:12.1f} {spread.mape_percent:7.2f} "
        f"{spread.max_error_percent:6.2f} {spread.within_5_percent:10.2f} {spread.kendall_tau:5.3f} "
        f"{plain.mape_percent:12.2f} {plain.kendall_tau:11.3f}"
    )


def main() -> None:
    """Print the table."""
    networks = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    print(f"{networks} networks spread evenly over predicted latency, and {networks} plainly random ones")
    print("space          resolutions s/resolution  MAPE %  max %  within 5 %   tau  random MAPE  random tau")
    for space in SPACES:
        print(measure(space, networks, seed=0), flush=True)


if __name__ == "__main__":
    main()
