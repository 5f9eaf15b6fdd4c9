"""Hard activations as products."""

import numpy as np
import pytest
import torch
from torch import nn

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import walk
from natdeploy.export.batchnorm_folding import fold_batchnorm
from natdeploy.export.hard_activations import ProductHardswish, split_hard_activations
from natdeploy.io.spaces import find_space
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network
from natdeploy.testing.networks import noise_images, tiny_network
from tests.support.strategies import MIXED


def random_one(space):
    """Draw one architecture of the space."""
    return decode(space, sample(space, 1, np.random.default_rng(0))[0])


@pytest.mark.parametrize("choose", [smallest, random_one, largest])
@pytest.mark.parametrize("name", ["starter", "lite", "mixed"])
def test_products_compute_the_same(name, choose):
    """The outputs stay the same in networks of every kind of block, and no hard activation is left."""
    space = MIXED if name == "mixed" else find_space(name)
    space = space.with_resolutions(space.resolutions[:1])
    network = randomize_weights(build_network(walk(space, choose(space), 10)), 0).double()
    folded = split_hard_activations(fold_batchnorm(network))
    images = torch.from_numpy(noise_images(network, 2)).double()
    with torch.inference_mode():
        expected = network(images)
        torch.testing.assert_close(folded(images), expected, rtol=0, atol=float(1e-9 * expected.abs().max()))
    assert not any(isinstance(part, nn.Hardswish | nn.Hardsigmoid) for part in folded.modules())


def test_the_product_is_six_times_the_hard_swish():
    """The division by 6 is left to the convolutions behind it."""
    values = torch.linspace(-8, 8, 101)
    torch.testing.assert_close(ProductHardswish()(values), 6 * nn.functional.hardswish(values))


def test_the_block_behind_a_product_keeps_its_skip_connection():
    """A product reaches the sum of a skip connection, whose other input is made 6 times as large."""
    network = tiny_network()
    assert network.blocks[0].skip
    folded = fold_batchnorm(network).blocks[0]
    block = split_hard_activations(fold_batchnorm(network)).blocks[0]
    torch.testing.assert_close(block.project.conv.bias, 6 * folded.project.conv.bias)
