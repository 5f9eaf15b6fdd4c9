"""Correcting the times of single layers by those of whole networks.

A network takes `sum over its layers of prior * (1 + deviation) + cost * weights`: inside a network, layers read their
weights from farther away than alone. Deviations and cost have Gaussian priors around zero; deviations are alike for
all layers to begin with, more so for layers of one kernel or of one stage. How far single layers may deviate, and how
noisy the networks' times are, is what makes these times likeliest (the marginal likelihood; Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, sections 2.2 and 5.4). All is relative to the networks' times.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

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
    """Return the times of the layers of `prior_ms`, corrected by what `networks` of such layers were measured to take.

    No layer becomes more than ten times as fast as its prior; without networks the prior is returned.
    """
    layers = list(prior_ms)
    prior = np.array([prior_ms[layer] for layer in layers])
    weights = np.array([float(layer.params) for layer in layers])
    if not networks:
        return dict(prior_ms)
    measured = np.asarray(measured_ms, dtype=np.float64)
    counts = _counts(layers, networks)
    shares = counts * prior / measured[:, None]
    traffic = counts @ weights / measured
    scale = float(traffic.mean())
    deviations, cost = _likeliest(layers, shares, traffic / scale)
    corrected = prior * (1 + deviations) + cost / scale * weights
    return dict(zip(layers, np.maximum(corrected, _LEAST_SHARE * prior).tolist(), strict=True))


def _likeliest(layers: Sequence[Layer], shares: Values, traffic: Values) -> tuple[Values, float]:
    """Return deviations and cost, for the likeliest noise and size of details."""
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
    """Return how alike the deviations of two layers are: by kernel, by stage, by both, and by being the same."""
    kernel = _alike(layers, lambda layer: (layer.op, layer.kernel))
    stage = _alike(layers, lambda layer: (layer.op, layer.in_size, layer.stride, layer.out_channels))
    return kernel + stage + (kernel * stage + np.eye(len(layers))) / 4


def _alike(layers: Sequence[Layer], key: Callable[[Layer], object]) -> Values:
    keys = [key(layer) for layer in layers]
    return np.array([[float(one == other) for other in keys] for one in keys])


def _counts(layers: Sequence[Layer], networks: Sequence[Sequence[Layer]]) -> Values:
    """Return a `networks x layers` array: how often each network has each layer."""
    places = {layer: place for place, layer in enumerate(layers)}
    counts = np.zeros((len(networks), len(layers)))
    for row, network in zip(counts, networks, strict=True):
        for layer in network:
            row[places[layer]] += 1
    return counts
