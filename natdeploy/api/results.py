"""What the functions of `natdeploy.api` return; `to_json` gives the document that `--json` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.core.latency import LatencyStats, LatencyTable, Prediction


def jsonable(value: object) -> Any:  # noqa: ANN401
    """Return `value` with dataclasses as mappings, tuples as lists and paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return str(value) if isinstance(value, Path) else value


class Result:
    """Base of the results."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {"ok": True, **jsonable(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileResult(Result):
    """A latency table that was written."""

    table: Path
    content: LatencyTable
    resolutions: tuple[int, ...]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        target = self.content.target
        return {
            "ok": True,
            "table": str(self.table),
            "device": target.device,
            "runtime": target.runtime,
            "precision": target.precision,
            "provenance": self.content.provenance,
            "rows": len(self.content.rows),
            "resolutions": list(self.resolutions),
            "seconds": self.seconds,
            "validation": jsonable(self.content.validation),
            "random_validation": jsonable(self.content.random_validation),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceLatency:
    """Latency of a choice on one device, in milliseconds; None where not known.

    Args:
        predicted: By the latency table.
        upper: Upper bound of the prediction.
        measured: Of the whole network, really run.
        provenance: Provenance of the table.
    """

    predicted: float
    upper: float | None
    measured: float | None
    provenance: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Result):
    """The architecture that is handed over for a target.

    Args:
        target_ms: Targets, by device; empty where there was none.
        top1: Share of images whose class is found; the mean over the tasks where there are several.
        top1_source: Where it is from: `test` images, or `predicted`.
        validation_top1: Share of validation images whose class is found; None where no image was looked at.
        madds: Multiply-adds.
        params: Parameters.
        latency_ms: Latency by device.
        compared_with: What was compared with the target: `upper bound` or `prediction`, by device.
        subnet: The subnet's file.
        genotype: The architecture's genotype.
        top1_by_task: Top-1 by task, where there are several.
    """

    target_ms: Mapping[str, float]
    top1: float
    top1_source: str
    validation_top1: float | None
    madds: int
    params: int
    latency_ms: Mapping[str, DeviceLatency]
    compared_with: Mapping[str, str]
    subnet: Path
    genotype: tuple[int, ...]
    top1_by_task: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult(Result):
    """A finished search.

    Args:
        run: Run folder.
        subnet: File of the first choice.
        front_size: Architectures on the front.
        front: The front, one mapping an architecture, the quickest first.
        iterations: Iterations done.
        evaluations: Evaluations of architectures, re-evaluations included; predictions in a search without training.
        seconds: Time that this call took.
        choices: One for each target.
        limits: Largest `madds`, `params` or `size` of every choice.
        prefer: What was chosen of what met target and limits.
        report: Report to look at.
    """

    run: Path
    subnet: Path
    front_size: int
    front: Sequence[Mapping[str, Any]]
    iterations: int
    evaluations: int
    seconds: float
    choices: tuple[Choice, ...]
    limits: Mapping[str, float]
    prefer: str
    report: Path

    @property
    def chosen(self) -> Choice:
        """The first choice."""
        return self.choices[0]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        document = super().to_json()
        del document["front"]
        return {**document, "chosen": document["choices"][0]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractResult(Result):
    """A subnet that was written."""

    subnet: Path
    weights: Path
    architecture: Mapping[str, Any]
    validation_top1: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCost:
    """Cost of one layer."""

    name: str
    description: str
    in_size: int
    madds: int
    params: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class InspectResult(Result):
    """Layers and costs of a subnet; genotype and encoding are None where the space's lists lack the resolution."""

    supernet: str
    architecture: Mapping[str, Any]
    genotype: tuple[int, ...] | None
    encoding: str | None
    classes: int
    activation: str | None
    weights: Path | None
    madds: int
    params: int
    peak_memory_bytes: int
    layers: tuple[LayerCost, ...]
    metrics: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictResult(Result):
    """Latency of a subnet by a table."""

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
    """Latency of a whole network that was really run."""

    device: str
    runtime: str
    stats: LatencyStats

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        return {"ok": True, "device": self.device, "runtime": self.runtime, **jsonable(self.stats)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceTable:
    """A latency table of a device; provenance is None and `problem` says why where the file cannot be read."""

    runtime: str
    precision: str
    batch: int
    threads: int
    provenance: str | None
    packaged: bool
    problem: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceState:
    """A known device and what there is of it.

    Args:
        name: Name that commands use.
        kind: Class of the device.
        chip: Processor.
        runtime: Default runtime.
        precision: Default precision.
        threads: Default number of threads.
        transport: How it is reached.
        state: `reachable`, `unreachable`, `not connected` (nobody has said where it is) or `not checked`.
        reachable: Whether it can be reached; None where that was not tried.
        problem: Why it cannot be reached, where that was tried.
        tables: Its latency tables.
    """

    name: str
    kind: str
    chip: str
    runtime: str
    precision: str
    threads: int
    transport: str
    state: str
    reachable: bool | None
    problem: str | None
    tables: tuple[DeviceTable, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableState:
    """A latency table on this machine; `problem` says why it cannot be read."""

    device: str
    runtime: str
    precision: str
    batch: int
    threads: int
    provenance: str | None
    packaged: bool
    rows: int
    mape_percent: float | None
    path: Path
    problem: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that `doctor` looked at; `state` is `ok`, `missing` or `broken`."""

    what: str
    state: str
    detail: str
    needed_for: str
