"""Folding BatchNorm into convolutions, which exporters do before they convert a network."""

from __future__ import annotations

import copy

from torch.nn.utils.fusion import fuse_conv_bn_eval

from natdeploy.supernet.network import ConvUnit, Network


def fold_batchnorm(network: Network) -> Network:
    """Return a copy of `network` on the CPU, in evaluation mode, each BatchNorm folded into its convolution.

    Converters fold too, but folding takes a third of litert-torch's time, and here the folded weights keep their names.
    """
    copied = copy.deepcopy(network).cpu().eval()
    for unit in copied.modules():
        if isinstance(unit, ConvUnit) and unit.bn is not None:
            unit.conv = fuse_conv_bn_eval(unit.conv, unit.bn)
            unit.bn = None
    return copied
