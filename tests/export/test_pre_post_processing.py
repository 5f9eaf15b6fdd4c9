"""Networks with normalization and softmax inside."""

import numpy as np
import pytest
import torch

from natdeploy.export.parity import compute_reference
from natdeploy.export.pre_post_processing import WithPrePostProcessing, add_pre_post_processing, outputs_probabilities
from natdeploy.testing.networks import noise_images, tiny_network

MEAN_STD = ((0.2, 0.5, 0.7), (0.1, 0.3, 0.25))


def pixels_of(images):
    """Return the pixels, 0 to 255, that MEAN_STD normalizes to the images."""
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in MEAN_STD)
    return (images * std + mean) * 255


def test_pixels_go_in():
    """The network with normalization inside gives for pixels what the plain one gives for normalized images."""
    network = tiny_network()
    images = noise_images(network, 3)
    inside = add_pre_post_processing(network, mean_std=MEAN_STD)
    np.testing.assert_allclose(
        compute_reference(inside, pixels_of(images)), compute_reference(network, images), rtol=1e-4, atol=1e-5
    )


def test_probabilities_come_out():
    """With softmax inside, outputs are the softmax of the logits."""
    network = tiny_network()
    images = noise_images(network, 3)
    inside = add_pre_post_processing(network, softmax=True)
    expected = torch.softmax(torch.from_numpy(compute_reference(network, images)), dim=1)
    np.testing.assert_allclose(compute_reference(inside, images), expected, rtol=1e-5)
    assert outputs_probabilities(inside)
    assert not outputs_probabilities(network)


def test_nothing_inside_is_the_network_itself():
    """Where nothing is put inside, there is no second network."""
    network = tiny_network()
    assert add_pre_post_processing(network) is network


@pytest.mark.parametrize("mode", [True, False])
def test_network_is_shared_and_left_as_it_was(mode):
    """Weights are shared, the mode is taken over, and neither is changed."""
    network = tiny_network().train(mode)
    inside = WithPrePostProcessing(network, mean_std=MEAN_STD, softmax=True)
    assert inside.classifier.weight is network.classifier.weight
    assert inside.training is mode
    assert all(module.training is mode for module in network.modules())
    assert (inside.input_size, inside.classes) == (network.input_size, network.classes)
