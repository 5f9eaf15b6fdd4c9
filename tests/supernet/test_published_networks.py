"""Published networks as the largest architectures of spaces, against torchvision's own modules."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as nnf
import torchvision.models
from torch import nn

from natdeploy.core.architecture import largest
from natdeploy.core.layers import walk
from natdeploy.io.spaces import find_space
from natdeploy.supernet.initialize import initialize
from natdeploy.supernet.network import build_network
from tests.support.supernets import scramble

SPACES = Path(__file__).parents[2] / "docs" / "spaces"
TORCHVISION = {
    "mobilenetv2": torchvision.models.mobilenet_v2,
    "mobilenetv3-large": torchvision.models.mobilenet_v3_large,
    "efficientnet-b0": torchvision.models.efficientnet_b0,
}


def copy_in_order(source, target):
    """Copy the tensors of one module to those of another one in their order, where linear layers may be 1x1."""
    given, wanted = (
        {name: tensor for name, tensor in module.state_dict().items() if not name.endswith("num_batches_tracked")}
        for module in (source, target)
    )
    state = {name: tensor.reshape(wanted[name].shape) for name, tensor in zip(wanted, given.values(), strict=True)}
    target.load_state_dict(state, strict=False)


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_largest_architecture_is_torchvisions_network(name):
    """With the same weights in the same order, both compute the same, and both have as many parameters."""
    torch.manual_seed(0)
    theirs = TORCHVISION[name]().eval()
    scramble(theirs)
    space = find_space(SPACES / f"{name}.toml")
    layers = walk(space, largest(space), 1000)
    own = build_network(layers)
    copy_in_order(theirs, own)
    assert sum(layer.params for layer in layers) == sum(parameter.numel() for parameter in theirs.parameters())
    images = torch.randn(1, 3, own.input_size, own.input_size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = theirs(images)
        torch.testing.assert_close(own(images), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


class SameConvolution(nn.Conv2d):
    """A convolution padded as TensorFlow pads: as little as possible, and more after the map than before it."""

    def forward(self, x):
        """Pad and convolve."""
        for dimension in (-1, -2):
            size, kernel, stride = x.shape[dimension], self.kernel_size[0], self.stride[0]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides = [0, 0] * (-1 - dimension) + [total // 2, total - total // 2]
            x = nnf.pad(x, sides)
        return nnf.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


@pytest.mark.parametrize("resolution", [128, 100, 99, 75])
def test_lite_pads_as_tensorflow_does(resolution):
    """At even and odd sizes of maps, the largest architecture of `lite` computes what TensorFlow's padding gives."""
    space = find_space("lite").with_resolutions((resolution,))
    network = build_network(walk(space, largest(space), 10))
    initialize(network, torch.Generator().manual_seed(0))
    reference = build_network(walk(space, largest(space), 10))
    reference.load_state_dict(network.state_dict())
    for unit in [module for module in reference.modules() if hasattr(module, "conv")]:
        conv = unit.conv
        same = SameConvolution(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, groups=conv.groups, bias=False
        )
        same.load_state_dict(conv.state_dict())
        unit.pad, unit.conv = None, same
    images = torch.randn(1, 3, resolution, resolution, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(network(images), reference.eval()(images), rtol=1e-4, atol=1e-5)


def test_lite_is_efficientnet_lite0():
    """Its largest architecture has the parameters, activations and epsilon of EfficientNet-Lite0."""
    space = find_space("lite")
    layers = walk(space, largest(space), 1000)
    assert round(sum(layer.params for layer in layers) / 1e6, 2) == 4.65
    assert {layer.activation for layer in layers} == {"relu6", "none"}
    norms = [module for module in build_network(layers).modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}
