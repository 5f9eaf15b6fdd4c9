"""The images from which the ranges of int8 values are computed."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.errors import InputError
from natdeploy.ports import Images

if TYPE_CHECKING:
    from natdeploy.supernet.network import Network


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class QuantizationCalibration:
    """Images that calibrate the int8 quantization of a network.

    Args:
        images: `n x 3 x r x r` images, in the form that the network takes.
        source: Description of the images, for people.
    """

    images: Images
    source: str

    def to_json(self) -> dict[str, Any]:
        """Return the entry of a manifest: source, number of images, and SHA-256 of their values."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).tobytes()).hexdigest()
        return {"source": self.source, "images": len(self.images), "sha256": digest}


def require_quantization_calibration(
    calibration: QuantizationCalibration | None, network: Network
) -> QuantizationCalibration:
    """Return the calibration if `network` can use it.

    Raises:
        InputError: There are no images, their shape does not fit, or a value is not finite.
    """
    if calibration is None or not len(calibration.images):
        msg = "int8 needs images to calibrate with"
        raise InputError(msg, hint="give a folder of images with --calibration")
    size, shape = network.input_size, calibration.images.shape
    if shape[1:] != (3, size, size):
        msg = f"the calibration images have shape {list(shape[1:])}, the subnet takes [3, {size}, {size}]"
        raise InputError(msg)
    if not np.isfinite(calibration.images).all():
        msg = "calibration needs images of finite numbers"
        raise InputError(msg)
    return calibration
