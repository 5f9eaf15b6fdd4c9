"""Prints how far estimates are from a real latency table: the one of the Galaxy Note10 that Once-for-All published.

The coefficients of `galaxy-note10` come from the resolutions in `FITTED` of the same table. The others are held out.
The benchmark repeats the fit. For each resolution it prints how well the shipped description and plain multiply-adds
agree with the table over random networks.

Run: NATDEPLOY_SHARED_DATA=FOLDER python benchmarks/estimates.py
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import kendalltau, spearmanr

from natdeploy.core.cost import compile_cost
from natdeploy.core.device import Roofline
from natdeploy.core.genotype import sample
from natdeploy.core.layers import POOLING, Layer
from natdeploy.io.devices import find_device
from natdeploy.io.foreign_tables import read_ofa
from natdeploy.io.spaces import find_space
from natdeploy.profilers.roofline import DENSE, DEPTHWISE, POINTWISE, estimate_layer

RESOLUTIONS = tuple(range(160, 225, 4))
FITTED = (160, 176, 192, 208)
SPACE, CLASSES, NETWORKS = find_space("ofa-mbv3-w1.2"), 1000, 2000
_KINDS = (DENSE, POINTWISE, DEPTHWISE)
Values = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a cost is from measured latency over random networks: rank correlations, and MAPE after one factor."""

    spearman: float
    kendall: float
    mape_percent: float


def measured(folder: Path, resolution: int) -> dict[Layer, float]:
    """Return the measured latency, in milliseconds, of every layer of the space at `resolution`."""
    file = folder / "latency" / "note10" / f"{resolution}_lookup_table.yaml"
    return {layer: stats.mean_ms for layer, stats in read_ofa(file, SPACE).rows.items()}


def fit(tables: Sequence[Mapping[Layer, float]], peak_gmadds: float) -> Roofline:
    """Fit efficiencies and bandwidth to measured rows by relative least squares, and the launch time to the pooling.

    Pooling is one operator without arithmetic: the part of its time that does not grow with its size is the launch.
    """
    pooling = [(layer.in_size**2, ms) for table in tables for layer, ms in table.items() if layer.op == POOLING]
    launch_ms = float(np.polyfit(*np.array(pooling).T, 1)[1])

    def figures(logs: Values) -> Roofline:
        *rates, bandwidth = np.exp(logs).tolist()
        shares = {kind: rate / peak_gmadds for kind, rate in zip(_KINDS, rates, strict=True)}
        return Roofline(
            peak_gmadds={"fp32": peak_gmadds}, bandwidth_gb_s=bandwidth, efficiency=shares, operator_ms=launch_ms
        )

    def errors(logs: Values) -> list[float]:
        roofline = figures(logs)
        return [_estimate_ms(layer, roofline) / ms - 1 for table in tables for layer, ms in table.items()]

    start = np.log([0.4 * peak_gmadds, 0.6 * peak_gmadds, 0.2 * peak_gmadds, 10.0])
    return figures(least_squares(errors, start, diff_step=1e-4).x)


def agreement(table: Mapping[Layer, float], resolution: int, roofline: Roofline | None) -> Agreement:
    """Compare estimates, or multiply-adds where `roofline` is None, with the measured sums of random networks."""
    space = SPACE.with_resolutions((resolution,))
    networks = sample(space, NETWORKS, np.random.default_rng(0))
    real = compile_cost(space, CLASSES, table.__getitem__)(networks)
    cost = compile_cost(
        space, CLASSES, lambda layer: layer.madds if roofline is None else _estimate_ms(layer, roofline)
    )(networks)
    scaled = cost * np.median(real / cost)
    return Agreement(
        spearman=float(spearmanr(cost, real).statistic),
        kendall=float(kendalltau(cost, real).statistic),
        mape_percent=float(100 * np.mean(np.abs(scaled / real - 1))),
    )


def main() -> None:
    """Print the fit and the table."""
    folder = Path(os.environ["NATDEPLOY_SHARED_DATA"])
    tables = {resolution: measured(folder, resolution) for resolution in RESOLUTIONS}
    shipped = find_device("galaxy-note10").roofline
    assert shipped is not None
    print("fitted to", ", ".join(map(str, FITTED)))
    for name, roofline in (
        ("made again", fit([tables[resolution] for resolution in FITTED], shipped.peak_gmadds["fp32"])),
        ("shipped", shipped),
    ):
        shares = ", ".join(f"{kind} {share:.3f}" for kind, share in roofline.efficiency.items())
        print(f"  {name}: {shares}, {roofline.bandwidth_gb_s:.2f} GB/s, launch {roofline.operator_ms:.5f} ms")
    print(f"\n{NETWORKS} random networks each; MAPE in % after one factor")
    print(f"{'':<16}{'estimated':^30}{'multiply-adds':^30}")
    print(f"{'resolution':<16}" + 2 * f"{'Spearman':>10}{'Kendall':>10}{'MAPE':>10}")
    for resolution, table in tables.items():
        label = f"{resolution}{'' if resolution in FITTED else ' (held out)'}"
        cells = [agreement(table, resolution, roofline) for roofline in (shipped, None)]
        print(
            f"{label:<16}"
            + "".join(f"{cell.spearman:>10.4f}{cell.kendall:>10.4f}{cell.mape_percent:>10.2f}" for cell in cells)
        )


def _estimate_ms(layer: Layer, roofline: Roofline) -> float:
    return estimate_layer(layer, roofline, "fp32").median_ms


if __name__ == "__main__":
    main()
