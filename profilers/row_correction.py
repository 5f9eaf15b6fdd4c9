"""Correcting the latencies of single layers by those of whole networks.

A network takes `sum over its layers of prior * (1 + deviation) + cost * weights`: inside a network, layers read their
weights from farther away than alone. Deviations and cost have Gaussian priors around zero. Deviations of different
layers are correlated, more strongly for layers of one kernel or of one stage. The marginal likelihood chooses how far
single layers may deviate and how noisy the networks' latencies are (Rasmussen and Williams, Gaussian Processes for
Machine Learning, 2006, sections 2.2 and 5.4). Everything is relative to the networks' latencies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.layer_counts import count_layers
from natdeploy.core.layers import Layer

Values = NDArray[np.float64]
_COMMON_SD = 0.3
_WEIGHTS_SD = 0.3
_DETAIL_SDS = (0.0, 0.02, 0.05, 0.1)
_NOISE_SDS = (0.003, 0.006, 0.012, 0.025, 0.05)
_LEAST_SHARE = 0.1


def correct_rows(
    prior_ms: Mapping[Layer, float], networks: Sequence[Sequence[Layer]], measured_ms: Sequence[float]
) -> dict[Layer, float]:
    """Return the latencies of the layers of `prior_ms`, corrected by measured `networks` of these layers.

    No layer becomes more than ten times as fast as its prior. Without networks the prior is returned.
    """
    layers = list(prior_ms)
    prior = np.array([prior_ms[layer] for layer in layers])
    weights = np.array([float(layer.params) for layer in layers])
    if not networks:
        return dict(prior_ms)
    measured = np.asarray(measured_ms, dtype=np.float64)
    counts = count_layers(networks, layers)
    shares = counts * prior / measured[:, None]
    traffic = counts @ weights / measured
    scale = float(traffic.mean())
    deviations, cost = _likeliest(layers, shares, traffic / scale)
    corrected = prior * (1 + deviations) + cost / scale * weights
    return dict(zip(layers, np.maximum(corrected, _LEAST_SHARE * prior).tolist(), strict=True))


def _likeliest(layers: Sequence[Layer], shares: Values, traffic: Values) -> tuple[Values, float]:
    """Return deviations and cost for the noise and the spread of single layers with the largest likelihood."""
    details = _detail_covariance(layers)
    residual = 1 - shares.sum(axis=1)
    best = -np.inf
    found = np.zeros(len(layers)), 0.0
    for detail, noise in itertools.product(_DETAIL_SDS, _NOISE_SDS):
        covariance = _COMMON_SD**2 + detail**2 * details
        own = shares @ covariance @ shares.T + _WEIGHTS_SD**2 * np.outer(traffic, traffic)
        own += noise**2 * np.eye(len(residual))
        solved = np.linalg.solve(own, residual)
        likelihood = -0.5 * (residual @ solved + np.linalg.slogdet(own)[1])
        if likelihood > best:
            best = likelihood
            found = covariance @ (shares.T @ solved), float(_WEIGHTS_SD**2 * (traffic @ solved))
    return found


def _detail_covariance(layers: Sequence[Layer]) -> Values:
    """Return the covariance of the deviations of two layers: for one kernel, one stage, both, and the same layer."""
    kernel = _alike(layers, lambda layer: (layer.op, layer.kernel))
    stage = _alike(layers, lambda layer: (layer.op, layer.in_size, layer.stride, layer.out_channels))
    return kernel + stage + (kernel * stage + np.eye(len(layers))) / 4


def _alike(layers: Sequence[Layer], key: Callable[[Layer], object]) -> Values:
    keys = [key(layer) for layer in layers]
    return np.array([[float(one == other) for other in keys] for one in keys])
