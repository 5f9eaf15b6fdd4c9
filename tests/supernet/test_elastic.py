"""The elastic network: forward passes, extraction, and what they leave alone."""

import copy
import dataclasses

import pytest
import torch

from natdeploy.core.architecture import largest, smallest, uniform
from natdeploy.core.layers import BLOCK, walk
from natdeploy.core.space import SYMMETRIC
from natdeploy.errors import InputError
from natdeploy.io.spaces import find_space
from natdeploy.supernet import elastic
from natdeploy.supernet.elastic import ElasticBlock
from natdeploy.supernet.network import InvertedResidual
from natdeploy.supernet.supernet import Supernet
from tests.support.strategies import MIXED, SMALL
from tests.support.supernets import images, random_architectures, scrambled_supernet

STARTER, NAT = find_space("starter"), find_space("nat").with_resolutions((64, 100))


@pytest.fixture(scope="module")
def starter():
    """A starter supernet."""
    return scrambled_supernet(STARTER)


@pytest.mark.parametrize("space", [STARTER, SMALL, NAT], ids=lambda space: space.name)
def test_extraction_equals_the_elastic_forward(space):
    """For random architectures, the extracted plain network gives the logits of the elastic one, to rounding."""
    supernet = scrambled_supernet(space)
    chosen = [smallest(space), largest(space), *random_architectures(space, 6)]
    with torch.inference_mode():
        for architecture in chosen:
            x = images(architecture.resolution)
            expected = supernet(x, architecture)
            actual = supernet.extract(architecture)(x)
            assert expected.abs().max() > 1e-3
            torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_extraction_equals_the_elastic_forward_in_training_mode(starter):
    """With the statistics of the batch instead of the running ones, both are equal too."""
    architecture = random_architectures(STARTER, 1, seed=3)[0]
    supernet, x = copy.deepcopy(starter).train(), images(architecture.resolution, 8)
    network = supernet.extract(architecture).train()
    torch.testing.assert_close(network(x), supernet(x, architecture), rtol=1e-8, atol=1e-8)


def test_a_forward_in_training_mode_updates_the_statistics_of_its_channels_alone(starter):
    """BatchNorm statistics move for the channels that the architecture uses, as in the extracted network."""
    supernet, architecture = copy.deepcopy(starter).train(), smallest(STARTER)
    network, x = supernet.extract(architecture).train(), images(32, 8)
    supernet(x, architecture)
    network(x)
    engine, before = supernet.engine(0.5), starter.engine(0.5)
    used = network.blocks[1].depthwise.bn
    assert engine.blocks[1].depthwise.bn is not None
    mean = engine.blocks[1].depthwise.bn.running_mean
    channels = used.num_features
    assert channels < len(mean)
    torch.testing.assert_close(mean[:channels], used.running_mean)
    assert torch.equal(mean[channels:], before.blocks[1].depthwise.bn.running_mean[channels:])


@pytest.mark.parametrize("what", ["depth", "kernel", "expand_ratio", "resolution"])
def test_every_choice_matters(starter, what):
    """Another depth, kernel, expand ratio or resolution gives other logits."""
    choice = {"resolution": 48, "depth": 3, "kernel": 5, "expand_ratio": 4}
    other = {**choice, what: {"depth": 4, "kernel": 7, "expand_ratio": 6, "resolution": 40}[what]}
    logits = []
    with torch.inference_mode():
        for fields in (choice, other):
            architecture = uniform(STARTER, width=0.5, **fields)
            logits.append(starter(images(architecture.resolution), architecture))
    assert (logits[0] - logits[1]).abs().max() > 1e-6


