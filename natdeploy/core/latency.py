"""Latency tables: the latency of each layer of a space on one deployment, and predictions for whole networks."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from natdeploy.core.cost import CostArray, compile_cost, space_layers
from natdeploy.core.device import Deployment
from natdeploy.core.layers import BLOCK, CLASSIFIER, OPS, Layer
from natdeploy.core.space import SYMMETRIC, SearchSpace
from natdeploy.errors import CoverageError, InputError

PROVENANCES = ("measured", "imported", "fitted", "calibrated", "estimated")
MEASURED, ESTIMATED = "measured", "estimated"
CLASSIFIER_COUNTS = (10, 100, 1000)
STATISTICS = ("median_ms", "p10_ms", "p90_ms", "mean_ms", "std_ms")
_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LatencyStats:
    """Statistics of a latency over `runs` runs, in milliseconds.

    Raises:
        InputError: A number is negative or not finite, or the median is not positive.
    """

    median_ms: float
    p10_ms: float
    p90_ms: float
    mean_ms: float
    std_ms: float
    runs: int

    @classmethod
    def from_times(cls, times_ms: ArrayLike, *, runs: int) -> Self:
        """Return the statistics of times in milliseconds that come from `runs` runs."""
        times = np.asarray(times_ms, dtype=np.float64)
        p10, median, p90 = np.percentile(times, [10, 50, 90])
        return cls(
            median_ms=float(median),
            p10_ms=float(p10),
            p90_ms=float(p90),
            mean_ms=float(times.mean()),
            std_ms=float(times.std()),
            runs=runs,
        )

    def __post_init__(self) -> None:
        for name in STATISTICS:
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name == "median_ms" and value == 0):
                msg = f"{name} is {value:g}: a latency is a positive number of milliseconds"
                raise InputError(msg)
        if self.runs < 0:
            msg = f"runs is {self.runs}"
            raise InputError(msg)

    def scale(self, factor: float) -> LatencyStats:
        """Return the statistics times `factor`."""
        return LatencyStats(**{name: getattr(self, name) * factor for name in STATISTICS}, runs=self.runs)

    def round(self) -> LatencyStats:
        """Return the statistics rounded to the nanosecond."""
        return LatencyStats(**{name: round(getattr(self, name), 6) for name in STATISTICS}, runs=self.runs)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """Errors of a table's predictions for whole networks that were really run.

    Args:
        networks: Number of measured networks.
        mape_percent: Mean absolute error, relative to the measured latency.
        max_error_percent: Largest absolute error, relative to the measured latency.
        within_5_percent: Share of networks whose error is at most 5 %, between 0 and 1.
        spearman_rho: Spearman's rank correlation of predicted and measured latency.
        kendall_tau: Kendall's tau-b of predicted and measured latency.
    """

    networks: int
    mape_percent: float
    max_error_percent: float
    within_5_percent: float
    spearman_rho: float
    kendall_tau: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LatencyCorrection:
    """The correction `alpha_ms + beta * sum + gamma_ms * blocks` of a table's sums, and the interval around it.

    Args:
        alpha_ms: Constant.
        beta: Factor of the sum over the layers.
        gamma_ms: Time added for each searchable block.
        lower_ratio: Lower end of the interval, relative to the corrected sum.
        upper_ratio: Upper end of the interval, relative to the corrected sum.
        coverage: Share of networks whose latency is expected below the interval's upper end.
        networks: Number of networks that the interval comes from.
    """

    alpha_ms: float = 0.0
    beta: float = 1.0
    gamma_ms: float = 0.0
    lower_ratio: float
    upper_ratio: float
    coverage: float
    networks: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """Predicted latency of a network; interval and coverage are None if the table has no interval."""

    latency_ms: float
    lower_ms: float | None
    upper_ms: float | None
    coverage: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LatencyTable:
    """Latency of the layers on one deployment, with its provenance.

    Args:
        deployment: Device, runtime and the way they are used.
        provenance: One of `PROVENANCES`.
        method: Name of the method that made the rows.
        rows: Statistics by layer.
        runtime_version: Version of the runtime; None if nothing was run.
        fingerprint: Identity of the machine; None if nothing was run.
        created: Date and time, ISO 8601, UTC.
        conditions: Clocks, load, warm-up, rounds and similar facts, as recorded.
        validation: Errors over whole networks; None if there is none.
        random_validation: Errors over random networks if those of `validation` were chosen; otherwise None.
        latency_correction: Correction and interval; None if there is none.
        folded: Ops without rows of their own, whose latency is part of other rows; they add nothing to a sum.

    Raises:
        InputError: The provenance or a folded op is unknown, or a folded op has rows.
    """

    deployment: Deployment
    provenance: str
    method: str
    rows: Mapping[Layer, LatencyStats]
    runtime_version: str | None = None
    fingerprint: str | None = None
    created: str = ""
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    validation: Validation | None = None
    random_validation: Validation | None = None
    latency_correction: LatencyCorrection | None = None
    folded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_folded()
        if self.provenance not in PROVENANCES:
            msg = f"unknown provenance {self.provenance!r} (known: {', '.join(PROVENANCES)})"
            raise InputError(msg)

    def layer_ms(self, layer: Layer) -> float:
        """Return the median latency of `layer`, in milliseconds, before any correction.

        If a classifier's count of classes has no row, the latency is interpolated linearly between the nearest counts.
        Above the largest count it is extrapolated from the two largest, if there are two. Below the smallest count,
        the row of that count serves as an upper bound.

        Raises:
            CoverageError: The table does not cover the layer.
        """
        row = self.rows.get(layer)
        if row is not None:
            return row.median_ms
        if layer.op in self.folded:
            return 0.0
        value = self._classifier_ms(layer) if layer.op == CLASSIFIER else None
        if value is None:
            raise _not_covered(self.deployment, [layer])
        return value

    def covers(self, layer: Layer) -> bool:
        """Tell whether the table has the latency of `layer`."""
        if layer in self.rows or layer.op in self.folded:
            return True
        return layer.op == CLASSIFIER and self._classifier_ms(layer) is not None

    def find_missing(self, layers: Iterable[Layer]) -> list[Layer]:
        """Return those of `layers` that the table does not cover, in order, each once."""
        return [layer for layer in dict.fromkeys(layers) if not self.covers(layer)]

    def find_covered_resolutions(self, space: SearchSpace, classes: int) -> tuple[int, ...]:
        """Return the resolutions of `space` whose layers are all covered, at every width."""
        return tuple(
            resolution
            for resolution in space.resolutions
            if not any(self.find_missing(space_layers(space, width, resolution, [classes])) for width in space.widths)
        )

    def predict(self, layers: Sequence[Layer]) -> Prediction:
        """Predict the latency of a network.

        Raises:
            CoverageError: The table does not cover all of them; the message names what is missing.
        """
        missing = self.find_missing(layers)
        if missing:
            raise _not_covered(self.deployment, missing)
        total = self.sum_ms(layers)
        correction = self.latency_correction
        if correction is None:
            return Prediction(latency_ms=total, lower_ms=None, upper_ms=None, coverage=None)
        value = correction.alpha_ms + correction.beta * total + correction.gamma_ms * count_searchable_blocks(layers)
        return Prediction(
            latency_ms=value,
            lower_ms=value * correction.lower_ratio,
            upper_ms=value * correction.upper_ratio,
            coverage=correction.coverage,
        )

    def sum_ms(self, layers: Iterable[Layer]) -> float:
        """Return the sum of the median latencies of `layers`, in milliseconds, before any correction.

        Raises:
            CoverageError: The table does not cover a layer.
        """
        return sum(self.layer_ms(layer) for layer in layers)

    def compile(self, space: SearchSpace, classes: int) -> CostArray:
        """Compile the predicted latency of every architecture of `space`, correction included.

        Raises:
            CoverageError: The table does not cover the space; the message names what is missing.
        """
        missing = self.find_missing(list_layers(space, [classes]))
        if missing:
            raise _not_covered(self.deployment, missing, space)
        array = compile_cost(space, classes, self.layer_ms)
        correction = self.latency_correction
        if correction is None:
            return array
        blocks = array.blocks * correction.beta
        blocks[..., 1:] += correction.gamma_ms
        return CostArray(blocks=blocks, fixed=array.fixed * correction.beta + correction.alpha_ms)

    @property
    def upper_ratio(self) -> float:
        """Upper bound of a latency relative to its prediction; 1 if the table has no interval."""
        return self.latency_correction.upper_ratio if self.latency_correction else 1.0

    def _check_folded(self) -> None:
        for op in self.folded:
            if op not in OPS:
                msg = f"unknown folded op {op!r} (known: {', '.join(OPS)})"
                raise InputError(msg)
            if any(layer.op == op for layer in self.rows):
                msg = f"op {op!r} is folded into other rows, but has rows of its own"
                raise InputError(msg)

    def _classifier_ms(self, layer: Layer) -> float | None:
        known = sorted(
            (row.out_channels, stats.median_ms)
            for row, stats in self.rows.items()
            if dataclasses.replace(row, out_channels=layer.out_channels) == layer
        )
        if not known:
            return None
        above = next((index for index, (count, _) in enumerate(known) if count >= layer.out_channels), len(known))
        if above == 0:
            return known[0][1]
        if above == len(known):
            if len(known) == 1:
                return None
            above -= 1
        (low, low_ms), (high, high_ms) = known[above - 1], known[above]
        value = low_ms + (high_ms - low_ms) * (layer.out_channels - low) / (high - low)
        return max(value, low_ms)


def require_same_provenance(existing: LatencyTable | None, provenance: str, place: str = "the existing table") -> None:
    """Check that latencies of `provenance` may go into an existing table.

    Raises:
        InputError: The table at `place` is of another provenance.
    """
    if existing is not None and existing.provenance != provenance:
        msg = f"{place} holds {existing.provenance} latencies; {provenance} ones do not go into it"
        raise InputError(msg, hint="replace the table with --fresh, or write elsewhere with --output")


def list_layers(space: SearchSpace, classes: Sequence[int]) -> list[Layer]:
    """Return the layers of `space` at all its widths and resolutions, with classifiers for `classes`."""
    return [
        layer
        for resolution in space.resolutions
        for width in space.widths
        for layer in space_layers(space, width, resolution, classes)
    ]


def count_searchable_blocks(layers: Iterable[Layer]) -> int:
    """Return the number of a network's blocks that a search chooses: all but the fixed one."""
    return sum(layer.op == BLOCK for layer in layers) - 1


