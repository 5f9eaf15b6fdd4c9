"""The figures of a report as SVG and PNG files, for a paper."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind tell apart.
_FRONT, _CHOICE, _ARCHIVE = "#0072b2", "#d55e00", "#9aa4af"
_PARTS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_TAIL_COLOR = "#6b7580"
_HEAD_LAYERS = 2
Run = Mapping[str, Any]


def draw_figures(run: Run, folder: Path) -> Iterator[Path]:
    """Draw the figures that a run has data for, and yield their files.

    Args:
        run: A run of a report's document.
        folder: Folder to write to.

    Raises:
        OutputError: A file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for name, draw in _list_figures(run).items():
        with mpl.rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "natdeploy"}):
            figure = Figure(figsize=(5, 3.4), layout="constrained")
            FigureCanvasAgg(figure)
            axes = figure.add_subplot()
            axes.spines[["top", "right"]].set_visible(False)
            draw(axes)
            for suffix in ("svg", "png"):
                path = folder / f"{name}.{suffix}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=suffix, dpi=200)
                yield path


def _list_figures(run: Run) -> dict[str, Callable[[Axes], None]]:
    """Return a function for each figure that draws it, by the name of its files."""
    costs = [axis for axis in run["axes"] if axis["better"] == "low"]
    objectives = [axis for axis in costs if axis["column"] in run["goal"]["objectives"]]
    additive = [axis for axis in costs if axis["device"] or axis["column"] in ("madds", "params")]
    measured = {event["device"] for event in run["measured"]}
    figures: dict[str, Callable[[Axes], None]] = {}
    for axis in objectives or additive:
        figures[f"front-{_slug(axis['column'])}"] = functools.partial(_draw_front, run=run, cost=axis)
    for axis in additive:
        figures[f"layers-{_slug(axis['column'])}"] = functools.partial(_draw_layers, run=run, axis=axis)
    for table in run["tables"]:
        if table["device"] in measured:
            figures[f"measured-{_slug(table['device'])}"] = functools.partial(_draw_measured, run=run, table=table)
    if run["predictions"]:
        figures["predictor"] = functools.partial(_draw_predictor, run=run)
    if len(run["progress"]) > 1:
        figures["hypervolume"] = functools.partial(_draw_hypervolume, run=run)
    return figures


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def _label(axis: Mapping[str, Any]) -> str:
    # A dollar sign would begin a formula.
    text = f"{axis['label']} ({axis['unit']}{', estimated' if axis['estimated'] else ''})"
    return text.replace("$", r"\$")


def _draw_front(axes: Axes, run: Run, cost: Mapping[str, Any]) -> None:
    known, top1 = run["architectures"], run["axes"][0]
    x = np.array(known["columns"][cost["column"]]) * cost["factor"]
    y = np.array(known["columns"][top1["column"]]) * top1["factor"]
    front, fill = known["front"], "none" if cost["estimated"] else None
    if len(x) > front:
        axes.scatter(x[front:], y[front:], s=10, edgecolors=_ARCHIVE, facecolors=fill or _ARCHIVE, label="archive")
    axes.scatter(x[:front], y[:front], s=22, edgecolors=_FRONT, facecolors=fill or _FRONT, label="front")
    chosen = sorted({choice["place"] for choice in run["choices"]})
    axes.scatter(x[chosen], y[chosen], s=90, marker="*", color=_CHOICE, label="choice", zorder=3)
    targets = {choice["target_ms"].get(cost["device"]) for choice in run["choices"]} - {None}
    for ms, dashes in zip(sorted(targets), itertools.cycle(("--", ":", "-."))):
        axes.axvline(ms, color=_CHOICE, linestyle=dashes, linewidth=1, label=f"target {ms:.4g} ms")
    axes.set_xlabel(_label(cost))
    axes.set_ylabel(_label(top1))
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)


