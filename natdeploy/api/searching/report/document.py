"""The data of a report, as one JSON document. The page shows nothing that is not in it.

All values of architectures are lists in one order: the front first, the quickest first, then the rest of the archive.
An architecture is referred to by its *place* in this order; its *row* is its number in `archive.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from natdeploy.api.results import jsonable
from natdeploy.api.searching.report.commands import command_templates
from natdeploy.api.searching.report.evidence import (
    describe_iterations,
    describe_measured,
    describe_predictions,
    describe_tables,
    wilson_interval,
)
from natdeploy.api.searching.report.networks import LayerList
from natdeploy.api.searching.report.page import FORMAT
from natdeploy.api.searching.report.summary import Summary
from natdeploy.api.searching.results import Choice
from natdeploy.api.searching.selection import Selector
from natdeploy.core.architecture import largest
from natdeploy.core.genotype import decode_all, encode
from natdeploy.core.latency import ESTIMATED, LatencyTable
from natdeploy.search.objectives import LATENCY, TASK, TOP1
from natdeploy.version import __version__

_COST_LABELS = {
    "madds": ("multiply-adds", "M", 1e-6),
    "params": ("parameters", "M", 1e-6),
    "size": ("size as fp32", "MB", 1e-6),
    "peak-memory": ("peak activation memory", "MB", 1e-6),
}


def describe_run(
    selector: Selector, summary: Summary, rows: Sequence[Mapping[str, Any]], choices: Sequence[Choice]
) -> dict[str, Any]:
    """Return what the report says of one run.

    Args:
        selector: Selects from the archive.
        summary: What the search tells besides.
        rows: Architectures to show; the rows of the front come first, and have `front` true.
        choices: The selected architectures.
    """
    order = [int(row["row"]) for row in rows]
    places = {row: place for place, row in enumerate(order)}
    problem = selector.problem
    return {
        "name": selector.run.path.name,
        "title": summary.title,
        "note": summary.note,
        "space": {"name": problem.space.name, "stages": [stage.slots for stage in problem.space.stages]},
        "classes": problem.classes,
        "images": jsonable(summary.images),
        "iterations": summary.iterations,
        "evaluations": summary.evaluations,
        "goal": {
            "objectives": [*_accuracy_objectives(selector), *problem.objectives],
            "limits": dict(problem.goal.limits),
            "prefer": problem.goal.prefer,
        },
        "axes": _describe_axes(selector, summary),
        "tables": describe_tables(problem.tables),
        **_describe_architectures(selector, summary, order),
        "choices": [_describe_choice(choice, selector, summary, places) for choice in choices],
        "measured": describe_measured(selector, places),
        "predictions": describe_predictions(selector.run),
        **describe_iterations(selector.run),
        "commands": command_templates(selector, summary),
    }


def make_document(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the document of a page about one run or several."""
    return {"format": FORMAT, "natdeploy": __version__, "runs": list(runs)}


def _accuracy_objectives(selector: Selector) -> list[str]:
    return [TASK + task for task in selector.archive.top1_by_task] or [TOP1]


def _describe_axes(selector: Selector, summary: Summary) -> list[dict[str, Any]]:
    """Return every quantity that can be an axis: its column, its name, unit and factor, and which end is better."""
    source = "on validation images" if summary.images else "predicted"
    tasks = list(selector.archive.top1_by_task)
    mean = f", mean over {len(tasks)} tasks" if len(tasks) > 1 else ""
    accuracy = [(TOP1, f"top-1 {source}{mean}"), *((TASK + task, f"top-1 {task}, {source}") for task in tasks)]
    axes = [_axis(name, (label, "%", 100.0), better="high", estimated=False) for name, label in accuracy]
    for name in selector.problem.costs:
        device = name.removeprefix(LATENCY)
        table = selector.problem.tables.get(device) if name.startswith(LATENCY) else None
        known = (f"predicted latency on {device}", "ms", 1.0) if table else _COST_LABELS[name]
        axes.append({**_axis(name, known, better="low", estimated=_is_estimated(table)), "device": table and device})
    return axes


def _axis(column: str, known: tuple[str, str, float], *, better: str, estimated: bool) -> dict[str, Any]:
    label, unit, factor = known
    return {
        "column": column,
        "label": label,
        "unit": unit,
        "factor": factor,
        "better": better,
        "estimated": estimated,
        "device": None,
    }


def _is_estimated(table: LatencyTable | None) -> bool:
    return table is not None and table.provenance == ESTIMATED


def _describe_architectures(selector: Selector, summary: Summary, order: Sequence[int]) -> dict[str, Any]:
    """Return columns, shapes and layers of the architectures, and the largest one of the space to compare them with."""
    problem, archive = selector.problem, selector.archive
    layers = LayerList(space=problem.space, classes=problem.classes, tables=problem.tables)
    population = archive.genotypes[list(order)]
    architectures = decode_all(problem.space, population)
    biggest = largest(problem.space)
    values = {name: cost(population) for name, cost in problem.costs.items()}
    values[TOP1] = archive.top1[list(order)]
    values |= {TASK + task: top1[list(order)] for task, top1 in archive.top1_by_task.items()}
    shapes = [architecture.to_json() for architecture in architectures]
    networks = [layers.index(architecture) for architecture in architectures]
    network = layers.index(biggest)
    genotype = encode(problem.space, biggest)[None]
    return {
        "architectures": {
            "front": len(selector.front),
            "row": list(order),
            "architecture": shapes,
            "layers": networks,
            "columns": {name: column.tolist() for name, column in values.items()},
            "regret": np.nan_to_num(selector.regret).tolist(),
        },
        "top1_interval": _describe_interval(values[TOP1], summary),
        "largest": {
            "architecture": biggest.to_json(),
            "layers": network,
            "columns": {name: float(cost(genotype)[0]) for name, cost in problem.costs.items()},
        },
        "layers": layers.to_json(),
        "constants_ms": layers.constants_ms(),
    }


def _describe_interval(top1: np.ndarray, summary: Summary) -> dict[str, list[float]] | None:
    """Return the 95 % interval of each accuracy of the archive; None if it is not measured on images."""
    if summary.images is None:
        return None
    lower, upper = wilson_interval(top1, summary.images.validation)
    return {"lower": lower.tolist(), "upper": upper.tolist()}


def _describe_choice(choice: Choice, selector: Selector, summary: Summary, places: Mapping[int, int]) -> dict[str, Any]:
    row = int(np.flatnonzero((selector.archive.genotypes == choice.genotype).all(axis=1))[0])
    tested = summary.images.test if summary.images and choice.top1_source == "test" else None
    interval = [float(end) for end in wilson_interval(np.array(choice.top1), tested)] if tested else None
    known = jsonable(choice)
    kept = ("target_ms", "top1", "top1_source", "validation_top1", "latency_ms", "compared_with")
    return {
        **{name: known[name] for name in kept},
        "place": places[row],
        "file": choice.subnet.name,
        "top1_interval": interval,
    }
