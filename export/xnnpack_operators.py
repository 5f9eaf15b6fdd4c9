"""The form in which XNNPACK runs a network fast and as a whole."""

from __future__ import annotations

from natdeploy.export.batchnorm_folding import fold_batchnorm
from natdeploy.export.depthwise_kernels import split_depthwise_kernels
from natdeploy.export.hard_activations import split_hard_activations
from natdeploy.supernet.network import Network


def fit_to_xnnpack(network: Network, *, int8: bool) -> Network:
    """Return a copy that computes the same as `network` with operators for which XNNPACK has fast kernels.

    Args:
        network: The network; it is not changed.
        int8: Whether the operators must have int8 kernels.
    """
    fitted = fold_batchnorm(network)
    return split_depthwise_kernels(split_hard_activations(fitted)) if int8 else fitted