def test_forward_has_no_hidden_state(starter):
    """Architectures that take turns get the logits that they get alone, and leave the weights as they were."""
    first, second = random_architectures(STARTER, 2, seed=8)
    x, y = images(first.resolution), images(second.resolution, seed=1)
    state = {name: tensor.clone() for name, tensor in starter.state_dict().items()}
    with torch.inference_mode():
        alone = starter(x, first)
        turns = [starter(x, first), starter(y, second), starter(x, first), starter(y, second)]
    assert torch.equal(turns[0], alone)
    assert torch.equal(turns[2], alone)
    assert torch.equal(turns[1], turns[3])
    assert all(torch.equal(tensor, state[name]) for name, tensor in starter.state_dict().items())


def test_extraction_copies(starter):
    """Training an extracted network leaves the supernet as it was, and the other way round."""
    supernet = copy.deepcopy(starter)
    network = supernet.extract(largest(STARTER))
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not network.training
    pointers = {tensor.data_ptr() for tensor in supernet.state_dict().values()}
    assert not any(tensor.data_ptr() in pointers for tensor in network.state_dict().values())
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network.train()(images(48)).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    weights = network.stem.conv.weight.detach().clone()
    with torch.no_grad():
        supernet.engine(0.5).stem.conv.weight.zero_()
    assert torch.equal(network.stem.conv.weight, weights)


def test_gradients_reach_every_weight_of_the_largest_kernel_chain():
    """A kernel of 3 trains the weights of the largest kernel through both transforms, a kernel of 7 neither of them."""
    supernet = scrambled_supernet(STARTER)
    block = supernet.engine(0.5).blocks[1]
    for kernel, trained in ((7, False), (3, True)):
        supernet.zero_grad(set_to_none=True)
        architecture = uniform(STARTER, resolution=48, width=0.5, depth=2, kernel=kernel, expand_ratio=6)
        supernet.train()(images(48, 4), architecture).square().sum().backward()
        assert block.depthwise.conv.weight.grad.abs().sum() > 0
        for name in ("transform_7to5", "transform_5to3"):
            assert (getattr(block, name).grad is not None) is trained


