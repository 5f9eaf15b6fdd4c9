"""Predicting the latency of a subnet by a latency table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.latency.lookup import is_this_machine, make_host_fingerprint, warn_of_estimates
from natdeploy.api.latency.results import PredictResult
from natdeploy.core.checked import checked
from natdeploy.core.device import DEFAULT_TABLE, TableSelector
from natdeploy.core.latency import describe_profile
from natdeploy.errors import CoverageError
from natdeploy.io.devices import find_device
from natdeploy.io.subnets import SubnetSource
from natdeploy.io.table_store import choose_table


@checked
def predict(
    subnet: str | Path | SubnetSource,
    device: str = "host",
    *,
    selector: TableSelector = DEFAULT_TABLE,
    context: Context | None = None,
) -> PredictResult:
    """Predict the latency of a subnet by a latency table of a device; nothing is run.

    Args:
        subnet: A subnet, or an architecture alone.
        device: Name of the device.
        selector: Which of the device's tables is meant.
        context: Reporter and clock.

    Raises:
        CoverageError: The table does not cover the subnet; the message names what is missing.
        InputError: The subnet or the table is not valid, or there is no table.
    """
    read = SubnetSource.of(subnet).read()
    stored = choose_table(find_device(device), selector, read.space)
    table = stored.read()
    reporter = (context or Context()).reporter
    warn_of_estimates([table], reporter)
    if is_this_machine(device) and table.fingerprint not in (make_host_fingerprint(table.deployment), None):
        reporter.warn(f"{stored.path}: measured on another machine or runtime ({table.fingerprint})")
    try:
        prediction = table.predict(read.layers)
    except CoverageError as error:
        msg = f"{stored.path}: {error.message}"
        if read.space is None:
            hint = "the network is in no search space that could be profiled; time it with: natdeploy measure"
        else:
            hint = describe_profile(device, dataclasses.replace(read.space, resolutions=(read.resolution,)))
        raise CoverageError(msg, hint=hint) from error
    return PredictResult(
        device=device,
        runtime=table.deployment.runtime,
        prediction=prediction,
        provenance=table.provenance,
        table=stored.path,
    )
