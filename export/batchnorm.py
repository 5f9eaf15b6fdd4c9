"""The form of a network that exporters write."""

from __future__ import annotations

import copy

from torch.nn.utils.fusion import fuse_conv_bn_eval

from natdeploy.supernet.network import ConvUnit, Network


def fold_batchnorm(network: Network) -> Network:
    """Return a copy of `network` on the CPU, in evaluation mode, each BatchNorm folded into its convolution.

    Converters fold too, but a third of litert-torch's time goes into it, and folded weights keep their names here.
    """
    copied = copy.deepcopy(network).cpu().eval()
    for unit in copied.modules():
        if isinstance(unit, ConvUnit) and unit.bn is not None:
            unit.conv = fuse_conv_bn_eval(unit.conv, unit.bn)
            unit.bn = None
    return copied
