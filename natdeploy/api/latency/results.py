"""What the functions that work on latency tables return."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from natdeploy.api.latency.levels import Level, describe_disturbance
from natdeploy.api.results import Result, jsonable
from natdeploy.core.latency import LatencyCorrection, LatencyStats, LatencyTable, Prediction, Validation, describe_layer
from natdeploy.core.table_checks import ERROR, TableFinding
from natdeploy.core.timed import Disturbance

__all__ = [
    "CheckResult",
    "LatencyCorrection",
    "MeasureResult",
    "PredictResult",
    "ProfileResult",
    "TableResult",
    "Validation",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableResult(Result):
    """A latency table, read or written.

    Args:
        table: Its file.
        content: The table.
        resolutions: Resolutions that it covers; empty if these were not determined.
        replaced: File that keeps the replaced table; None if no table was replaced.
        findings: Warnings of its checks.
        with_rows: Whether the JSON document contains the rows.
    """

    table: Path
    content: LatencyTable
    resolutions: tuple[int, ...] = ()
    replaced: Path | None = None
    findings: tuple[TableFinding, ...] = ()
    with_rows: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        table = self.content
        document = {
            "ok": True,
            "table": str(self.table),
            **jsonable(table.deployment),
            "provenance": table.provenance,
            "method": table.method,
            "created": table.created,
            "runtime_version": table.runtime_version,
            "fingerprint": table.fingerprint,
            "rows": len(table.rows),
            "resolutions": list(self.resolutions),
            "folded": list(table.folded),
            "conditions": jsonable(table.conditions),
            "validation": jsonable(table.validation),
            "random_validation": jsonable(table.random_validation),
            "calibration": jsonable(table.latency_correction),
            "replaced": jsonable(self.replaced),
            "findings": jsonable(self.findings),
        }
        if self.with_rows:
            document["layers"] = [
                {**jsonable(layer), **jsonable(stats), "description": describe_layer(layer)}
                for layer, stats in table.rows.items()
            ]
        return document

    def described_rows(self) -> Iterator[tuple[str, LatencyStats]]:
        """Yield the description of each layer of the table with its latency."""
        for layer, stats in self.content.rows.items():
            yield describe_layer(layer), stats


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckResult(Result):
    """The findings about a latency table."""

    table: Path
    findings: tuple[TableFinding, ...]

    @property
    def passed(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.severity != ERROR for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {"ok": self.passed, "table": str(self.table), "findings": jsonable(self.findings)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileResult(Result):
    """A latency table that was written.

    Args:
        table: Its file.
        content: The table.
        supernet: Name or file of the search space that was to be covered.
        resolutions: Resolutions of the space that the table covers.
        range_ms: Predicted latency of the smallest and of the largest architecture at these resolutions; None where
            none is covered.
        seconds: How long it took.
    """

    table: Path
    content: LatencyTable
    supernet: str
    resolutions: tuple[int, ...]
    range_ms: tuple[float, float] | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        deployment = self.content.deployment
        return {
            "ok": True,
            "table": str(self.table),
            "device": deployment.device,
            "runtime": deployment.runtime,
            "precision": deployment.precision,
            "provenance": self.content.provenance,
            "rows": len(self.content.rows),
            "resolutions": list(self.resolutions),
            "range_ms": None if self.range_ms is None else list(self.range_ms),
            "seconds": self.seconds,
            "validation": jsonable(self.content.validation),
            "random_validation": jsonable(self.content.random_validation),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictResult(Result):
    """Latency of a subnet, predicted by a table."""

    device: str
    runtime: str
    prediction: Prediction
    provenance: str
    table: Path

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {
            "ok": True,
            "device": self.device,
            "runtime": self.runtime,
            **jsonable(self.prediction),
            "provenance": self.provenance,
            "table": str(self.table),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureResult(Result):
    """Latency of a whole network that was run.

    Args:
        device: The device.
        runtime: The runtime.
        stats: Latency as it was timed.
        level: Speed of the device meanwhile, relative to its speed when its latency table was made.
        disturbance: What else ran on the device meanwhile; None if it does not tell.
    """

    device: str
    runtime: str
    stats: LatencyStats
    level: Level
    disturbance: Disturbance | None

    @property
    def levelled_ms(self) -> float | None:
        """The median at the level of the latency table, to compare with predictions; None if there is no level."""
        return self.level.apply(self.stats.median_ms)

    @property
    def comparable_ms(self) -> float:
        """What is compared with a prediction: the levelled median, or the raw one if there is no level."""
        return self.stats.median_ms if self.levelled_ms is None else self.levelled_ms

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {
            "ok": True,
            "device": self.device,
            "runtime": self.runtime,
            **jsonable(self.stats),
            "level": self.level.value,
            "levelled_ms": self.levelled_ms,
            "disturbance": describe_disturbance(self.disturbance),
        }
