"""The plain network of one architecture."""

import pytest
import torch
from torch import nn

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.layers import walk
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.supernet.initialize import randomize_weights
from natdeploy.supernet.network import SqueezeExcite, build_network, make_activation
from natdeploy.testing.networks import tiny_network

STARTER = find_space("starter")


def build(classes=10, **arguments):
    """Return the network of the smallest starter architecture, with random weights."""
    return randomize_weights(build_network(walk(STARTER, smallest(STARTER), classes), **arguments), 0)


def noise(count=4, size=32):
    """Return images of noise."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_a_network_knows_its_input_and_its_classes():
    """Input size and classes are those of its layers, and its logits have that shape."""
    network = build(13)
    assert (network.input_size, network.classes) == (32, 13)
    with torch.inference_mode():
        assert network(noise(3)).shape == (3, 13)


def test_random_weights_give_logits_that_depend_on_the_image():
    """Random weights neither vanish nor explode nor ignore the input, for smallest and largest architecture alike."""
    for architecture in (smallest(STARTER), largest(STARTER)):
        network = randomize_weights(build_network(walk(STARTER, architecture, 10)), 0)
        with torch.inference_mode():
            logits = network(noise(6, architecture.resolution))
        assert torch.isfinite(logits).all()
        assert (logits.std(dim=0) > 0.01 * logits.abs().mean()).all()
        assert 1e-3 < logits.abs().max() < 1e3


def test_random_weights_hang_on_the_seed():
    """The same seed gives the same weights and statistics, another seed others; the network is left to be evaluated."""
    states = [tiny_network(seed=seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["stem.conv.weight"], states[2]["stem.conv.weight"])
    assert not tiny_network().training


def test_dropout_acts_in_training_alone():
    """With dropout, evaluation is deterministic and equal to a network without; training drops."""
    plain, dropping = build(), build(dropout=0.5)
    with torch.inference_mode():
        assert torch.equal(dropping(noise()), plain(noise()))
    features = torch.ones(1, dropping.classifier.in_features)
    dropping.train()
    torch.manual_seed(0)
    share = (dropping.dropout(features) == 0).float().mean()
    assert 0.4 < share < 0.6


def test_mish_stands_in_the_modules():
    """A network walked with Mish has no other activation but the gates' own."""
    network = build_network(walk(find_space("nat"), smallest(find_space("nat")), 10, activation="mish"))
    gates = {id(part) for unit in network.modules() if isinstance(unit, SqueezeExcite) for part in unit.modules()}
    others = [part for part in network.modules() if id(part) not in gates]
    assert sum(isinstance(part, nn.Mish) for part in others) == 1 + 1 + 2 * 10 + 2
    assert not any(isinstance(part, nn.ReLU | nn.Hardswish) for part in others)


def test_activations_go_by_name():
    """Known names give their module, `none` none, and others are refused with the known ones."""
    known = {"relu": nn.ReLU, "relu6": nn.ReLU6, "h_swish": nn.Hardswish, "silu": nn.SiLU, "mish": nn.Mish}
    assert [type(make_activation(name)) for name in known] == list(known.values())
    assert make_activation("none") is None
    with pytest.raises(InputError, match=r"'gelu' \(known: relu, relu6, h_swish, silu, mish\)"):
        make_activation("gelu")


def test_the_gate_scales_channels():
    """Squeeze and excitation multiplies each channel by a hard sigmoid of what the pooled channels say."""
    unit = SqueezeExcite(16, 8, nn.ReLU(), nn.Hardsigmoid())
    with torch.no_grad():
        for tensor in unit.state_dict().values():
            tensor.zero_()
        unit.expand.bias.copy_(torch.linspace(-6, 6, 16))
        x = torch.rand(2, 16, 3, 3)
        gate = torch.clamp(torch.linspace(-6, 6, 16) / 6 + 0.5, 0, 1)
        torch.testing.assert_close(unit(x), x * gate.view(1, 16, 1, 1))


def test_batchnorm_has_the_settings_of_the_released_networks():
    """Momentum is 0.1 and epsilon 1e-5 everywhere."""
    norms = [part for part in build().modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 1 + 2 + 3 * 10 + 1
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.1, 1e-5)}
