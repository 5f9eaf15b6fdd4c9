"""Fitting the rows of a latency table to measurements of whole networks alone.

The latency of a network is the sum of the latencies of its layers. A prior gives each layer a first value. It is made
of non-negative factors for its operators, their memory traffic and their arithmetic by kind (the terms of the roofline
model), which are fitted to the same measurements. Rows then differ from the prior by a ratio. The ratios of one kind of
layer at different sizes are alike, and so are those of different kinds at one size. This is a ridge with a covariance
(kriging; Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 2.1), so a row that few or no
networks contain follows similar rows. The strength of the ridge is chosen on held-out networks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse
from threadpoolctl import threadpool_limits

from natdeploy.core.latency import LatencyStats
from natdeploy.core.latency_correction import make_fold_masks
from natdeploy.core.layer_counts import count_layers
from natdeploy.core.layers import Layer
from natdeploy.errors import InputError
from natdeploy.profilers.roofline import list_operators

Values = NDArray[np.float64]
MIN_NETWORKS = 20
_FOLDS = 5
_STRENGTHS = (0.02, 0.05, 0.1, 0.2, 0.5)
# Variances of a row's ratio to the prior: shared by the kind of layer, shared by the feature-map size, its own.
_KIND, _SIZE, _OWN = 0.03, 0.01, 0.001
_LEAST_RATIO = 0.05
_LEAST_FACTOR = 1e-4


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedRows:
    """Rows that were fitted to whole networks.

    Args:
        rows: Statistics by layer; `runs` is the number of networks that contain the layer.
        predicted_ms: Latency of each network, predicted by a fit that did not see it.
        strength: Strength of the ridge that predicted best.
        unseen: Layers that no network contains: their rows follow the prior and similar rows.
    """

    rows: dict[Layer, LatencyStats]
    predicted_ms: Values
    strength: float
    unseen: tuple[Layer, ...]


def fit_rows(networks: Sequence[Sequence[Layer]], measured_ms: Sequence[float], wanted: Sequence[Layer]) -> FittedRows:
    """Fit positive rows for the layers of `networks` and for those `wanted`, by least squares on relative errors.

    Args:
        networks: Layers of each network.
        measured_ms: Latency of each network.
        wanted: Layers that must get a row, whether a network contains them or not.

    Raises:
        InputError: There are fewer than 20 networks.
    """
    if len(networks) < MIN_NETWORKS:
        msg = f"{len(networks)} networks are too few to fit a table: at least {MIN_NETWORKS} are needed"
        raise InputError(msg)
    # On a busy machine, two threads that wait for each other are many times slower than one.
    with threadpool_limits(1, user_api="blas"):
        return _fit_rows(networks, measured_ms, wanted)


def _fit_rows(networks: Sequence[Sequence[Layer]], measured_ms: Sequence[float], wanted: Sequence[Layer]) -> FittedRows:
    layers = list(dict.fromkeys([*(layer for network in networks for layer in network), *wanted]))
    problem = _Problem(layers, networks, np.asarray(measured_ms, dtype=np.float64))
    held_out = np.empty((len(_STRENGTHS), len(networks)))
    for part in make_fold_masks(len(networks), _FOLDS):
        for place, row_ms in enumerate(problem.solve(~part, _STRENGTHS)):
            held_out[place, part] = problem.counts[part] @ row_ms
    errors = np.abs(held_out / problem.measured - 1).mean(axis=1)
    best = int(np.argmin(errors))
    row_ms = problem.solve(np.ones(len(networks), dtype=bool), [_STRENGTHS[best]])[0]
    seen = np.asarray((problem.counts > 0).sum(axis=0)).ravel()
    return FittedRows(
        rows={layer: _stats(value, runs) for layer, value, runs in zip(layers, row_ms, seen, strict=True)},
        predicted_ms=held_out[best],
        strength=_STRENGTHS[best],
        unseen=tuple(layer for layer, runs in zip(layers, seen, strict=True) if not runs),
    )


class _Problem:
    """The measurements as linear equations in the rows.

    Args:
        layers: The `m` layers that get a row.
        networks: The layers of each of `n` networks.
        measured: Latency of each network, in ms.
    """

    def __init__(self, layers: Sequence[Layer], networks: Sequence[Sequence[Layer]], measured: Values) -> None:
        self.measured = measured
        self.counts = sparse.csr_array(count_layers(networks, layers))
        self._relative = sparse.diags_array(1 / measured) @ self.counts
        self._features = _features(layers)
        covariance = _covariance(layers)
        self._root = linalg.cholesky(covariance, lower=True)
        self._precision = linalg.cho_solve((self._root, True), np.eye(len(layers)))

    def solve(self, kept: NDArray[np.bool_], strengths: Sequence[float]) -> list[Values]:
        """Return the `m` rows, in ms, that fit the `kept` networks best, for each strength of the ridge."""
        design = self._relative[kept]
        prior = self._prior(design)
        scaled = design @ sparse.diags_array(prior)
        gram = (scaled.T @ scaled).toarray()
        wanted = np.asarray(scaled.sum(axis=0)).ravel()
        size, vectors = linalg.eigh(self._root.T @ gram @ self._root)
        push = vectors.T @ (self._root.T @ (wanted - gram.sum(axis=1)))
        found = []
        for strength in strengths:
            ratio = 1 + self._root @ (vectors @ (push / (np.maximum(size, 0) + strength**2)))
            if ratio.min() < _LEAST_RATIO:
                ratio = self._bounded(gram, wanted, strength, np.maximum(ratio, _LEAST_RATIO))
            found.append(prior * ratio)
        return found

    def _prior(self, design: sparse.csr_array) -> Values:
        """Return the prior of the rows, in ms, from factors that all layers share."""
        shares = design @ self._features
        scale = shares.mean(axis=0)
        scale[scale == 0] = 1.0
        factors, _ = optimize.nnls(shares / scale, np.ones(len(shares)))
        prior: Values = self._features @ (np.maximum(factors, _LEAST_FACTOR) / scale)
        return prior

    def _bounded(self, gram: Values, wanted: Values, strength: float, start: Values) -> Values:
        """Return the least-squares ratios under a lower bound: a quadratic program with bounds."""
        hessian = gram + strength**2 * self._precision
        slope = wanted + strength**2 * self._precision.sum(axis=1)
        result = optimize.minimize(
            lambda ratio: (0.5 * ratio @ hessian @ ratio - slope @ ratio, hessian @ ratio - slope),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(_LEAST_RATIO, None)] * len(start),
            options={"maxiter": 2000},
        )
        ratio: Values = result.x
        return ratio


def _features(layers: Sequence[Layer]) -> Values:
    """Return for each layer its operators, the elements that they read and write, and their multiply-adds by kind."""
    launched = [list_operators(layer) for layer in layers]
    kinds = sorted({operator.kind for each in launched for operator in each})
    columns = [[len(each) for each in launched], [sum(operator.elements for operator in each) for each in launched]]
    columns += [[sum(o.madds for o in each if o.kind == kind) for each in launched] for kind in kinds]
    return np.array(columns, dtype=np.float64).T


def _covariance(layers: Sequence[Layer]) -> Values:
    kinds = _numbered([dataclasses.replace(layer, in_size=1) for layer in layers])
    sizes = _numbered([(layer.in_size, layer.out_size) for layer in layers])
    shared = _KIND * (kinds[:, None] == kinds) + _SIZE * (sizes[:, None] == sizes)
    covariance: Values = shared + _OWN * np.eye(len(layers))
    return covariance


def _numbered(keys: Sequence[object]) -> NDArray[np.int64]:
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def _stats(value: float, runs: int) -> LatencyStats:
    value = float(f"{value:.6g}")
    return LatencyStats(median_ms=value, p10_ms=value, p90_ms=value, mean_ms=value, std_ms=0.0, runs=int(runs))
