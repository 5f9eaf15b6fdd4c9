"""The walk from an architecture to its layers, against the network that is built of them."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from natdeploy.core.architecture import Architecture, largest, smallest
from natdeploy.core.genotype import decode, sample
from natdeploy.core.layers import BLOCK, FEATURE_MIX, OPS, POOLING, layer_names, stage_sizes, walk
from natdeploy.errors import InputError
from natdeploy.io.encodings import from_encoding
from natdeploy.io.spaces import find_space
from natdeploy.supernet.network import build_network
from tests.support.published import PUBLISHED
from tests.support.strategies import ALL_SPACES, MIXED, SMALL, architectures


def random_architectures(space, count, seed=0):
    """Return architectures of a space."""
    return [decode(space, row) for row in sample(space, count, np.random.default_rng(seed))]


CASES = [
    *((find_space("nat"), architecture) for architecture in random_architectures(find_space("nat"), 3)),
    *((SMALL, architecture) for architecture in random_architectures(SMALL, 3)),
    *((MIXED, architecture) for architecture in random_architectures(MIXED, 3)),
    *((find_space("starter"), architecture) for architecture in random_architectures(find_space("starter"), 2)),
    (find_space("nat"), largest(find_space("nat"))),
    (find_space("starter"), smallest(find_space("starter"))),
]


def counted(network, resolution):
    """Run the network on one image; return its multiply-adds, counted by hooks, and each module's output size."""
    madds, sizes = {}, {}

    def hook(name):
        def count(module, inputs, output):
            sizes[name] = tuple(output.shape[1:])
            if isinstance(module, nn.Conv2d):
                weights = module.weight.numel() // module.out_channels
                madds[name] = output[0].numel() * weights
            elif isinstance(module, nn.Linear):
                madds[name] = module.weight.numel()

        return count

    for name, module in network.named_modules():
        module.register_forward_hook(hook(name))
    with torch.inference_mode():
        network(torch.zeros(1, 3, resolution, resolution))
    return madds, sizes


@pytest.mark.parametrize(("space", "architecture"), CASES)
def test_layers_cost_what_the_built_network_does(space, architecture):
    """Multiply-adds, parameters and output sizes of each layer are those that hooks count in the network."""
    layers = walk(space, architecture, 7)
    network = build_network(layers)
    for tensor in network.state_dict().values():
        tensor.zero_()
    madds, sizes = counted(network, architecture.resolution)
    for name, layer in zip(layer_names(layers), layers, strict=True):
        module = network.get_submodule(name)
        assert layer.madds == sum(count for key, count in madds.items() if f"{key}.".startswith(f"{name}."))
        assert layer.params == sum(parameter.numel() for parameter in module.parameters())
        if layer.op != "classifier":
            assert sizes[name] == (layer.out_channels, layer.out_size, layer.out_size)
    assert sum(layer.madds for layer in layers) == sum(madds.values())
    assert sum(layer.params for layer in layers) == sum(parameter.numel() for parameter in network.parameters())


@given(st.sampled_from(ALL_SPACES).flatmap(lambda space: st.tuples(st.just(space), architectures(space))))
def test_layers_follow_one_another(case):
    """The output of each layer is the input of the next, in size and channels, down to the classes."""
    space, architecture = case
    layers = walk(space, architecture, 13)
    assert (layers[0].in_channels, layers[0].in_size) == (3, architecture.resolution)
    assert layers[-1].out_channels == 13
    left_out = {BLOCK} if space.feature_mix else {BLOCK, FEATURE_MIX}
    assert [layer.op for layer in layers if layer.op != BLOCK] == [op for op in OPS if op not in left_out]
    assert sum(layer.op == BLOCK for layer in layers) == sum(architecture.depths) + 1
    for before, after in itertools.pairwise(layers):
        assert before.out_channels == after.in_channels
        assert before.out_size == after.in_size


@given(architectures(find_space("nat")))
def test_a_skip_needs_equal_shapes(architecture):
    """A block adds its input to its output exactly where both have one shape."""
    for layer in walk(find_space("nat"), architecture, 10):
        same = (layer.in_size, layer.in_channels) == (layer.out_size, layer.out_channels)
        assert layer.skip == (layer.op == BLOCK and same)