def _draw_layers(axes: Axes, run: Run, axis: Mapping[str, Any]) -> None:
    """Draw one bar for the first choice and one for the largest network, divided by layer."""
    place = run["choices"][0]["place"]
    known = run["architectures"]
    networks = [
        ("largest", run["largest"]["architecture"], run["largest"]["layers"]),
        ("choice", known["architecture"][place], known["layers"][place]),
    ]
    hatch = "//" if axis["estimated"] else None
    for height, (_, shape, indices) in enumerate(networks):
        colors = [_TAIL_COLOR] * _HEAD_LAYERS
        colors += [_PARTS[stage % len(_PARTS)] for stage, depth in enumerate(shape["d"]) for _ in range(depth)]
        left = 0.0
        for at, index in enumerate(indices):
            value = _layer_value(run["layers"][index], axis) * axis["factor"]
            color = colors[at] if at < len(colors) else _TAIL_COLOR
            axes.barh(height, value, left=left, color=color, edgecolor="white", linewidth=0.5, hatch=hatch)
            left += value
        constant = run["constants_ms"].get(axis["device"], 0.0)
        if constant > 0:
            axes.barh(height, constant, left=left, color=_TAIL_COLOR, edgecolor="white", linewidth=0.5)
        elif constant < 0:
            # What the correction takes off every network.
            axes.barh(height, -constant, left=left + constant, color="white", edgecolor=_TAIL_COLOR, hatch="////")
    axes.set_yticks(range(len(networks)), [name for name, *_ in networks])
    axes.set_xlabel(_label(axis))


def _layer_value(layer: Mapping[str, Any], axis: Mapping[str, Any]) -> float:
    value: float = layer["latency_ms"][axis["device"]] if axis["device"] else layer[axis["column"]]
    return value


def _draw_measured(axes: Axes, run: Run, table: Mapping[str, Any]) -> None:
    events = [event for event in run["measured"] if event["device"] == table["device"]]
    column = run["architectures"]["columns"][f"latency:{table['device']}"]
    predicted, measured = np.array([column[event["place"]] for event in events]), [event["ms"] for event in events]
    ends = np.array([0.95 * min(*predicted, *measured), 1.05 * max(*predicted, *measured)])
    axes.plot(ends, ends, color=_TAIL_COLOR, linewidth=1, label="prediction is right")
    if table["correction"]:
        axes.plot(ends, ends * table["upper_ratio"], "--", color=_TAIL_COLOR, linewidth=1, label="upper bound")
    axes.scatter(predicted, measured, s=26, color=_FRONT, label="networks", zorder=3)
    axes.set_xlabel(f"predicted latency on {table['device']} (ms)".replace("$", r"\$"))
    axes.set_ylabel("measured latency (ms)")
    axes.legend(frameon=False)


def _draw_predictor(axes: Axes, run: Run) -> None:
    everything = [100 * top1 for part in run["predictions"] for top1 in (*part["predicted"], *part["evaluated"])]
    ends = [min(everything), max(everything)]
    axes.plot(ends, ends, color=_TAIL_COLOR, linewidth=1)
    for part in run["predictions"]:
        x, y = (100 * np.array(part[side]) for side in ("predicted", "evaluated"))
        color = _PARTS[(part["iteration"] - 1) % len(_PARTS)]
        axes.scatter(x, y, s=18, color=color, label=f"iteration {part['iteration']}")
    axes.set_xlabel("predicted top-1 (%)")
    axes.set_ylabel("evaluated top-1 (%)")
    axes.legend(frameon=False, ncols=1 + len(run["predictions"]) // 8)


def _draw_hypervolume(axes: Axes, run: Run) -> None:
    x, y = zip(*((event["iteration"], event["hypervolume"]) for event in run["progress"]), strict=True)
    axes.plot(x, y, "o-", color=_FRONT, markersize=4)
    axes.set_xticks(x if len(x) <= 12 else x[:: len(x) // 10])
    axes.set_xlabel("iteration")
    axes.set_ylabel("hypervolume")