def describe_layer(layer: Layer) -> str:
    """Return the text that messages name a layer by."""
    parts = [f"{layer.op} {layer.in_size}x{layer.in_size} {layer.in_channels}->{layer.out_channels}"]
    if layer.op == BLOCK:
        parts.append(f"mid {layer.mid_channels} kernel {layer.kernel} stride {layer.stride}")
        parts.append(f"SE {layer.squeeze_channels or ''}".strip() if layer.se else "no SE")
    if layer.padding != SYMMETRIC:
        parts.append(f"padding {layer.padding}")
    if layer.bias:
        parts.append("bias")
    parts.append(layer.activation)
    return ", ".join(parts)


def describe_profile(device: str, space: SearchSpace | None = None) -> str:
    """Return the hint that names the command which adds rows to a table: those of `space` at its resolutions."""
    start = f"add them with: natdeploy profile --device {shlex.quote(device)}"
    if space is None:
        return f"{start}, and the --supernet and --resolutions of the network"
    sizes = ",".join(map(str, space.resolutions))
    return f"{start} --supernet {shlex.quote(space.source or space.name)} --resolutions {sizes}"


def _not_covered(deployment: Deployment, missing: Sequence[Layer], space: SearchSpace | None = None) -> CoverageError:
    shown = "; ".join(describe_layer(layer) for layer in missing[:_NAMED])
    more = f"; and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    rows = "row" if len(missing) == 1 else "rows"
    msg = f"the latency table of {deployment} lacks {len(missing)} {rows}: {shown}{more}"
    return CoverageError(msg, hint=describe_profile(deployment.device, space))
