"""The work of an export: what every format writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from natdeploy.api.context import Context
from natdeploy.export.options import ExportOptions
from natdeploy.io.subnets import Subnet

if TYPE_CHECKING:
    from natdeploy.api.exporting.images import ExportImages
    from natdeploy.export.manifest import Description
    from natdeploy.supernet.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ExportJob:
    """A subnet that is being exported.

    Args:
        subnet: The subnet.
        network: Its network, including the normalization and softmax that the options add.
        images: Images for the check and for calibration.
        options: How it is written.
        seed: Seed for the choice of images and the order of measurements.
        context: Reporter and clock.
    """

    subnet: Subnet
    network: Network
    images: ExportImages
    options: ExportOptions
    seed: int
    context: Context


def _describe_network(subnet: Subnet) -> Mapping[str, Any]:
    described = subnet.describe()
    return {"supernet": described["supernet"], **(described["architecture"] or {"layers": described.get("layers")})}


def describe_subnet(job: ExportJob) -> Description:
    """Return what the manifest says about the subnet of an export."""
    from natdeploy.export.manifest import Description

    task = job.subnet.task or {}
    mean, std, labels = (tuple(task[key]) if key in task else None for key in ("mean", "std", "classes"))
    levels = task.get("levels")
    return Description(
        subnet=_describe_network(job.subnet),
        mean=mean,
        std=std,
        labels=labels,
        levels=None if levels is None else tuple(levels),
        checked_on=job.images.checked_on,
        random_weights=job.subnet.weights is None,
        normalize_inside=job.options.normalize_inside,
        softmax_inside=job.options.softmax_inside,
    )
