"""Writes a network as a subnet file and a weight file beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from natdeploy.core.architecture import Architecture
from natdeploy.core.space import SearchSpace
from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.network import Network


def write_network(
    network: Network,
    *,
    space: SearchSpace,
    architecture: Architecture,
    task: Mapping[str, Any] | None,
    metrics: Mapping[str, Any],
    target: Path,
    provenance: Mapping[str, Any],
    activation: str | None = None,
) -> Subnet:
    """Write a network as the subnet file `target`, and write its weights beside it."""
    weights = target.with_suffix(".safetensors")
    write_state(weights, network.state_dict())
    subnet = Subnet(
        space=space,
        architecture=architecture,
        classes=network.classes,
        weights=weights,
        task=task,
        activation=activation,
        dropout=network.dropout.p,
        metrics=metrics,
        provenance=provenance,
        source=str(target),
    )
    write_subnet(target, subnet)
    return subnet
