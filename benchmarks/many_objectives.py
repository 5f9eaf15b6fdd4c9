"""Prints a search with the twelve objectives of the NAT paper: multiply-adds and the top-1 of eleven data sets.

The accuracies are made up, 100 rows for each data set: each data set needs other layers, and more of everything helps.
Predictors, front and choice within 400 million multiply-adds are those of
`natdeploy search --accuracy TASK=FILE --max-madds 400M`. Printed are the size of the front, the time, and for each
objective its range on the front and the value of the chosen architecture.
Run: python benchmarks/many_objectives.py [PLOT.svg]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy import api
from natdeploy.core.genotype import Population, decode, sample
from natdeploy.io.encodings import to_encoding
from natdeploy.io.spaces import find_space

SUPERNET, ROWS, MOST_MADDS = "ofa-mbv3-w1.0", 100, 4e8
SPACE = find_space(SUPERNET).with_resolutions((192, 224, 256))
DATA_SETS = (
    "imagenet", "cifar10", "cifar100", "cinic10", "stl10", "flowers102", "pets", "dtd", "cars", "aircraft", "food101"
)  # fmt: skip
Values = NDArray[np.float64]


def main() -> None:
    """Search, print the table and write the plot."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, f"{name}.csv") for name in DATA_SETS}
        rows = sample(SPACE, ROWS, np.random.default_rng(0))
        encodings = [to_encoding(decode(SPACE, row)) for row in rows]
        for number, path in enumerate(files.values()):
            lines = [f"{code},{top1:.5f}" for code, top1 in zip(encodings, made_up_top1(number, rows), strict=True)]
            path.write_text("\n".join(["encoding,top1", *lines]) + "\n")
        began = time.perf_counter()
        result = api.search_without_training(
            files,
            supernet=SUPERNET,
            goal=api.SearchGoal(objectives=("madds",), limits={"madds": MOST_MADDS}),
            predictor="gp",
            output=Path(folder, "run"),
        )
        seconds = time.perf_counter() - began
    print(f"{1 + len(DATA_SETS)} objectives: a front of {len(result.front)} architectures in {seconds:.0f} s")
    values = {"madds": [row["madds"] / 1e6 for row in result.front]}
    values |= {name: [100 * row[f"top1:{name}"] for row in result.front] for name in DATA_SETS}
    chosen = {"madds": result.chosen.madds / 1e6}
    chosen |= {name: 100 * top1 for name, top1 in result.chosen.top1_by_task.items()}
    print(f"{'':<12}{'least':>9}{'most':>9}{'chosen':>9}   multiply-adds in millions, top-1 in percent")
    for name, column in values.items():
        print(f"{name:<12}{min(column):>9.2f}{max(column):>9.2f}{chosen[name]:>9.2f}")
    if len(sys.argv) > 1:
        draw(values, chosen, Path(sys.argv[1]))


def made_up_top1(number: int, population: Population) -> Values:
    """Return the made-up top-1 on data set `number` of each row of the `n x L` array."""
    weights = 1 + np.sin(np.arange(population.shape[1] - 2) * (1 + number))
    capacity = np.sqrt(population[:, 2:]) @ weights / (3 * weights.sum())
    top1: Values = 0.5 + 0.3 * capacity + 0.01 * (1 + number % 3) * population[:, 0]
    return top1


def draw(values: dict[str, list[float]], chosen: dict[str, float], path: Path) -> None:
    """Draw an axis for each objective, from its least to its most, and a line for each architecture."""
    import matplotlib as mpl
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "natdeploy", "font.size": 9})
    columns: NDArray[Any] = np.array(list(values.values()))
    low, high = columns.min(axis=1), columns.max(axis=1)
    scaled = (columns - low[:, None]) / (high - low)[:, None]
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    colours = ScalarMappable(Normalize(low[0], high[0]), "viridis")
    for line, madds in zip(scaled.T, columns[0], strict=True):
        axes.plot(line, color=colours.to_rgba(madds), alpha=0.5, linewidth=0.8)
    axes.plot((np.array(list(chosen.values())) - low) / (high - low), color="#d1242f", linewidth=2, label="chosen")
    axes.legend(loc="upper left", frameon=False)
    axes.set_xticks(range(len(values)), [f"{n}\n{a:.0f} to {b:.0f}" for n, a, b in zip(values, low, high, strict=True)])
    axes.tick_params(axis="x", labelsize=7, length=0)
    axes.set(xlim=(0, len(values) - 1), yticks=())
    axes.grid(axis="x", color="#57606a", linewidth=0.8)
    figure.colorbar(colours, ax=axes, label="multiply-adds (M)")
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
