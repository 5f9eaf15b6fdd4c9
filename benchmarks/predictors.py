"""Prints Kendall tau and RMSE of every accuracy predictor on measured ImageNet top-1 that it has not seen.

The data are the OFA-MobileNetV3 subnets (width 1.0, resolution 224) that DyNAS-T measured (Intel Labs, BSD-3-Clause).
Each predictor is fitted to rows drawn at random and scored on all others. Figures are means of ten draws.
Run: python benchmarks/predictors.py FOLDER_OF_CSV_FILES [DRAWS]
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from natdeploy.core.genotype import encode
from natdeploy.io.accuracies import read_accuracies
from natdeploy.io.spaces import find_space
from natdeploy.search.predictor import measure_quality
from natdeploy.search.predictors import make_predictor
from natdeploy.search.settings import PREDICTORS

SIZES, DRAWS = (50, 100, 200, 300), 10


def main() -> None:
    """Print a table of each figure."""
    space = find_space("ofa-mbv3-w1.0").with_resolutions((224,))
    read = [entry for path in sorted(Path(sys.argv[1]).glob("*.csv")) for entry in read_accuracies(path, space)]
    rows = np.stack([encode(space, entry.architecture) for entry in read])
    population, inverse = np.unique(rows, axis=0, return_inverse=True)
    top1 = np.bincount(inverse.ravel(), weights=[entry.top1 for entry in read])
    top1 /= np.bincount(inverse.ravel())
    print(f"{len(population)} distinct subnets, top-1 {top1.min():.4f} to {top1.max():.4f}")
    draws = int(sys.argv[2]) if len(sys.argv) > 2 else DRAWS
    figures: dict[tuple[str, str, int], list[float]] = defaultdict(list)
    for size in SIZES:
        for draw in range(draws):
            order = np.random.default_rng([size, draw]).permutation(len(population))
            known, unseen = order[:size], order[size:]
            for name in PREDICTORS:
                began = time.perf_counter()
                predictor = make_predictor(name, space, rng=np.random.default_rng(draw))
                predictor.fit(population[known], top1[known])
                found = measure_quality(predictor.predict(population[unseen]), top1[unseen])
                figures["seconds", name, size].append(time.perf_counter() - began)
                figures["Kendall tau", name, size].append(found["kendall"] or 0.0)
                figures["RMSE (points of top-1)", name, size].append(100 * (found["rmse"] or 0.0))
    for figure in ("Kendall tau", "RMSE (points of top-1)", "seconds"):
        print(f"\n| {figure} | " + " | ".join(map(str, SIZES)) + " |\n|---|" + "---|" * len(SIZES))
        for name in PREDICTORS:
            cells = [f"{np.mean(figures[figure, name, size]):.3f}" for size in SIZES]
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
