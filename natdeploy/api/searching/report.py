"""The report of a run: one HTML file that needs no network, with the front as an interactive plot."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from natdeploy.api.searching.results import Choice
from natdeploy.core.latency import ESTIMATED, LatencyTable
from natdeploy.search.objectives import LATENCY, TASK, TOP1

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d9dee3; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.note { color: #57606a; }
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Content of report and result besides the front.

    Args:
        title: Heading of the report.
        note: A sentence or two on what was done.
        iterations: Number of iterations.
        evaluations: Number of architectures that were evaluated or predicted.
        started_s: Start of the search, by the clock's `seconds`.
        figures: Figures of each iteration, from the journal.
    """

    title: str
    note: str
    iterations: int
    evaluations: int
    started_s: float
    figures: Sequence[Mapping[str, Any]] = ()


def render_report(
    summary: Summary,
    rows: Sequence[Mapping[str, Any]],
    choices: Sequence[Choice],
    tables: Mapping[str, LatencyTable],
    objectives: Sequence[str],
) -> str:
    """Return the report as HTML.

    Args:
        summary: Title, note and figures.
        rows: Architectures to show, with the key `front`.
        choices: The selected architectures.
        tables: Latency tables, by device.
        objectives: Objectives of the front: the accuracy of each task if there are several, and costs.
    """
    tasks = [name.removeprefix(TASK) for name in objectives if name.startswith(TASK)]
    front = [row for row in rows if row["front"]]
    parts = [
        f"<h1>{html.escape(summary.title)}</h1>",
        f"<p class=note>{len(rows)} architectures, {len(front)} on the front; {html.escape(summary.note)}</p>",
        "<h2>Choices</h2>",
        _table(_CHOICE_HEADS, [cells for choice in choices for cells in _choice_cells(choice)]),
        *_by_task(choices, tasks),
        "<h2>Front</h2>",
        *(_plot(rows, choices, axis, plotly=number == 0) for number, axis in enumerate(_axes(choices, tables))),
        *([_parallel(front, objectives)] if len(objectives) > _PLOTTED else []),
        _table(_front_heads(tables, tasks), [_front_cells(row, tables, tasks) for row in front]),
        "<h2>Iterations</h2>",
        _table(
            ["iteration", "best top-1", "hypervolume", "predictor", "RMSE", "Spearman", "Kendall"],
            [_iteration_cells(i) for i in summary.figures],
        ),
        _reference(summary.figures),
        "<h2>Latency tables</h2>",
        _table(_TABLE_HEADS, [_table_cells(table) for table in tables.values()]),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(summary.title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


# Up to so many costs, plots of top-1 over single costs show the front. With more, parallel coordinates are added.
_PLOTTED = 2
_COLUMN_OF = {"peak-memory": "peak_memory_bytes"}
_CHOICE_HEADS = [
    "device",
    "target ms",
    "top-1",
    "of",
    "validation top-1",
    "predicted ms",
    "upper ms",
    "measured ms",
    "level",
    "MAdds (M)",
    "params (M)",
    "file",
]
_TABLE_HEADS = ["device", "provenance", "runtime", "rows", "networks checked", "MAPE %", "max error %", "Kendall tau"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Axis:
    """Horizontal axis of a plot of top-1: a column of the rows, and the latency limits to mark."""

    column: str
    title: str
    unit: str
    limits_ms: tuple[float, ...] = ()


def _axes(choices: Sequence[Choice], tables: Mapping[str, LatencyTable]) -> list[_Axis]:
    """Return the axis of each device, or multiply-adds if there is no device."""
    if not tables:
        return [_Axis(column="madds", title="multiply-adds", unit="MAdds")]
    return [
        _Axis(
            column=f"latency_ms:{device}",
            title=f"predicted latency on {device}{_mark(table.provenance)} (ms)",
            unit="ms",
            limits_ms=tuple(sorted({c.target_ms[device] for c in choices if device in c.target_ms})),
        )
        for device, table in tables.items()
    ]


def _plot(rows: Sequence[Mapping[str, Any]], choices: Sequence[Choice], axis: _Axis, *, plotly: bool) -> str:
    figure = _figure(rows, choices, axis)
    plot: str = figure.to_html(full_html=False, include_plotlyjs=plotly, config={"displaylogo": False})
    return plot


def _figure(rows: Sequence[Mapping[str, Any]], choices: Sequence[Choice], axis: _Axis) -> Figure:
    from plotly import graph_objects

    figure = graph_objects.Figure()
    chosen = {choice.genotype for choice in choices}
    picked = [row for row in rows if tuple(map(int, row["genotype"].split())) in chosen]
    groups = (
        ("archive", [row for row in rows if not row["front"]], {"color": "#b3bac2", "size": 7}),
        ("front", [row for row in rows if row["front"]], {"color": "#1f6feb", "size": 9}),
        ("choice", picked, {"color": "#d1242f", "size": 15, "symbol": "star"}),
    )
    for name, members, marker in groups:
        figure.add_scatter(
            x=[row[axis.column] for row in members],
            y=[row["top1"] for row in members],
            text=[_hover(row) for row in members],
            mode="markers",
            name=name,
            marker=marker,
            hovertemplate=f"%{{text}}<br>%{{x:.3g}} {axis.unit}, top-1 %{{y:.3f}}<extra></extra>",
        )
    for limit_ms in axis.limits_ms:
        figure.add_vline(
            x=limit_ms, line_dash="dash", line_color="#d1242f", annotation_text=f"target {limit_ms:.4g} ms"
        )
    figure.update_layout(
        template="plotly_white",
        xaxis_title=axis.title,
        yaxis_title="top-1",
        height=460,
        margin={"l": 60, "r": 20, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.08},
    )
    return figure


def _parallel(front: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> str:
    """Return a plot of the front in parallel coordinates: one axis per objective, one line per architecture."""
    from plotly import graph_objects

    columns = {name: _COLUMN_OF.get(name, name.replace(LATENCY, "latency_ms:")) for name in objectives}
    if not any(name.startswith(TASK) for name in objectives):
        columns = {TOP1: TOP1, **columns}
    axes = [{"label": name, "values": [row[column] for row in front]} for name, column in columns.items()]
    line = {"color": [row[TOP1] for row in front], "colorscale": "Viridis", "showscale": True}
    figure = graph_objects.Figure(graph_objects.Parcoords(dimensions=axes, line=line, labelangle=-20))
    figure.update_layout(height=460, margin={"l": 70, "r": 40, "t": 90, "b": 30})
    plot: str = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return plot


def _by_task(choices: Sequence[Choice], tasks: Sequence[str]) -> list[str]:
    """Return a table of the accuracy of each choice on each of several tasks."""
    if not tasks:
        return []
    cells = [[choice.subnet.name, *(f"{choice.top1_by_task[task]:.4f}" for task in tasks)] for choice in choices]
    return ["<h2>Choices by task</h2>", _table(["file", *(f"top-1 {task}" for task in tasks)], cells)]


def _hover(row: Mapping[str, Any]) -> str:
    return (
        f"row {row['row']}: r {row['resolution']}, w {row['width']:g}, d {row['depths']}<br>"
        f"{row['madds'] / 1e6:.1f} M MAdds, {row['params'] / 1e6:.2f} M params"
    )


def _choice_cells(choice: Choice) -> list[list[str]]:
    accuracy = [f"{choice.top1:.4f}", choice.top1_source, _number(choice.validation_top1)]
    sizes = [f"{choice.madds / 1e6:.2f}", f"{choice.params / 1e6:.3f}", choice.subnet.name]
    if not choice.latency_ms:
        return [["-", "-", *accuracy, "-", "-", "-", "-", *sizes]]
    return [
        [
            device,
            _number(choice.target_ms.get(device)),
            *accuracy,
            _number(latency.predicted) + _mark(latency.provenance),
            _number(latency.upper),
            _number(latency.measured),
            _number(latency.level),
            *sizes,
        ]
        for device, latency in choice.latency_ms.items()
    ]


def _front_heads(tables: Mapping[str, LatencyTable], tasks: Sequence[str]) -> list[str]:
    accuracies = ["top-1", *(f"top-1 {task}" for task in tasks)]
    columns = [f"ms on {device}{_mark(table.provenance)}" for device, table in tables.items()]
    return ["row", "r", "w", "depths", *accuracies, "MAdds (M)", "params (M)", *columns]


def _front_cells(row: Mapping[str, Any], tables: Mapping[str, LatencyTable], tasks: Sequence[str]) -> list[str]:
    return [
        str(row["row"]),
        str(row["resolution"]),
        f"{row['width']:g}",
        str(row["depths"]),
        f"{row['top1']:.4f}",
        *(f"{row[TASK + task]:.4f}" for task in tasks),
        f"{row['madds'] / 1e6:.2f}",
        f"{row['params'] / 1e6:.3f}",
        *(_number(row[f"latency_ms:{device}"]) for device in tables),
    ]


def _iteration_cells(event: Mapping[str, Any]) -> list[str]:
    figures = [_number(event.get(name)) for name in ("best_top1", "hypervolume", "rmse", "spearman", "kendall")]
    return [str(event["iteration"]), *figures[:2], event.get("predictor", "-"), *figures[2:]]


def _reference(iterations: Sequence[Mapping[str, Any]]) -> str:
    point = iterations[0].get("reference") if iterations else None
    if point is None:
        return ""
    named = ", ".join(f"{name} {value:.4g}" for name, value in point.items())
    return (
        "<p class=note>Hypervolume: the volume that the archive dominates, up to the reference point "
        f"({html.escape(named)}), relative to the box between it and the best values of the first archive.</p>"
    )


def _table_cells(table: LatencyTable) -> list[str]:
    checked = table.validation
    figures = (checked.mape_percent, checked.max_error_percent, checked.kendall_tau) if checked else (None,) * 3
    networks = str(checked.networks) if checked else "-"
    deployment = table.deployment
    return [
        deployment.device,
        table.provenance,
        f"{deployment.runtime} {deployment.precision}, {deployment.threads} thr.",
        str(len(table.rows)),
        networks,
        *map(_number, figures),
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _mark(provenance: str) -> str:
    return f" ({ESTIMATED})" if provenance == ESTIMATED else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
