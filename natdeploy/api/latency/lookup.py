"""The latency table that a search uses, and warnings about its provenance."""

from __future__ import annotations

from collections.abc import Iterable

from natdeploy.api.context import Context
from natdeploy.api.latency.profile import profile
from natdeploy.api.latency.timers import find_runtime
from natdeploy.core.device import Deployment, find_deployment
from natdeploy.core.latency import CLASSIFIER_COUNTS, ESTIMATED, LatencyTable, list_layers
from natdeploy.core.space import SearchSpace
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import SpaceSelector
from natdeploy.io.table_store import choose_table, find_table
from natdeploy.ports import Reporter
from natdeploy.runtimes.agent import make_fingerprint


def find_table_for_search(
    space: SearchSpace, device: str, *, width: float | None, seed: int, context: Context
) -> LatencyTable:
    """Return the latency table of `device` for a search; `host` is profiled first if it has no table that covers it.

    Raises:
        InputError: There is no table of the device.
    """
    described = find_device(device)
    if described.transport != "local":
        chosen = choose_table(described, space=space).read()
        warn_of_estimates([chosen], context.reporter)
        return chosen
    deployment = find_deployment(described)
    stored = find_table(deployment)
    table = stored.read() if stored is not None else None
    if table is None or table.find_missing(list_layers(space, CLASSIFIER_COUNTS)):
        context.reporter.info(f"profiling {device} first: it has no complete latency table for {space.name}")
    elif table.fingerprint in (make_host_fingerprint(deployment), None):
        # A table without a fingerprint was imported or fitted for this machine on purpose: it is not replaced.
        warn_of_estimates([table], context.reporter)
        return table
    return profile(
        device,
        supernet=SpaceSelector(space.source, space.resolutions, width),
        seed=seed,
        context=context,
    ).content


def warn_of_estimates(tables: Iterable[LatencyTable], reporter: Reporter) -> None:
    """Warn of each device whose latencies are estimated that nothing was run there."""
    for table in tables:
        if table.provenance == ESTIMATED:
            device = table.deployment.device
            reporter.warn(f"the latencies of {device} are estimated from its description: nothing was run there")


def is_this_machine(device: str) -> bool:
    """Tell whether a device is this machine."""
    return find_device(device).transport == "local"


def make_host_fingerprint(deployment: Deployment) -> str:
    """Return the fingerprint of this machine with the runtime of a deployment."""
    return make_fingerprint(find_runtime(deployment.runtime).version())
