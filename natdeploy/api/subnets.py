"""Looking at subnets, building them with their weights, and taking them out of supernets and runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.api.context import Context, prepare_torch, resolve_space
from natdeploy.api.results import ExtractResult, InspectResult, LayerCost
from natdeploy.api.settings import SearchPlan
from natdeploy.core.genotype import encode, to_encoding
from natdeploy.core.latency import describe_layer
from natdeploy.core.layers import layer_names, walk
from natdeploy.errors import InputError
from natdeploy.io.runs import RunFolder
from natdeploy.io.subnets import Subnet, read_subnet, read_with_classes
from natdeploy.io.tables import read_table
from natdeploy.version import __version__

if TYPE_CHECKING:
    from natdeploy.api.deciding import Decider
    from natdeploy.supernet.network import Network


def inspect(
    subnet: str | Path,
    *,
    supernet: str | None = None,
    width: float | None = None,
    classes: int | None = None,
    weights: Path | None = None,
) -> InspectResult:
    """Return the layers of a subnet and what they cost.

    Raises:
        InputError: The subnet is not valid, or `weights` do not fit it; names left over or missing are listed.
    """
    read = read_with_classes(subnet, supernet=supernet, width=width, classes=classes, weights=weights)
    layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
    if weights is not None:
        from natdeploy.supernet.checkpoints import load_network_weights
        from natdeploy.supernet.network import build_network

        load_network_weights(build_network(layers), weights)
    listed = read.architecture.resolution in read.space.resolutions
    return InspectResult(
        supernet=read.space.name,
        architecture=read.architecture.to_json(),
        genotype=tuple(encode(read.space, read.architecture).tolist()) if listed else None,
        encoding=to_encoding(read.architecture),
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


def load_subnet(
    subnet: str | Path,
    *,
    supernet: str | None = None,
    width: float | None = None,
    classes: int | None = None,
    weights: Path | None = None,
    seed: int = 0,
    context: Context | None = None,
) -> tuple[Subnet, Network]:
    """Return a subnet and its network, a plain `torch.nn.Module` in evaluation mode.

    A bare architecture without `weights` gets seeded random ones, and a warning says so.

    Raises:
        InputError: The subnet is not valid, or its weights do not fit; names left over or missing are listed.
    """
    from natdeploy.supernet.checkpoints import load_network_weights
    from natdeploy.supernet.initialize import random_weights
    from natdeploy.supernet.network import build_network

    context = context or Context()
    read = read_with_classes(subnet, supernet=supernet, width=width, classes=classes, weights=weights)
    prepare_torch(None)
    layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
    network = build_network(layers, dropout=read.dropout)
    if read.weights is None:
        context.reporter.warn(f"{read.source} has no weights: it gets random ones, good to measure, useless to deploy")
        return read, random_weights(network, seed)
    load_network_weights(network, read.weights)
    return read, network


def extract(
    architecture: str | Path,
    *,
    supernet: str,
    weights: Path | str | None = None,
    width: float | None = None,
    classes: int | None = None,
    data: str | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> ExtractResult:
    """Take a subnet out of the weights of a supernet.

    Args:
        architecture: The architecture, in any layout that `read_subnet` knows.
        supernet: Search space of the weights.
        weights: A file, or `released`; the weights packaged for the supernet where None.
        width: Width of an architecture whose file has none.
        classes: Outputs of the classifier; as many as the weight file has where None.
        data: Data set whose train images BatchNorm statistics are taken from anew; without it they stay the supernet's.
        output: File to write; `subnet.json` where None.
        context: Reporter and clock.

    Raises:
        InputError: A file is not valid, or weights and supernet do not fit.
        OutputError: The subnet cannot be written.
    """
    from natdeploy.api.deciding import write_network
    from natdeploy.api.starting_weights import required_weights
    from natdeploy.io.datasets import load_task
    from natdeploy.supernet.checkpoints import classifier_outputs
    from natdeploy.supernet.evaluation import SubnetEvaluator
    from natdeploy.supernet.supernet import Supernet

    context = context or Context()
    prepare_torch(None)
    read = read_subnet(architecture, supernet=supernet, width=width)
    space = resolve_space(supernet, width=read.architecture.width)
    file = required_weights(space, weights, reporter=context.reporter).files[0]
    count = classes or classifier_outputs(file.path)
    model = Supernet(space, count)
    if not model.load_weights(file.path, file.width):
        msg = f"{file.path}: its classifier does not have {count} outputs"
        raise InputError(msg)
    task = load_task(data, read.architecture.resolution, reporter=context.reporter) if data else None
    if task is not None and len(task.classes) != count:
        msg = f"{data}: has {len(task.classes)} classes, the weights are for {count}"
        raise InputError(msg, hint="adapt the supernet to the data first: natdeploy adapt")
    if task is None:
        context.reporter.warn("without --data the BatchNorm statistics stay those of the supernet, not of this subnet")
        network, top1 = model.engine(read.architecture.width).extract(read.architecture).eval(), None
    else:
        evaluator = SubnetEvaluator(model, task)
        network, top1 = evaluator.subnet(read.architecture), evaluator.top1(read.architecture)
    target = subnet_file(output)
    subnet = write_network(
        network,
        space=space,
        architecture=read.architecture,
        task=task.description() if task else None,
        metrics={} if top1 is None else {"validation_top1": top1},
        target=target,
        provenance={"supernet_weights": file.path.name, "natdeploy": __version__},
    )
    return extracted(subnet, target, top1)


def extract_from_run(
    run: Path,
    *,
    row: int | None = None,
    targets: Mapping[str, float] | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> ExtractResult:
    """Take any architecture of a finished run's archive out of its supernet, without searching or training again.

    Args:
        run: Run folder.
        row: The architecture's `row` in `archive.csv` or `front.csv`.
        targets: Milliseconds by device, instead of a row; without either the most accurate architecture is meant.
        output: File to write; `subnet.json` where None.
        context: Reporter and clock.

    Raises:
        InputError: The run is not finished, or has no such row.
        TargetUnreachableError: No architecture of the archive meets the target.
        OutputError: The subnet cannot be written.
    """
    from natdeploy.api.deciding import decider_of_run
    from natdeploy.api.latency import warn_of_estimates

    context = context or Context()
    folder = RunFolder.open(run)
    plan = SearchPlan.from_settings(folder.settings, str(run / "run.toml"))
    tables = {device: read_table(folder.tables / f"{device}.csv") for device in plan.devices}
    warn_of_estimates([tables[device] for device in targets or {} if device in tables], context.reporter)
    prepare_torch(plan.threads)
    decider = decider_of_run(folder, plan, tables, context)
    place = _place(decider, row, targets or {}, run)
    target = subnet_file(output)
    if (target.parent / "run.toml").exists():
        msg = f"{target}: a run keeps its own choice there"
        raise InputError(msg, hint="choose another place with --output")
    subnet = decider.write(place, target, {"validation_top1": float(decider.top1[place])})
    return extracted(subnet, target, float(decider.top1[place]))


def subnet_file(output: Path | None) -> Path:
    """Return the subnet file that `--output` means: a file, or a folder to write `subnet.json` in."""
    if output is None:
        return Path("subnet.json")
    return output / "subnet.json" if output.is_dir() or output.suffix != ".json" else output


def _place(decider: Decider, row: int | None, targets: Mapping[str, float], run: Path) -> int:
    if row is None:
        unknown = [device for device in targets if device not in decider.tables]
        if unknown:
            msg = f"{run}: was not searched for device {unknown[0]!r} (its devices: {', '.join(decider.tables)})"
            hint = f"decide again for it: natdeploy search --from {run} --device {unknown[0]}"
            raise InputError(msg, hint=hint)
        return decider.choose_place(targets)[0]
    if not 0 <= row < len(decider.archive):
        msg = f"{run}: the archive has no row {row} (rows: 0 to {len(decider.archive) - 1})"
        raise InputError(msg)
    return row


def extracted(subnet: Subnet, target: Path, top1: float | None) -> ExtractResult:
    """Return the result of writing a subnet with its weights as the file `target`."""
    assert subnet.weights is not None
    return ExtractResult(
        subnet=target, weights=subnet.weights, architecture=subnet.architecture.to_json(), validation_top1=top1
    )