@pytest.mark.parametrize("resolution", [32, 33, 45, 47, 52, 64])
def test_every_kind_of_block_and_padding_is_elastic(resolution):
    """Where blocks have choices of their own, at odd and even sizes, subnets compute what the supernet does."""
    supernet = scrambled_supernet(MIXED)
    for drawn in random_architectures(MIXED, 3, seed=resolution):
        architecture = dataclasses.replace(drawn, resolution=resolution)
        x = images(resolution)
        with torch.inference_mode():
            expected = supernet(x, architecture)
            found = supernet.extract(architecture).eval()(x)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def test_gradients_with_tensorflows_padding_are_those_of_the_plain_network():
    """On maps of odd and even size, each weight gets the gradient that the plain network gives it."""
    supernet = scrambled_supernet(MIXED)
    for resolution in (32, 47):
        architecture = dataclasses.replace(largest(MIXED), resolution=resolution)
        plain = supernet.extract(architecture).eval()
        supernet.zero_grad()
        x = images(resolution)
        supernet(x, architecture).square().sum().backward()
        plain(x).square().sum().backward()
        engine = supernet.engine(architecture.width)
        own = dict(engine.named_parameters())
        for name, parameter in plain.named_parameters():
            found = own[name].grad
            assert found is not None, name
            torch.testing.assert_close(found, parameter.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (1, 7), (5, 2), (4, 4)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_leaving_out_unreachable_taps_changes_nothing(size, stride):
    """On maps smaller than the kernel, square or not, the elastic block gives what the plain one does."""
    layer = next(
        layer for layer in walk(STARTER, largest(STARTER), 10) if layer.op == BLOCK and layer.kernel == 7 and layer.se
    )
    layer = dataclasses.replace(layer, stride=stride, skip=False)
    block = ElasticBlock(layer, (3, 5, 7), (6.0,), SYMMETRIC).double().eval()
    x = torch.randn(2, layer.in_channels, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for kernel in (3, 5, 7):
        plain = InvertedResidual(dataclasses.replace(layer, kernel=kernel)).double().eval()
        plain.load_state_dict(block.subnet_state(kernel, 6))
        with torch.inference_mode():
            torch.testing.assert_close(block.elastic_forward(x, kernel, 6), plain(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (1, 7), (5, 2), (6, 6)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_on_maps_smaller_than_the_kernel_are_those_of_the_plain_block(size, stride):
    """Padding small maps for the sake of speed leaves the gradients of input and weights as they are."""
    layer = next(
        layer for layer in walk(STARTER, largest(STARTER), 10) if layer.op == BLOCK and layer.kernel == 7 and layer.se
    )
    layer = dataclasses.replace(layer, stride=stride, skip=False)
    block = ElasticBlock(layer, (3, 5, 7), (6.0,), SYMMETRIC).double().eval()
    plain = InvertedResidual(layer).double().eval()
    plain.load_state_dict(block.subnet_state(7, 6))
    x = torch.randn(2, layer.in_channels, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = []
    for forward, module in ((lambda y: block.elastic_forward(y, 7, 6), block), (plain, plain)):
        y = x.clone().requires_grad_()
        forward(y).square().sum().backward()
        gradients.append((y.grad, module.depthwise.conv.weight.grad))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_low_resolutions_are_quicker_because_taps_are_left_out(monkeypatch):
    """At 32 pixels a kernel of 7 shrinks to what it can reach on maps of 8, 4, 2 and 1 pixels."""
    used = []
    reachable = elastic._crop_unreachable

    def spy(weight, size):
        used.append(reachable(weight, size).shape[-1])
        return reachable(weight, size)

    monkeypatch.setattr(elastic, "_crop_unreachable", spy)
    with torch.inference_mode():
        scrambled_supernet(STARTER)(images(32), dataclasses.replace(largest(STARTER), resolution=32))
    assert used == [7] * 4 + [7] * 4 + [7, 3, 3, 3] + [3] * 4 + [3, 1, 1, 1]


def test_a_kernel_of_the_largest_size_is_not_transformed(starter):
    """The largest kernel is the stored weights themselves; smaller ones are their centre put through the matrices."""
    block = starter.engine(0.5).blocks[1]
    weight = block.depthwise.conv.weight
    assert torch.equal(block.kernel_weight(7, 16), weight[:16])
    centre = weight[:16, :, 1:6, 1:6].reshape(16, 25)
    five = (centre @ block.transform_7to5.T).view(16, 1, 5, 5)
    torch.testing.assert_close(block.kernel_weight(5, 16), five)
    three = (five[:, :, 1:4, 1:4].reshape(16, 9) @ block.transform_5to3.T).view(16, 1, 3, 3)
    torch.testing.assert_close(block.kernel_weight(3, 16), three)


def test_widths_share_no_weights():
    """Each width of a space has its own network; an architecture is run by the one of its width."""
    supernet = scrambled_supernet(SMALL)
    one, other = supernet.engine(0.5), supernet.engine(0.75)
    assert not {p.data_ptr() for p in one.parameters()} & {p.data_ptr() for p in other.parameters()}
    architecture, x = smallest(SMALL), images(32)
    with torch.inference_mode():
        assert torch.equal(supernet(x, architecture), one(x, architecture))
        wide = dataclasses.replace(architecture, width=0.75)
        assert torch.equal(supernet(x, wide), other(x, wide))
    with pytest.raises(InputError, match=r"width 0\.6"):
        supernet.engine(0.6)


def test_extraction_refuses_what_the_space_does_not_hold(starter):
    """An architecture of another space is refused by name."""
    with pytest.raises(InputError, match=r"ks\[0\] is 9"):
        starter.extract(dataclasses.replace(smallest(STARTER), kernels=(9,) * 10))


def test_initial_weights_hang_on_the_seed():
    """The same seed gives the same supernet, another seed another."""
    states = [Supernet(SMALL, 4, seed=seed).state_dict() for seed in (0, 0, 1)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["engines.w0_5.stem.conv.weight"], states[2]["engines.w0_5.stem.conv.weight"])
