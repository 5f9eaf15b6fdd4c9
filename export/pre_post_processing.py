"""Normalization before a network and softmax after it, so that an app has to do neither."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from natdeploy.supernet.network import Network

PIXEL_RANGE = (0.0, 255.0)
MeanStd = tuple[tuple[float, ...], tuple[float, ...]]


class WithPrePostProcessing(Network):
    """A network that shares the weights of another one, and takes pixels or returns probabilities.

    Args:
        network: The network.
        mean_std: Mean and standard deviation of each input channel, for pixels between 0 and 1. Inputs are then pixels
            between 0 and 255. With None, inputs are already normalized.
        softmax: Whether outputs are probabilities instead of logits.
    """

    def __init__(self, network: Network, *, mean_std: MeanStd | None, softmax: bool) -> None:
        with torch.device("meta"):
            super().__init__(network.layers, dropout=network.dropout.p)
        self.load_state_dict(network.state_dict(keep_vars=True), assign=True)
        self.normalization = None if mean_std is None else _normalization(*mean_std)
        self.softmax = nn.Softmax(dim=1) if softmax else None
        self.train(network.training)

    def forward(self, x: Tensor) -> Tensor:
        """Map `n x 3 x r x r` images to `n x classes` logits or probabilities."""
        x = x if self.normalization is None else self.normalization(x)
        x = super().forward(x)
        return x if self.softmax is None else self.softmax(x)


def add_pre_post_processing(network: Network, *, mean_std: MeanStd | None = None, softmax: bool = False) -> Network:
    """Return `network` with normalization and softmax added; the network itself if neither is wanted."""
    if mean_std is None and not softmax:
        return network
    return WithPrePostProcessing(network, mean_std=mean_std, softmax=softmax)


def outputs_probabilities(network: Network) -> bool:
    """Tell whether the outputs of a network are probabilities."""
    return isinstance(network, WithPrePostProcessing) and network.softmax is not None


def _normalization(mean: tuple[float, ...], std: tuple[float, ...]) -> nn.Conv2d:
    """Return the normalization as one depthwise convolution, which every runtime computes fast and quantizes well."""
    means, stds = torch.tensor(mean), torch.tensor(std)
    unit = nn.Conv2d(3, 3, 1, groups=3)
    with torch.no_grad():
        unit.weight.copy_((1 / (PIXEL_RANGE[1] * stds)).view(3, 1, 1, 1))
        assert unit.bias is not None
        unit.bias.copy_(-means / stds)
    return unit
