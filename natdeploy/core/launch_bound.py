"""Finding out whether a device spends its time on launching operators instead of computing them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.layers import BLOCK, Layer
from natdeploy.core.table_errors import compute_spearman

_RESOLUTION_EFFECT = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LatencyCauses:
    """What explains the latencies of a set of networks.

    Args:
        depth_error_percent: Leave-one-out error of a linear fit to the number of blocks.
        work_error_percent: Leave-one-out error of a linear fit to the multiply-adds.
        resolution_rho: Rank correlation of latency and resolution; None if only one resolution was measured.
    """

    depth_error_percent: float
    work_error_percent: float
    resolution_rho: float | None

    @property
    def launch_bound(self) -> bool:
        """Whether depth explains the latencies better than work does, and resolution explains almost nothing."""
        flat = self.resolution_rho is None or abs(self.resolution_rho) < _RESOLUTION_EFFECT
        return flat and self.depth_error_percent < self.work_error_percent

    def __str__(self) -> str:
        rho = "" if self.resolution_rho is None else f"; rank correlation with resolution {self.resolution_rho:.2f}"
        return (
            f"the number of blocks alone explains latency within {self.depth_error_percent:.1f} %, "
            f"the multiply-adds within {self.work_error_percent:.1f} %{rho}"
        )


def explain_latency(networks: Sequence[Sequence[Layer]], measured: Sequence[float]) -> LatencyCauses:
    """Find what explains the latencies (ms) of whole networks.

    Source: on GPUs that launch one operator at a time, the latency at batch 1 follows depth and not resolution (HELP,
    Lee et al., NeurIPS 2021, in its published measurements).
    """
    blocks = [sum(layer.op == BLOCK for layer in layers) for layers in networks]
    work = [sum(layer.madds for layer in layers) for layers in networks]
    sizes = [layers[0].in_size for layers in networks]
    return LatencyCauses(
        depth_error_percent=round(_line_error(blocks, measured), 2),
        work_error_percent=round(_line_error(work, measured), 2),
        resolution_rho=round(compute_spearman(sizes, measured), 3) if len(set(sizes)) > 1 else None,
    )


def _line_error(cause: Sequence[int], measured: Sequence[float]) -> float:
    """Return the mean absolute leave-one-out error of a linear fit, in percent of the latency."""
    truth: NDArray[np.float64] = np.asarray(measured, dtype=np.float64)
    design = np.stack([np.ones(len(truth)), np.array(cause) / max(sum(cause) / len(cause), 1)], axis=1) / truth[:, None]
    inverse = np.linalg.pinv(design.T @ design)
    residual = 1.0 - design @ (inverse @ design.sum(axis=0))
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    return float(np.abs(residual / np.maximum(1.0 - leverage, 1e-9)).mean()) * 100
