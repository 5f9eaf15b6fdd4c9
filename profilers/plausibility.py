"""Whether latencies can be those of a device: compared with its peak rate and its roofline, and with one another.

Units are mistaken most often: seconds, microseconds or images per second in place of milliseconds. Then come single
values, which a fit would hide.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.device import Deployment, Device, Roofline
from natdeploy.core.latency import ESTIMATED, LatencyTable, describe_layer
from natdeploy.core.layers import POOLING, Layer
from natdeploy.core.table_checks import ERROR, WARNING, TableFinding
from natdeploy.core.table_errors import compute_spearman
from natdeploy.profilers.roofline import estimate_layer

Values = NDArray[np.float64]
# Rates that no processor exceeds today, in 10^9 multiply-adds per second: per thread of a CPU, and of a whole GPU.
_THREAD_LIMIT = {"fp32": 200.0, "fp16": 2000.0, "int8": 4000.0}
_GPU_LIMIT = 1e6
# A description may be wrong about the peak rate, and some algorithms need fewer multiplications.
_ABOVE_PEAK = 3.0
_BELOW_ESTIMATE = 100.0
# Only ratios to it count where a device has no figures of its own.
_USUAL = Roofline(
    peak_gmadds={"fp32": 40.0, "fp16": 80.0, "int8": 160.0},
    bandwidth_gb_s=10.0,
    efficiency={"dense": 0.4, "pointwise": 0.6, "depthwise": 0.25},
    operator_ms=0.003,
)
_ROW_FACTOR = 20.0
_NETWORK_FACTOR, _NETWORK_ERROR, _DEVIATIONS = 2.0, 10.0, 8.0
_CONFLICT = 1.5
_LEAST = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Expectation:
    """What is known of the latencies of a deployment before anything is measured.

    Args:
        deployment: The deployment.
        device: Its description; None if there is none.
    """

    deployment: Deployment
    device: Device | None

    def estimate_ms(self, layers: Sequence[Layer]) -> float:
        """Return the latency of layers by the roofline of the device, or by a usual one."""
        return sum(estimate_layer(layer, self._roofline, self.deployment.precision).median_ms for layer in layers)

    def limit_gmadds(self) -> float:
        """Return a rate of multiply-adds, in 10^9 per second, that the deployment cannot exceed."""
        if self._is_described and self.device is not None:
            threads = max(1.0, self.deployment.threads / self.device.threads)
            return _ABOVE_PEAK * threads * self._roofline.peak_gmadds[self.deployment.precision]
        if self.deployment.runtime == "tensorrt" or (self.device is not None and self.device.kind.endswith("gpu")):
            return _GPU_LIMIT
        return _ABOVE_PEAK * self.deployment.threads * _THREAD_LIMIT[self.deployment.precision]

    @property
    def _is_described(self) -> bool:
        roofline = self.device.roofline if self.device is not None else None
        return roofline is not None and self.deployment.precision in roofline.peak_gmadds

    @property
    def _roofline(self) -> Roofline:
        if self._is_described and self.device is not None and self.device.roofline is not None:
            return self.device.roofline
        return _USUAL


def check_plausibility(table: LatencyTable, device: Device | None) -> list[TableFinding]:
    """Check the rows of a table against what its device can do."""
    scale = table.latency_correction.beta if table.latency_correction is not None else 1.0
    if table.provenance == ESTIMATED or scale <= 0:
        return []
    expected = Expectation(deployment=table.deployment, device=device)
    layers = list(table.rows)
    times = np.array([table.rows[layer].median_ms for layer in layers]) * scale
    estimates = np.array([expected.estimate_ms([layer]) for layer in layers])
    work = np.array([layer.madds for layer in layers], dtype=np.float64)
    found = [*_find_wrong_unit(times, estimates, work, expected)]
    wrong = {
        place: factor
        for op, places in _group([layer.op for layer in layers]).items()
        if op != POOLING and len(places) >= _LEAST
        for place, factor in _find_outliers(times[places] / estimates[places], places, _ROW_FACTOR)
    }
    if wrong:
        rows = tuple(f"{describe_layer(layers[place])}: {_say(factor)}" for place, factor in sorted(wrong.items()))
        text = f"rows that are far from what rows of their kind take in this table ({len(wrong)}): measure them again"
        found.append(TableFinding(code="implausible-row", severity=WARNING, explanation=text, rows=rows))
    return found


def check_networks(
    networks: Sequence[Sequence[Layer]],
    measured_ms: Sequence[float],
    places: Sequence[str],
    expected: Expectation,
) -> list[TableFinding]:
    """Check latencies of whole networks.

    Args:
        networks: Layers of each network.
        measured_ms: Latency of each network.
        places: Where each measurement stands, such as a file and its line.
        expected: What is known of the deployment.
    """
    times = np.asarray(measured_ms, dtype=np.float64)
    estimates = np.array([expected.estimate_ms(layers) for layers in networks])
    work = np.array([sum(layer.madds for layer in layers) for layers in networks], dtype=np.float64)
    found = [*_find_wrong_unit(times, estimates, work, expected), *_find_falling(times, estimates)]
    return [*found, *_find_conflicts(networks, times, places), *_find_odd_networks(networks, times, estimates, places)]


def _find_wrong_unit(
    times_ms: Values, estimates_ms: Values, work: Values, expected: Expectation
) -> Iterator[TableFinding]:
    rate = float(work.sum() * expected.deployment.batch / times_ms.sum() / 1e6)
    limit = expected.limit_gmadds()
    slower = float(np.median(times_ms / (estimates_ms * expected.deployment.batch)))
    if rate > limit:
        text = (
            f"the latencies are faster than {expected.deployment} can be: {rate:.3g} x 10^9 multiply-adds per second, "
            f"where {limit:.3g} is already beyond its peak; are they seconds in place of milliseconds?"
        )
        yield TableFinding(code="faster-than-possible", severity=ERROR, explanation=text)
    elif slower > _BELOW_ESTIMATE:
        text = (
            f"the latencies are {slower:.0f} times as slow as {expected.deployment} is estimated to be; are they "
            "microseconds in place of milliseconds?"
        )
        yield TableFinding(code="implausibly-slow", severity=WARNING, explanation=text)


def _find_falling(times_ms: Values, estimates_ms: Values) -> Iterator[TableFinding]:
    """Find latencies that fall where the work grows."""
    if len(times_ms) >= 2 * _LEAST and compute_spearman(times_ms, estimates_ms) < -0.5:
        text = "the latencies fall where the networks do more: are they images per second in place of milliseconds?"
        yield TableFinding(code="falls-with-work", severity=ERROR, explanation=text)


def _find_conflicts(
    networks: Sequence[Sequence[Layer]], times_ms: Values, places: Sequence[str]
) -> Iterator[TableFinding]:
    """Find networks that were measured several times with different results."""
    wrong = [
        "; ".join(f"{places[place]}: {times_ms[place]:g} ms" for place in same)
        for same in _group([tuple(layers) for layers in networks]).values()
        if times_ms[same].max() > _CONFLICT * times_ms[same].min()
    ]
    if wrong:
        text = f"networks with several latencies that contradict each other ({len(wrong)}): keep the right one"
        yield TableFinding(code="conflicting-networks", severity=WARNING, explanation=text, rows=tuple(wrong))


def _find_odd_networks(
    networks: Sequence[Sequence[Layer]], times_ms: Values, estimates_ms: Values, places: Sequence[str]
) -> Iterator[TableFinding]:
    """Find single networks that are far from the others, relative to their work or to their depth."""
    if len(times_ms) < 2 * _LEAST:
        return
    depths = np.array([len(layers) for layers in networks], dtype=np.float64)
    ratios = min((times_ms / estimates_ms, times_ms / depths), key=_measure_spread)
    factor = max(_NETWORK_FACTOR, float(np.exp(_DEVIATIONS * _measure_spread(ratios))))
    wrong = sorted(_find_outliers(ratios, list(range(len(ratios))), factor))
    if wrong:
        worst = max(max(found, 1 / found) for _, found in wrong)
        rows = tuple(f"{places[place]}: {times_ms[place]:g} ms, {_say(found)}" for place, found in wrong)
        text = f"networks that are far from the others ({len(wrong)}): measure them again, or take them out"
        severity = ERROR if worst > _NETWORK_ERROR else WARNING
        yield TableFinding(code="outlying-networks", severity=severity, explanation=text, rows=rows)


def _measure_spread(ratios: Values) -> float:
    """Return the standard deviation of the logarithms, from their median absolute deviation."""
    logs = np.log(ratios)
    return float(1.4826 * np.median(np.abs(logs - np.median(logs))))


def _find_outliers(ratios: Values, places: Sequence[int], factor: float) -> Iterator[tuple[int, float]]:
    """Yield place and relative size of the ratios that differ by more than a factor from their median."""
    relative = ratios / np.median(ratios)
    for place, value in zip(places, relative.tolist(), strict=True):
        if max(value, 1 / value) > factor:
            yield place, value


def _say(factor: float) -> str:
    return f"{factor:.3g} times what is expected"


def _group(keys: Sequence[object]) -> dict[object, list[int]]:
    groups: dict[object, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        groups[key].append(place)
    return groups
