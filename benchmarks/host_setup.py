"""The profiling setup of this machine, which the benchmarks of latency share."""

from __future__ import annotations

from natdeploy.api.context import SystemClock
from natdeploy.api.latency.timers import make_host_timer, make_timing_exporter
from natdeploy.core.device import Deployment
from natdeploy.io.devices import find_device
from natdeploy.ports import Reporter
from natdeploy.profilers.setup import ProfilingSetup


def make_host_setup(deployment: Deployment, reporter: Reporter, seed: int) -> ProfilingSetup:
    """Return what measures the layers of networks on this machine."""
    return ProfilingSetup(
        timer=make_host_timer(deployment, SystemClock()),
        exporter=make_timing_exporter(find_device(deployment.device), deployment),
        clock=SystemClock(),
        reporter=reporter,
        seed=seed,
    )
