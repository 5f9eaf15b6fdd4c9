"""What the writers of all export formats work on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from natdeploy.api.context import Context
from natdeploy.export.options import ExportOptions
from natdeploy.io.subnets import Subnet

if TYPE_CHECKING:
    from natdeploy.api.exporting.images import ExportImages
    from natdeploy.export.manifest import Description
    from natdeploy.supernet.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ExportJob:
    """What the writers of all formats work on.

    Args:
        subnet: The subnet.
        network: Its network as the file has to compute it, with what the options put inside.
        images: Images to check and to calibrate with.
        options: How it is written.
        seed: Seed of the choice of images and of the order of measurements.
        context: Reporter and clock.
    """

    subnet: Subnet
    network: Network
    images: ExportImages
    options: ExportOptions
    seed: int
    context: Context


def describe_subnet(job: ExportJob) -> Description:
    """Return what a manifest says of the subnet of an export."""
    from natdeploy.export.manifest import Description

    task = job.subnet.task or {}
    mean, std, labels = (tuple(task[key]) if key in task else None for key in ("mean", "std", "classes"))
    return Description(
        subnet={"supernet": job.subnet.space.name, **job.subnet.architecture.to_json()},
        mean=mean,
        std=std,
        labels=labels,
        checked_on=job.images.checked_on,
        random_weights=job.subnet.weights is None,
        normalize_inside=job.options.normalize_inside,
        softmax_inside=job.options.softmax_inside,
    )
