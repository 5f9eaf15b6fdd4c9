"""Depthwise convolution of small maps: the same values and gradients as the plain one."""

import pytest
import torch
import torch.nn.functional as nnf

from natdeploy.supernet.depthwise import convolve_depthwise


def results(convolve, shape, kernel, stride, padding):
    """Return output, gradient of the input and gradient of the weights, for the same noise each time."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 6, *shape, generator=generator, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(6, 1, kernel, kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    y = convolve(x, weight, stride, padding)
    y.backward(torch.randn(y.shape, generator=generator, dtype=torch.float64))
    return y, x.grad, weight.grad


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 4), (6, 5), (8, 8)])
def test_values_and_gradients_are_those_of_a_plain_convolution(shape, kernel, stride):
    """Whatever map, kernel, stride and padding, output and both gradients equal torch's own."""

    def plain(x, weight, stride, padding):
        return nnf.conv2d(x, weight, stride=stride, padding=padding, groups=6)

    for padding in {0, kernel // 2} if min(shape) >= kernel else {kernel // 2}:
        expected = results(plain, shape, kernel, stride, padding)
        for own, other in zip(results(convolve_depthwise, shape, kernel, stride, padding), expected, strict=True):
            torch.testing.assert_close(own, other)


def test_weights_that_are_not_trained_get_no_gradient():
    """Where only the maps want a gradient, only they get one."""
    x, weight = torch.randn(1, 2, 2, 2, requires_grad=True), torch.randn(2, 1, 5, 5)
    convolve_depthwise(x, weight, 1, 2).sum().backward()
    assert x.grad is not None
    assert weight.grad is None
