"""Results of a search."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.api.results import Result
from natdeploy.search.ranking import format_size


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredLatency:
    """Latency of a whole network that was run.

    Args:
        median_ms: Median as it was timed, in milliseconds.
        level: Speed of the device meanwhile, relative to its speed when its table was made; None if not known.
    """

    median_ms: float
    level: float | None = None

    @property
    def comparable_ms(self) -> float:
        """What is compared with a limit or a prediction: the levelled median, or the raw one without a level."""
        return self.median_ms * (1.0 if self.level is None else self.level)

    def __str__(self) -> str:
        if self.level is None:
            return f"{self.median_ms:.3g} ms measured, not levelled,"
        return f"{self.comparable_ms:.3g} ms measured and levelled ({self.median_ms:.3g} ms at level {self.level:.2f})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceLatency:
    """Latency of a choice on one device, in milliseconds; None if unknown.

    Args:
        predicted: Prediction of the latency table.
        upper: Upper bound of the prediction.
        measured: Latency of the whole network, compared with the limit: levelled, or as it was timed without a level.
        raw: The same as it was timed.
        level: Speed of the device meanwhile, relative to its speed when its table was made; None if not known.
        provenance: Provenance of the table.
        runtime: Runtime of the table.
    """

    predicted: float
    upper: float | None
    measured: float | None
    raw: float | None = None
    level: float | None = None
    provenance: str
    runtime: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Result):
    """The architecture that is selected for a target.

    Args:
        target_ms: Latency limits in milliseconds, by device; empty if there is none.
        top1: Top-1 accuracy, between 0 and 1; the mean over the tasks if there are several.
        top1_source: `test` if `top1` is measured on test images, or `predicted`.
        validation_top1: Top-1 accuracy on validation images; None if no images were used.
        madds: Multiply-adds.
        params: Parameters.
        latency_ms: Latency by device.
        compared_with: What was compared with the limit: `upper bound` or `prediction`, by device.
        subnet: The subnet file.
        genotype: The genotype of the architecture.
        top1_by_task: Top-1 accuracy by task, if there are several.
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
        subnet: Subnet file of the first choice.
        front_size: Number of architectures on the front.
        front: The front, one mapping per architecture, the fastest first.
        iterations: Number of iterations.
        evaluations: Number of evaluations, including re-evaluations; of predictions in a search without training.
        seconds: Duration of this call.
        choices: One choice for each target.
        limits: Largest `madds`, `params` or `size` of every choice.
        prefer: Preference among the architectures that keep all limits.
        report: The HTML report.
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
        """The limits of every choice, as text with units."""
        return tuple(format_size(name, most) for name, most in self.limits.items())

    def to_json(self) -> dict[str, Any]:
        """Return the JSON document of the result."""
        document = super().to_json()
        del document["front"]
        return {**document, "chosen": document["choices"][0]}
