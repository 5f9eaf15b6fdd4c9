"""How far the figures of a run can be trusted: predictions beside what was measured, and the errors of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from natdeploy.api.results import jsonable
from natdeploy.api.searching.selection import Selector
from natdeploy.core.latency import ESTIMATED, LatencyTable
from natdeploy.io.runs import RunFolder

Values = NDArray[np.float64]
# The standard normal quantile of a two-sided interval of 95 %.
_QUANTILE = 1.959963984540054


def wilson_interval(share: Values, count: int) -> tuple[Values, Values]:
    """Return the ends of the 95 % interval of shares that were counted among `count` cases.

    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    square = _QUANTILE**2 / count
    centre = (share + square / 2) / (1 + square)
    half = _QUANTILE / (1 + square) * np.sqrt(share * (1 - share) / count + square / (4 * count))
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def describe_tables(tables: Mapping[str, LatencyTable]) -> list[dict[str, Any]]:
    """Return deployment, provenance, interval and errors of each latency table."""
    return [
        {
            "device": device,
            "provenance": table.provenance,
            "estimated": table.provenance == ESTIMATED,
            "runtime": table.deployment.runtime,
            "runtime_version": table.runtime_version,
            "precision": table.deployment.precision,
            "threads": table.deployment.threads,
            "batch": table.deployment.batch,
            "method": table.method,
            "created": table.created,
            "rows": len(table.rows),
            "upper_ratio": table.upper_ratio,
            "correction": jsonable(table.latency_correction),
            "validation": jsonable(table.validation),
        }
        for device, table in tables.items()
    ]


def describe_measured(selector: Selector, places: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return the latency of every network of the archive that was run, the latest of each device.

    Args:
        selector: Selects from the archive; its run has the measurements.
        places: Place in the report of each row of the archive.
    """
    rows = {tuple(genotype): row for row, genotype in enumerate(selector.archive.genotypes.tolist())}
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for event in selector.run.events("measured"):
        row = rows.get(tuple(event["genotype"]))
        if row is not None and row in places and event["device"] in selector.problem.tables:
            level = event.get("level")
            found[row, event["device"]] = {
                "place": places[row],
                "device": event["device"],
                "ms": event["median_ms"] * (1.0 if level is None else level),
                "raw_ms": event["median_ms"],
                "level": level,
            }
    return list(found.values())


def describe_predictions(run: RunFolder) -> list[dict[str, Any]]:
    """Return predicted and evaluated top-1 of the candidates of each iteration, without those that failed."""
    evaluated = {(event["round"], tuple(event["genotype"])): event["top1"] for event in run.events("evaluated")}
    found = []
    for event in run.events("proposed"):
        stage = 2 * event["iteration"] - 1
        pairs = [
            (predicted, evaluated[stage, tuple(genotype)])
            for genotype, predicted in zip(event["genotypes"], event["predicted"], strict=True)
            if (stage, tuple(genotype)) in evaluated
        ]
        if pairs:
            predicted, top1 = zip(*pairs, strict=True)
            found.append({"iteration": event["iteration"], "predicted": predicted, "evaluated": top1})
    return found


def describe_iterations(run: RunFolder) -> dict[str, Any]:
    """Return the figures of each iteration, and the reference point of their hypervolume."""
    events = run.events("iteration")
    names = ("iteration", "best_top1", "hypervolume", "predictor", "rmse", "spearman", "kendall")
    return {
        "progress": [{name: event.get(name) for name in names} for event in events],
        "reference": events[0].get("reference") if events else None,
    }
