"""What a search returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.api.results import Result
from natdeploy.search.decision import format_size


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

    @property
    def described_limits(self) -> tuple[str, ...]:
        """The limits that every choice keeps, as text with units."""
        return tuple(format_size(name, most) for name, most in self.limits.items())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        document = super().to_json()
        del document["front"]
        return {**document, "chosen": document["choices"][0]}
