"""Networks that come with their own weights, as the NAT authors' `net.config` and `net.weights` do."""

from __future__ import annotations

from pathlib import Path

from natdeploy.api.context import Context
from natdeploy.api.deciding import write_network
from natdeploy.api.results import ExtractResult
from natdeploy.api.subnets import extracted, load_subnet, subnet_file
from natdeploy.errors import InputError
from natdeploy.io.datasets import load_task
from natdeploy.version import __version__


def extract_network(
    network: str | Path,
    *,
    weights: Path,
    width: float | None = None,
    classes: int | None = None,
    data: str | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> ExtractResult:
    """Write a network and the file of its own weights as a subnet.

    BatchNorm statistics stay those of the file.

    Args:
        network: A `net.config`, or a bare architecture in any layout that `read_subnet` knows.
        weights: Its weights, by natdeploy's names or those of the files that OFA and the NAT authors released.
        width: Width of an architecture whose file has none.
        classes: Outputs of the classifier of a bare architecture.
        data: Data set that the network was trained on: its classes, mean and deviation go into the subnet's file.
        output: File to write; `subnet.json` where None.
        context: Reporter and clock.

    Raises:
        InputError: A file is not valid, or the weights do not fit; names left over or missing are listed.
        OutputError: The subnet cannot be written.
    """
    context = context or Context()
    read, module = load_subnet(network, width=width, classes=classes, weights=weights, context=context)
    task = load_task(data, read.architecture.resolution, reporter=context.reporter) if data else None
    if task is not None and len(task.classes) != read.classes:
        msg = f"{data}: has {len(task.classes)} classes, the network has {read.classes}"
        raise InputError(msg)
    target = subnet_file(output)
    written = write_network(
        module,
        space=read.space,
        architecture=read.architecture,
        task=task.description() if task else None,
        metrics={},
        target=target,
        provenance={"network": Path(network).name, "weights": weights.name, "natdeploy": __version__},
        activation=read.activation,
    )
    return extracted(written, target, None)
