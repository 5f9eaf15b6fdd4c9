"""Exporting subnets as checked files."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.api.context import Context
from natdeploy.api.latency import measure_file
from natdeploy.api.results import jsonable
from natdeploy.api.subnets import load_subnet
from natdeploy.api.timers import runtime_of
from natdeploy.core.device import Target
from natdeploy.errors import InputError, NatdeployError
from natdeploy.io.devices import find_device, target_of
from natdeploy.io.subnets import Subnet
from natdeploy.ports import Images

if TYPE_CHECKING:
    from natdeploy.export.manifest import Description
    from natdeploy.export.pipeline import Exported

_IMAGES = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportResult:
    """Files that were written, one for each format."""

    exports: tuple[Exported, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        documents = [{**jsonable(exported), "parity": exported.parity.to_json()} for exported in self.exports]
        return {"ok": True, **documents[0]} if len(documents) == 1 else {"ok": True, "exports": documents}


def export(
    subnet: str | Path,
    formats: Sequence[str] = ("onnx",),
    *,
    output: Path | None = None,
    supernet: str | None = None,
    width: float | None = None,
    classes: int | None = None,
    weights: Path | None = None,
    seed: int = 0,
    context: Context | None = None,
) -> ExportResult:
    """Export a subnet, checked against the torch network on real images of its task.

    Args:
        subnet: The subnet.
        formats: Formats to write.
        output: File, or folder; beside the subnet where None.
        supernet: Space of a bare architecture.
        width: Width of an architecture whose file has none.
        classes: Outputs of the classifier of a bare architecture.
        weights: Weight file of a bare architecture or a `net.config`.
        seed: Seed of the weights of a bare architecture, and of the choice of images.
        context: Reporter and clock.

    Raises:
        CheckFailedError: A file does not compute what the subnet computes; it is kept as `*.rejected` only.
        InputError: The subnet, a format or the data is not valid.
        MissingRuntimeError: A package that a format needs is not installed.
        OutputError: A file cannot be written.
    """
    from natdeploy.export.formats import find_format
    from natdeploy.export.pipeline import export_network

    context = context or Context()
    chosen = {name: find_format(name) for name in dict.fromkeys(formats)}
    targets = {
        name: _target(Path(subnet), entry.exporter.suffix, output, len(chosen)) for name, entry in chosen.items()
    }
    read, network = load_subnet(
        subnet, supernet=supernet, width=width, classes=classes, weights=weights, seed=seed, context=context
    )
    images, checked_on = parity_images(read, seed, context)
    host = find_device("host")
    exports = []
    for number, (name, entry) in enumerate(chosen.items()):
        context.reporter.progress("export", number, len(chosen), name)
        target = target_of(host, runtime=entry.runtime.id)

        exports.append(
            export_network(
                network,
                exporter=entry.exporter,
                runtime=entry.runtime,
                target=targets[name],
                images=images,
                description=_description(read, checked_on),
                latency=functools.partial(_measured, target=target, seed=seed, context=context),
            )
        )
    context.reporter.progress("export", len(chosen), len(chosen))
    return ExportResult(exports=tuple(exports))


def parity_images(subnet: Subnet, seed: int, context: Context) -> tuple[Images, str]:
    """Return normalized images to check a file with, and what they are: `task images`, or else seeded `noise`."""
    from natdeploy.io.datasets import load_task

    resolution = subnet.architecture.resolution
    if subnet.task is not None:
        try:
            task = load_task(subnet.task["dataset"], resolution, memory_bytes=0, download=False)
        except NatdeployError as error:
            context.reporter.warn(f"the images of the task cannot be read ({error.message}): checked on noise instead")
        else:
            count = min(_IMAGES, len(task.validation))
            chosen = np.random.default_rng(seed).permutation(len(task.validation))[:count]
            prepared = task.prepare(task.validation.subset(chosen).pixels(), resolution)
            return np.ascontiguousarray(prepared.numpy()), "task images"
    else:
        context.reporter.info(f"{subnet.source} names no task: the exported file is checked on seeded noise")
    noise = np.random.default_rng(seed).standard_normal((_IMAGES, 3, resolution, resolution))
    return noise.astype(np.float32), "noise"


def _target(subnet: Path, suffix: str, output: Path | None, count: int) -> Path:
    name = f"{subnet.stem}{suffix}"
    if output is None:
        return subnet.parent / name if subnet.exists() else Path(f"subnet{suffix}")
    if output.is_dir() or not output.suffix:
        return output / name
    if count > 1:
        msg = f"--output {output} is one file; {count} formats need a folder"
        raise InputError(msg)
    if output.suffix != suffix:
        msg = f"--output {output}: a file of this format ends in {suffix}"
        raise InputError(msg)
    return output


def _measured(path: Path, target: Target, seed: int, context: Context) -> Mapping[str, Any]:
    from natdeploy.profilers.host import host_fingerprint

    stats = measure_file(path, target, seed=seed, clock=context.clock)
    fingerprint = host_fingerprint(runtime_of(target.runtime).version())
    return {**jsonable(stats), "device": target.device, "threads": target.threads, "fingerprint": fingerprint}


def _description(subnet: Subnet, checked_on: str) -> Description:
    from natdeploy.export.manifest import Description

    task = subnet.task or {}
    mean, std, labels = (tuple(task[key]) if key in task else None for key in ("mean", "std", "classes"))
    return Description(
        subnet={"supernet": subnet.space.name, **subnet.architecture.to_json()},
        mean=mean,
        std=std,
        labels=labels,
        checked_on=checked_on,
        random_weights=subnet.weights is None,
    )