def test_peak_memory_counts_what_is_held():
    """A block holds input and output of its largest operator, and its own input where it adds that at the end."""
    layers = {name: layer for layers in [walk(find_space("nat"), from_encoding(PUBLISHED[0].encoding), 10)]
              for name, layer in zip(layer_names(layers), layers, strict=True)}  # fmt: skip
    stem, fixed, first, second = (layers[name] for name in ("stem", "blocks.0", "blocks.1", "blocks.2"))
    assert stem.peak_memory_bytes == 4 * (224 * 224 * 3 + 112 * 112 * 16)
    assert fixed.peak_memory_bytes == 4 * 112 * 112 * (16 + 16 + 16)
    assert first.peak_memory_bytes == 4 * max(112 * 112 * (16 + 48), 112 * 112 * 48 + 56 * 56 * 48)
    assert second.peak_memory_bytes == 4 * 56 * 56 * (24 + 72 + 72)
    assert layers["classifier"].peak_memory_bytes == 4 * (1280 + 10)


def test_activation_stands_in_for_all_others():
    """Mish everywhere changes no cost and leaves layers without activation alone."""
    architecture = from_encoding(PUBLISHED[0].encoding)
    plain = walk(find_space("nat"), architecture, 10)
    mish = walk(find_space("nat"), architecture, 10, activation="mish")
    assert {layer.activation for layer in plain} == {"relu", "h_swish", "none"}
    assert {layer.activation for layer in mish} == {"mish", "none"}
    assert [layer.madds for layer in mish] == [layer.madds for layer in plain]
    assert [layer.activation == "none" for layer in mish] == [layer.activation == "none" for layer in plain]


def test_activations_are_those_of_the_paper():
    """The fixed block and the first two stages have relu; stem, later stages and tail have h_swish."""
    layers = walk(find_space("nat"), largest(find_space("nat")), 10)
    blocks = [layer.activation for layer in layers if layer.op == BLOCK]
    assert blocks == ["relu"] * 9 + ["h_swish"] * 12
    others = [layer.activation for layer in layers if layer.op != BLOCK]
    assert others == ["h_swish", "h_swish", "none", "h_swish", "none"]
    assert [layer.se for layer in layers if layer.op == BLOCK] == [False] * 5 + [True] * 4 + [False] * 4 + [True] * 8


def test_equal_layers_are_one_value():
    """Later blocks of a stage with the same choices are the same layer, whatever stands before them."""
    layers = walk(find_space("nat"), largest(find_space("nat")), 10)
    blocks = [layer for layer in layers if layer.op == BLOCK]
    assert blocks[2] == blocks[3] == blocks[4] != blocks[1]


def test_sizes_of_odd_resolutions_are_rounded_up():
    """Halving an odd map rounds up, as padded convolutions do."""
    assert stage_sizes(find_space("nat"), 47) == [24, 12, 6, 3, 3, 2]


def test_resolutions_off_the_list_can_be_walked():
    """A network of any resolution has layers."""
    architecture = dataclasses.replace(largest(find_space("nat")), resolution=101)
    assert walk(find_space("nat"), architecture, 10)[0].in_size == 101


def test_an_architecture_of_another_space_is_refused():
    """The walk does not price what the space does not hold."""
    with pytest.raises(InputError, match=r"width 0\.5"):
        walk(find_space("nat"), smallest(find_space("starter")), 10)
    with pytest.raises(InputError, match=r"ks\[0\] is 9"):
        walk(
            SMALL,
            Architecture(resolution=32, width=0.5, depths=(1, 1, 1), kernels=(9, 3, 3), expand_ratios=(2, 2, 2)),
            10,
        )


def test_names_are_those_of_the_modules():
    """Blocks are numbered from 0, other layers go by their op; pooling has neither weights nor multiply-adds."""
    layers = walk(SMALL, smallest(SMALL), 10)
    assert layer_names(layers) == [
        "stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "final_expand", "pooling", "feature_mix", "classifier"
    ]  # fmt: skip
    pooling = next(layer for layer in layers if layer.op == POOLING)
    assert (pooling.madds, pooling.params) == (0, 0)
