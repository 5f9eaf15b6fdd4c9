"""The profiling setup of this machine, which the benchmarks of latency share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from natdeploy.api.context import Context
from natdeploy.api.latency.timers import make_timing_exporter, open_timer
from natdeploy.core.device import Deployment
from natdeploy.io.devices import find_device
from natdeploy.ports import Reporter
from natdeploy.profilers.setup import ProfilingSetup


@contextlib.contextmanager
def open_host_setup(deployment: Deployment, reporter: Reporter, seed: int) -> Iterator[ProfilingSetup]:
    """Yield what measures the layers of networks on this machine."""
    context, device = Context(reporter=reporter), find_device(deployment.device)
    with open_timer(device, deployment, context) as timer:
        yield ProfilingSetup(
            timer=timer,
            exporter=make_timing_exporter(device, deployment),
            clock=context.clock,
            reporter=reporter,
            seed=seed,
        )
