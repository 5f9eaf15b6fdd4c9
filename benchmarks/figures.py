"""Draws a search as the documentation shows it: its front, the layers of its choice, predicted and measured latency.

RUN is the folder of a search on this machine. The last figure measures 40 networks here, which takes a few minutes.
Run: natdeploy search --data photos --target-latency 0.4ms && python benchmarks/figures.py RUN [FOLDER]
FOLDER is docs/figures by default.
"""

from __future__ import annotations

import sys
import tempfile
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from figure_style import BLUE, GREEN, MUTED, ORANGE, save, use_style
from matplotlib.figure import Figure
from numpy.typing import NDArray

from natdeploy import api
from natdeploy.core.layers import walk
from natdeploy.io.subnets import read_subnet
from natdeploy.io.tables import read_table

DEVICE, NETWORKS = "host", 40
COLUMN = f"latency_ms:{DEVICE}"


def draw_front(run: Path) -> Figure:
    """Draw the archive and the front of a run, its target and its choice, and how far the upper bound reaches."""
    archive, front = (pd.read_csv(run / f"{name}.csv") for name in ("archive", "front"))
    target = tomllib.loads((run / "run.toml").read_text())["goal"]["latency_limits_ms"][0][DEVICE]
    inspected = api.inspect(run / "subnet.json")
    chosen = archive[archive["genotype"] == " ".join(map(str, inspected.genotype or ()))]
    latency = inspected.metrics["latency_ms"][DEVICE]
    reach = (latency["upper"] / latency["predicted"] - 1) * front[COLUMN]
    figure = Figure(figsize=(6.8, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(0, target, color=GREEN, alpha=0.08, linewidth=0)
    axes.axvline(target, color=GREEN, linestyle="--", linewidth=1.5)
    axes.scatter(archive[COLUMN], 100 * archive["top1"], s=26, color=MUTED, label="archive")
    none = np.zeros(len(front))
    axes.errorbar(
        front[COLUMN],
        100 * front["top1"],
        xerr=[none, reach],
        fmt="o",
        color=BLUE,
        capsize=3,
        label="front, upper bound",
    )
    axes.scatter(chosen[COLUMN], 100 * chosen["top1"], s=260, color=ORANGE, marker="*", label="choice", zorder=3)
    axes.annotate(
        f"target {target:g} ms", (target, 0), (6, 12), xycoords=("data", "axes fraction"), textcoords="offset points"
    )
    axes.set(xlabel="predicted latency (ms)", ylabel="top-1 on validation images (%)", xlim=(0, None))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    return figure


def draw_layers(run: Path) -> Figure:
    """Draw the milliseconds of each layer of a run's choice, by the run's own copy of the latency table."""
    read = read_subnet(run / "subnet.json")
    table = read_table(run / "latency_tables" / f"{DEVICE}.csv")
    layers = walk(read.space, read.architecture, read.classes, activation=read.activation)
    names = [layer.name for layer in api.inspect(run / "subnet.json").layers]
    shown = [
        (name, layer, table.layer_ms(layer)) for name, layer in zip(names, layers, strict=True) if table.layer_ms(layer)
    ]
    figure = Figure(figsize=(6.8, 0.27 * len(shown) + 0.9), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shown))
    axes.barh(places, [ms for _, _, ms in shown], color=BLUE)
    for place, (_, layer, ms) in zip(places, shown, strict=True):
        text = f"{layer.in_size}x{layer.in_size}, {layer.in_channels} to {layer.out_channels} channels"
        axes.annotate(text, (ms, place), (5, 0), textcoords="offset points", va="center", size=10)
    axes.set_yticks(places, [name for name, _, _ in shown])
    axes.invert_yaxis()
    axes.set(xlabel="latency (ms)", xlim=(0, 1.4 * max(ms for _, _, ms in shown)))
    return figure


def draw_latency(run: Path) -> Figure:
    """Draw predicted against measured latency of networks of a run's archive, with the table's bound."""
    measured, predicted, upper = _measure_archive(run)
    figure = Figure(figsize=(6.8, 4.6), layout="constrained")
    axes = figure.subplots()
    order = np.argsort(predicted)
    longest = 1.05 * max(*measured, *upper)
    axes.plot((0, longest), (0, longest), color=MUTED, linewidth=1.2, label="measured = predicted")
    axes.plot(predicted[order], upper[order], color=ORANGE, linewidth=1.5, label="upper bound, meant for 90 %")
    axes.scatter(predicted, measured, s=30, color=BLUE, label="network", zorder=3)
    below = int((measured <= upper).sum())
    axes.annotate(f"{below} of {len(measured)} below the bound", (0.98, 0.04), xycoords="axes fraction", ha="right")
    axes.set(xlabel="predicted latency (ms)", ylabel="measured latency (ms)", xlim=(0, None), ylim=(0, None))
    axes.legend(loc="upper left")
    return figure


def _measure_archive(run: Path) -> NDArray[np.float64]:
    """Return measured, predicted and upper latency of networks that spread over a run's archive, `3 x n`, in ms."""
    archive = pd.read_csv(run / "archive.csv").sort_values(COLUMN)
    read = read_subnet(run / "subnet.json")
    places = np.linspace(0, len(archive) - 1, min(NETWORKS, len(archive))).round().astype(int)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "architecture.json")
        network = api.SubnetSource(path, supernet=read.space.name, classes=read.classes)
        for number, architecture in enumerate(archive["architecture"].iloc[places], 1):
            path.write_text(architecture)
            expected = api.predict(network, DEVICE).prediction
            measured = api.measure(network, DEVICE).comparable_ms
            rows.append((measured, expected.latency_ms, expected.upper_ms))
            print(f"{number}/{len(places)}: measured {rows[-1][0]:.3f} ms, predicted {rows[-1][1]:.3f} ms", flush=True)
    return np.array(rows, dtype=float).T


def main() -> None:
    """Write the figures."""
    run, folder = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/figures")
    use_style()
    save(draw_front(run), folder / "front.svg")
    save(draw_layers(run), folder / "layers.svg")
    save(draw_latency(run), folder / "latency.svg")


if __name__ == "__main__":
    main()
