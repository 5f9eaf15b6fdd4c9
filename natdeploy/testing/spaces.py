"""Contract suite for search spaces: subclass `SpaceContract` and override its first fixture."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch

from natdeploy.core.architecture import largest, smallest
from natdeploy.core.cost import madds_array, params_array, peak_memory_array
from natdeploy.core.genotype import Population, decode, encode, repair, sample
from natdeploy.core.layers import walk
from natdeploy.core.space import SearchSpace
from natdeploy.supernet.supernet import Supernet

_CLASSES = 5


class SpaceContract:
    """Tests that the genotypes, costs and supernet of a search space agree with one another."""

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls) -> SearchSpace:
        """Return the space to test."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def population(cls, space: SearchSpace) -> Population:
        """Return the smallest, the largest and 30 random architectures as genotypes."""
        ends = [encode(space, architecture) for architecture in (smallest(space), largest(space))]
        return np.concatenate([ends, sample(space, 30, np.random.default_rng(0))])

    def test_genotypes_are_canonical(self, space: SearchSpace, population: Population) -> None:
        """Repair does not change these genotypes, and neither does decoding and encoding."""
        assert np.array_equal(repair(space, population), population)
        for row in population:
            assert np.array_equal(encode(space, decode(space, row)), row)

    def test_smallest_is_cheapest_and_largest_dearest(self, space: SearchSpace, population: Population) -> None:
        """No architecture costs less than the smallest one, or more than the largest one."""
        for array in (madds_array(space, _CLASSES), params_array(space, _CLASSES)):
            costs = array(population)
            assert costs[0] == costs.min()
            assert costs[1] == costs.max()

    def test_costs_are_those_of_the_layers(self, space: SearchSpace, population: Population) -> None:
        """The cost arrays equal the sum over the layers of each network, or the maximum for memory."""
        networks = [walk(space, decode(space, row), _CLASSES) for row in population]
        madds = [sum(layer.madds for layer in layers) for layers in networks]
        params = [sum(layer.params for layer in layers) for layers in networks]
        peaks = [max(layer.peak_memory_bytes for layer in layers) for layers in networks]
        assert madds_array(space, _CLASSES)(population).tolist() == madds
        assert params_array(space, _CLASSES)(population).tolist() == params
        assert peak_memory_array(space, _CLASSES)(population).tolist() == peaks

    def test_subnets_compute_what_the_supernet_computes(self, space: SearchSpace, population: Population) -> None:
        """At each width, extracted subnets compute the supernet's logits and have the parameters of their layers."""
        supernet = Supernet(space, _CLASSES).eval()
        for width, row in itertools.product(space.widths, population[[0, 2]]):
            architecture = dataclasses.replace(decode(space, row), width=width, resolution=space.resolutions[0])
            subnet = supernet.extract(architecture).eval()
            params = sum(layer.params for layer in walk(space, architecture, _CLASSES))
            assert sum(parameter.numel() for parameter in subnet.parameters()) == params
            size, generator = architecture.resolution, torch.Generator().manual_seed(0)
            images = torch.randn(1, 3, size, size, generator=generator)
            with torch.inference_mode():
                torch.testing.assert_close(subnet(images), supernet(images, architecture), rtol=1e-3, atol=1e-4)
