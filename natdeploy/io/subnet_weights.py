"""Writes a network as a subnet file and a weight file beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from natdeploy.io.subnets import Subnet, write_subnet
from natdeploy.supernet.checkpoints import write_state
from natdeploy.supernet.network import Network


def write_network(network: Network, subnet: Subnet, path: Path) -> Subnet:
    """Write `network` as the subnet file `path`, with its weights beside it.

    Args:
        network: The network.
        subnet: Content of the file. Weights, dropout and source are replaced.
        path: The subnet file.

    Returns:
        The subnet as it was written.

    Raises:
        OutputError: A file cannot be written.
    """
    weights = path.with_suffix(".safetensors")
    write_state(weights, network.state_dict())
    written = dataclasses.replace(subnet, weights=weights, dropout=network.dropout.p, source=str(path))
    write_subnet(path, written)
    return written
