"""Extraction: subnets with their weights from supernets, runs and published networks."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.api.context import Context
from natdeploy.api.results import Result
from natdeploy.api.searching.plan import SearchPlan
from natdeploy.api.subnets import load_subnet
from natdeploy.core.checked import checked
from natdeploy.core.ranges import NonNegative, Positive, Resolution
from natdeploy.errors import InputError
from natdeploy.files import keep_former, require_apart
from natdeploy.io.run_config import move_data
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import SpaceSelector, resolve_space
from natdeploy.io.subnets import Subnet, SubnetSource, read_subnet
from natdeploy.ports import Reporter
from natdeploy.supernet.threads import use_threads
from natdeploy.version import __version__

if TYPE_CHECKING:
    from natdeploy.api.searching.selection import Selector


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractResult(Result):
    """A subnet that was written.

    Args:
        subnet: The subnet file.
        weights: The weight file.
        architecture: The architecture, with the keys of the NAT authors; None for a network of no search space.
        validation_top1: Top-1 accuracy on validation images; None if it was not evaluated.
    """

    subnet: Path
    weights: Path
    architecture: Mapping[str, Any] | None
    validation_top1: float | None


@checked
def extract(
    architecture: str | Path,
    *,
    supernet: str,
    weights: Path | str | None = None,
    width: float | None = None,
    resolution: Resolution | None = None,
    classes: Positive | None = None,
    data: str | Path | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> ExtractResult:
    """Extract a subnet from the weights of a supernet. Its task is that of the weights, if their file names one.

    Args:
        architecture: The architecture, in any layout that `read_subnet` knows.
        supernet: Search space of the weights.
        weights: A file, or `released`; the packaged weights of the supernet if None.
        width: Width of an architecture whose file has none.
        resolution: Height and width of the input images of an architecture whose file does not state them.
        classes: Outputs of the classifier; as many as the weight file has if None.
        data: Data set whose train images give new BatchNorm statistics. If None, those of the supernet are kept.
        output: File to write; `subnet.json` if None.
        context: Reporter and clock.

    Raises:
        InputError: A file is not valid, or weights and supernet do not fit.
        OutputError: The subnet cannot be written.
    """
    context = context or Context()
    _require_apart(output, architecture, *([weights] if weights else []))
    read = read_subnet(architecture, supernet=supernet, width=width, resolution=resolution)
    chosen = read.require_member()[1]
    space = resolve_space(SpaceSelector(supernet, width=chosen.width))
    # Bad names are refused before this is imported, since torch takes seconds.
    from natdeploy.api.supernet_files import SupernetFile
    from natdeploy.io.subnet_weights import write_network

    file = SupernetFile.open(space, weights, classes=classes, reporter=context.reporter)
    taken = file.take(chosen, data or None)
    top1 = taken.validation_top1
    subnet = Subnet(
        space=space,
        architecture=chosen,
        classes=taken.network.classes,
        task=taken.task,
        metrics={} if top1 is None else {"validation_top1": top1},
        provenance={"supernet_weights": file.path.name, "natdeploy": __version__},
    )
    return _make_result(write_network(taken.network, subnet, _make_room(output, context.reporter)), top1)


@checked
def extract_from_run(
    run: Path,
    *,
    row: NonNegative | None = None,
    latency_limits_ms: Mapping[str, float] | float | None = None,
    output: Path | None = None,
    data: str | Path | None = None,
    context: Context | None = None,
) -> ExtractResult:
    """Extract any architecture in the archive of a finished run, without another search or training.

    Args:
        run: Run folder.
        row: The architecture's `row` in `archive.csv` or `front.csv`.
        latency_limits_ms: Latency limits in milliseconds, by device, instead of a row. A number is for the only
            device of the run. Without either, the most accurate architecture is extracted.
        output: File to write; `subnet.json` if None.
        data: Folder where the images of the run are now. None: they are where they were.
        context: Reporter and clock.

    Raises:
        InputError: The run is not finished, has no such row, or its images have changed.
        TargetUnreachableError: No architecture of the archive keeps the limits.
        OutputError: The subnet cannot be written.
    """
    from natdeploy.api.latency.lookup import warn_of_estimates
    from natdeploy.api.searching.archive import TrainedSubnets, load_evaluator, read_archive
    from natdeploy.api.searching.problem import read_problem
    from natdeploy.api.searching.selection import Selector

    context = context or Context()
    folder = RunFolder.open(run)
    plan = move_data(SearchPlan.from_config(folder.config, str(run / "run.toml")), data)
    archive = read_archive(folder, plan)
    evaluator = load_evaluator(folder, plan, context)
    problem = read_problem(folder, plan, len(evaluator.task.classes))
    limits_ms = _name_devices(latency_limits_ms, tuple(problem.tables), run)
    warn_of_estimates([problem.tables[device] for device in limits_ms if device in problem.tables], context.reporter)
    selector = Selector(problem=problem, archive=archive, run=folder, seed=plan.seed, context=context)
    place = _find_place(selector, limits_ms) if row is None else _check_row(row, selector)
    path = resolve_subnet_path(output)
    if (path.parent / "run.toml").exists():
        msg = f"{path}: a run keeps its own choice there"
        raise InputError(msg, hint="choose another place with --output")
    path = _make_room(output, context.reporter)
    top1 = float(archive.top1[place])
    writer = TrainedSubnets(selector=selector, evaluator=evaluator)
    with use_threads(plan.threads):
        subnet = writer.write(place, path, {"validation_top1": top1})
    return _make_result(subnet, top1)


def _name_devices(
    limits_ms: Mapping[str, float] | float | None, devices: Sequence[str], run: Path
) -> Mapping[str, float]:
    """Return latency limits by device; a number is for the only device of a run."""
    if limits_ms is None or isinstance(limits_ms, Mapping):
        return limits_ms or {}
    if len(devices) != 1:
        msg = (
            f"{run}: a latency limit needs its device, because the run was searched for {', '.join(devices) or 'none'}"
        )
        raise InputError(msg, hint="write --target-latency DEVICE=20ms" if devices else "give a --row instead")
    return {devices[0]: limits_ms}


def resolve_subnet_path(output: Path | None) -> Path:
    """Return the subnet file for `--output`, which is a file, or a folder for `subnet.json`."""
    if output is None:
        return Path("subnet.json")
    return output / "subnet.json" if output.is_dir() or output.suffix != ".json" else output


def _require_apart(output: Path | None, *read: str | Path) -> None:
    path = resolve_subnet_path(output)
    # An encoding is no file, and may be longer than the name of one.
    require_apart([path, path.with_suffix(".safetensors")], [Path(name) for name in read if os.path.exists(name)])  # noqa: PTH110


def _make_room(output: Path | None, reporter: Reporter) -> Path:
    """Return the file to write. What is there and was not named by the user is kept as `.bak`."""
    path = resolve_subnet_path(output)
    if output is None:
        for former in (path, path.with_suffix(".safetensors")):
            kept = keep_former(former)
            if kept is not None:
                reporter.info(f"the {former.name} that was there is kept as {kept.name}")
    return path


def _find_place(selector: Selector, limits_ms: Mapping[str, float]) -> int:
    run, known = selector.run.path, selector.problem.tables
    unknown = [device for device in limits_ms if device not in known]
    if unknown:
        msg = f"{run}: was not searched for device {unknown[0]!r} (its devices: {', '.join(known)})"
        command = shlex.join(["natdeploy", "search", "--from", str(run), "--device", unknown[0]])
        raise InputError(msg, hint=f"select for it with: {command}")
    return selector.select(limits_ms)[0]


def _check_row(row: int, selector: Selector) -> int:
    if not 0 <= row < len(selector.archive):
        msg = f"{selector.run.path}: the archive has no row {row} (rows: 0 to {len(selector.archive) - 1})"
        raise InputError(msg)
    return row


def _make_result(subnet: Subnet, top1: float | None) -> ExtractResult:
    assert subnet.weights is not None
    return ExtractResult(
        subnet=Path(subnet.source),
        weights=subnet.weights,
        architecture=subnet.architecture.to_json() if subnet.architecture is not None else None,
        validation_top1=top1,
    )


@checked
def extract_network(
    network: SubnetSource,
    *,
    data: str | Path | None = None,
    output: Path | None = None,
    context: Context | None = None,
) -> ExtractResult:
    """Write a network with its own weight file as a subnet. The BatchNorm statistics of the file are kept.

    Args:
        network: A `net.config`, or a bare architecture in any layout that `read_subnet` knows, with the file of its
            weights. They have natdeploy's names, or the names in the files that OFA and the NAT authors released.
        data: Data set that the network was trained on. Its classes, mean and deviation go into the subnet file.
        output: File to write; `subnet.json` if None.
        context: Reporter and clock.

    Raises:
        InputError: A file is not valid, or the weights do not fit. Unexpected and missing names are listed.
        OutputError: The subnet cannot be written.
    """
    context = context or Context()
    if network.weights is None:
        msg = f"{network.source}: its weight file is missing"
        raise InputError(msg)
    _require_apart(output, network.source, network.weights)
    read, module = load_subnet(network, context=context)
    from natdeploy.io.datasets import load_task
    from natdeploy.io.subnet_weights import write_network

    task = load_task(data, read.resolution, reporter=context.reporter) if data else None
    if task is not None and len(task.classes) != read.classes:
        msg = f"{data}: has {len(task.classes)} classes, the network has {read.classes}"
        raise InputError(msg)
    subnet = Subnet(
        space=read.space,
        architecture=read.architecture,
        own_layers=read.own_layers,
        classes=module.classes,
        task=task.describe() if task else None,
        activation=read.activation,
        provenance={"network": network.path.name, "weights": network.weights.name, "natdeploy": __version__},
    )
    return _make_result(write_network(module, subnet, _make_room(output, context.reporter)), None)
