"""Inspecting subnets, and building their networks with their weights."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.context import Context
from natdeploy.api.results import Result
from natdeploy.core.checked import checked
from natdeploy.core.genotype import encode
from natdeploy.core.latency import describe_layer
from natdeploy.core.layers import layer_names
from natdeploy.core.ranges import Seed
from natdeploy.io.encodings import to_encoding
from natdeploy.io.subnets import Subnet, SubnetSource
from natdeploy.io.supernet_weights import find_packaged_task
from natdeploy.supernet.weight_files import require_weight_file

if TYPE_CHECKING:
    from natdeploy.supernet.network import Network

__all__ = ["InspectResult", "LayerCost", "SubnetSource", "inspect", "load_subnet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCost:
    """Cost of one layer."""

    name: str
    description: str
    in_size: int
    madds: int
    params: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectResult(Result):
    """Layers and costs of a subnet.

    Supernet and architecture are None if the network is in no search space. Genotype and encoding are None then, or if
    the space does not list the resolution.
    """

    supernet: str | None
    architecture: Mapping[str, Any] | None
    genotype: tuple[int, ...] | None
    encoding: str | None
    classes: int
    activation: str | None
    weights: Path | None
    madds: int
    params: int
    peak_memory_bytes: int
    layers: tuple[LayerCost, ...]
    metrics: Mapping[str, Any]


@checked
def inspect(
    subnet: str | Path | SubnetSource,
) -> InspectResult:
    """Return the layers of a subnet and their costs.

    Raises:
        InputError: The subnet is not valid, its own weight file does not begin like one, or the given weights do not
            fit it. The message lists names that are unexpected or missing.
    """
    source = SubnetSource.of(subnet)
    read = source.read()
    layers, space, architecture = read.layers, read.space, read.architecture
    if source.weights is None and read.weights is not None:
        require_weight_file(read.weights)
    if source.weights is not None:
        from natdeploy.supernet.checkpoints import load_network_weights
        from natdeploy.supernet.network import build_network

        load_network_weights(build_network(layers), source.weights)
    genotype = None
    if space is not None and architecture is not None and architecture.resolution in space.resolutions:
        genotype = tuple(encode(space, architecture).tolist())
    return InspectResult(
        supernet=None if space is None else space.name,
        architecture=None if architecture is None else architecture.to_json(),
        genotype=genotype,
        encoding=None if architecture is None else to_encoding(architecture),
        classes=read.classes,
        activation=read.activation,
        weights=read.weights,
        madds=sum(layer.madds for layer in layers),
        params=sum(layer.params for layer in layers),
        peak_memory_bytes=max(layer.peak_memory_bytes for layer in layers),
        layers=tuple(
            LayerCost(
                name=name,
                description=describe_layer(layer),
                in_size=layer.in_size,
                madds=layer.madds,
                params=layer.params,
            )
            for name, layer in zip(layer_names(layers), layers, strict=True)
        ),
        metrics=read.metrics,
    )


@checked
def load_subnet(
    subnet: str | Path | SubnetSource,
    *,
    seed: Seed = 0,
    context: Context | None = None,
) -> tuple[Subnet, Network]:
    """Return a subnet and its network, a plain `torch.nn.Module` in evaluation mode.

    A bare architecture without weights gets seeded random weights, with a warning.

    Raises:
        InputError: The subnet is not valid, or its weights do not fit. The message lists unexpected or missing names.
    """
    from natdeploy.supernet.checkpoints import load_network_weights
    from natdeploy.supernet.initialize import randomize_weights
    from natdeploy.supernet.network import build_network

    context = context or Context()
    read = SubnetSource.of(subnet).read()
    network = build_network(read.layers, dropout=read.dropout)
    if read.weights is None:
        context.reporter.warn(explain_random_weights(read))
        return read, randomize_weights(network, seed)
    load_network_weights(network, read.weights, context.reporter.info)
    return read, network


def explain_random_weights(subnet: Subnet) -> str:
    """Return the message for a bare architecture. It names the command that gives it weights, if there is one.

    Raises:
        InputError: Weights are packaged for its space, and their file is damaged.
    """
    msg = f"{subnet.source} has no weights and gets random ones: good to measure, useless to deploy"
    task = None if subnet.space is None else find_packaged_task(subnet.space)
    if subnet.space is None or task is None:
        return msg
    command = shlex.join(["natdeploy", "extract", subnet.source, "--supernet", subnet.space.name])
    return f"{msg}; {command} gives it the weights of a classifier for {task['dataset']}"
