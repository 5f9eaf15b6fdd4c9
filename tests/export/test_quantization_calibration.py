"""Images to calibrate with."""

import numpy as np
import pytest

from natdeploy.errors import InputError
from natdeploy.export.quantization_calibration import QuantizationCalibration, require_quantization_calibration
from natdeploy.testing.networks import noise_images, tiny_network


def test_hash_is_that_of_the_values():
    """Source, number and a hash that tells other images apart, however they lie in memory."""
    images = noise_images(tiny_network(), 3)
    told = QuantizationCalibration(images=images, source="here").to_json()
    assert (told["source"], told["images"], len(told["sha256"])) == ("here", 3, 64)
    assert QuantizationCalibration(images=np.asfortranarray(images), source="here").to_json() == told
    assert QuantizationCalibration(images=images + 1, source="here").to_json()["sha256"] != told["sha256"]


def test_images_that_do_not_fit_are_refused():
    """No images, images of another shape and images that are not finite are refused, each with the reason."""
    network = tiny_network()
    images = noise_images(network, 2)
    for wrong, said in (
        (None, "needs images to calibrate with"),
        (images[:0], "needs images to calibrate with"),
        (images[..., :16], r"have shape \[3, 32, 16\], the subnet takes \[3, 32, 32\]"),
        (images[:, :1], r"have shape \[1, 32, 32\]"),
        (images * np.nan, "finite"),
    ):
        calibration = None if wrong is None else QuantizationCalibration(images=wrong, source="here")
        with pytest.raises(InputError, match=said):
            require_quantization_calibration(calibration, network)
