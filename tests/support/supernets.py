"""Supernets whose every weight matters."""

import numpy as np
import torch
from torch import nn

from natdeploy.core.architecture import Architecture
from natdeploy.core.genotype import decode, sample
from natdeploy.core.space import SearchSpace
from natdeploy.supernet.supernet import Supernet


def scramble(module: nn.Module, seed: int = 0) -> None:
    """Give biases, kernel transforms and BatchNorm values that differ from one channel to the next, in place."""
    generator = torch.Generator().manual_seed(seed)

    def noise(tensor: torch.Tensor) -> torch.Tensor:
        return torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.dtype)

    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var") or (".bn." in f".{name}" and name.endswith("weight")):
                tensor.copy_(0.5 + noise(tensor))
            elif "running_mean" in name or name.endswith("bias"):
                tensor.copy_(0.4 * (noise(tensor) - 0.5))
            elif "transform_" in name:
                tensor.add_(0.2 * (noise(tensor) - 0.5))


def scrambled_supernet(space: SearchSpace, classes: int = 10) -> Supernet:
    """Return a float64 supernet in evaluation mode."""
    supernet = Supernet(space, classes, seed=1).double().eval()
    scramble(supernet)
    return supernet


def random_architectures(space: SearchSpace, count: int, seed: int = 0) -> list[Architecture]:
    """Return architectures of a space."""
    return [decode(space, row) for row in sample(space, count, np.random.default_rng(seed))]


def images(resolution: int, count: int = 2, seed: int = 0) -> torch.Tensor:
    """Return `count x 3 x r x r` images of noise, in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, resolution, resolution, generator=generator, dtype=torch.float64)
