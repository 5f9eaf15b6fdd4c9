"""Depthwise convolutions in sizes that XNNPACK runs fast."""

import dataclasses

import pytest
import torch
from torch import nn

from natdeploy.core.layers import BLOCK, Layer
from natdeploy.core.space import SAME, SYMMETRIC
from natdeploy.export.batchnorm_folding import fold_batchnorm
from natdeploy.export.depthwise_kernels import split_depthwise_kernels
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import build_network

STEM = Layer(op="stem", in_size=32, in_channels=3, out_channels=8, kernel=3, stride=2, activation="relu")


def split(size, stride=1, kernel=7, padding=SYMMETRIC):
    """Return a network of one block, and its block with a split kernel. It takes maps of `size` pixels."""
    block = Layer(
        op=BLOCK,
        in_size=size,
        in_channels=8,
        out_channels=8,
        mid_channels=16,
        kernel=kernel,
        stride=stride,
        activation="h_swish",
        padding=padding,
    )
    layers = dataclasses.replace(STEM, in_size=2 * size), block
    network = randomize_weights(build_network(layers), 0).double()
    return network, split_depthwise_kernels(fold_batchnorm(network))


def convolutions(network):
    """Return the depthwise convolutions of a network of one block."""
    return [part for part in network.blocks[0].depthwise.modules() if isinstance(part, nn.Conv2d)]


def check(network, changed):
    """Compare two networks."""
    images = torch.randn(2, 3, *(network.input_size,) * 2, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        torch.testing.assert_close(changed(images), network(images), rtol=0, atol=1e-9)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 10])
@pytest.mark.parametrize("kernel", [3, 5, 7, 9, 11])
def test_the_parts_compute_the_same(size, stride, kernel):
    """On maps of all sizes, every part has at most 25 weights, and the sum is the convolution."""
    network, changed = split(size, stride, kernel)
    check(network, changed)
    assert all(conv.weight[0].numel() <= 25 for conv in convolutions(changed))


@pytest.mark.parametrize("size", [2, 4, 8])
def test_tensorflows_padding_is_kept(size):
    """Parts of a convolution with stride 2 and less padding before than after the map have such padding too."""
    check(*split(size, 2, padding=SAME))


def test_a_large_kernel_becomes_three():
    """A 7x7 kernel becomes its three middle rows and two pairs of rows around them."""
    _, changed = split(10)
    found = [(conv.kernel_size, conv.dilation, conv.padding) for conv in convolutions(changed)]
    assert found == [((3, 7), (1, 1), (1, 3)), ((2, 7), (4, 1), (2, 3)), ((2, 7), (6, 1), (3, 3))]


def test_weights_that_meet_only_padding_are_left_out():
    """On a map of 2 pixels a kernel of 7 does what one of 3 does; a small kernel stays as it is."""
    assert [conv.kernel_size for conv in convolutions(split(2)[1])] == [(3, 3)]
    assert [conv.kernel_size for conv in convolutions(split(8, kernel=5)[1])] == [(5, 5)]
