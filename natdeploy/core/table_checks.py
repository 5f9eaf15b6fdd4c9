"""What can be wrong with a latency table, found by looking at its rows.

Each check caught something in published tables: rows copied from another device, latencies that do not react to the
resolution, "measurements" that are sums.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from natdeploy.core.cost import space_layers
from natdeploy.core.latency import LatencyStats, LatencyTable, describe_layer
from natdeploy.core.launch_bound import explain_latency
from natdeploy.core.layer_counts import count_layers
from natdeploy.core.layers import BLOCK, STEM, Layer, stem_layers
from natdeploy.core.space import SPACES, SearchSpace

ERROR, WARNING = "error", "warning"
NOISE = 0.05
MAX_VARIATION = 0.2
_EQUAL_ROWS = 3
_EXACT = 1e-4
_ROUNDED = 1e-3
_FLAT = 0.2
_WORK_RATIO = 1.4
_PROBABLE_SHARE = 0.5
_CLASSES = 10
_ONLY_DEPTH = "kernels, expand ratios and resolution hardly matter there, depth does"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TableFinding:
    """Something wrong with a table.

    Args:
        code: Name of the finding.
        severity: `error` or `warning`.
        explanation: What is wrong and why it matters.
        rows: The rows that it is about, as messages name them; empty where it is about all of them.
    """

    code: str
    severity: str
    explanation: str
    rows: tuple[str, ...] = ()


def check_rows(table: LatencyTable) -> list[TableFinding]:
    """Look at the rows of a table by themselves."""
    found = [*_disordered(table), *_non_monotone(table), *_high_variance(table)]
    flat = _no_size_dependence(table)
    return [*found, *flat, *_launch_bound(table)]


def find_missing_rows(table: LatencyTable, places: Sequence[tuple[SearchSpace, float, int]]) -> list[TableFinding]:
    """Look for layers without a row at these spaces, widths and resolutions; one count of classes is enough."""
    missing: dict[Layer, None] = {}
    for space, width, resolution in places:
        missing.update(dict.fromkeys(table.find_missing(space_layers(space, width, resolution, [_CLASSES]))))
    if not missing:
        return []
    where = ", ".join(dict.fromkeys(f"{space.name} at r = {resolution}" for space, _, resolution in places))
    text = f"{len(missing)} layers of {where} have no row: networks with them are refused"
    return [TableFinding(code="missing-rows", severity=ERROR, explanation=text, rows=_named(missing))]


def find_probable_places(table: LatencyTable) -> list[tuple[SearchSpace, float, int]]:
    """Return the spaces, widths and resolutions that the table seems meant for.

    It has half of their layers, and the stem or the block behind it: later ones are those of other resolutions too.
    """
    sizes = {layer.in_size for layer in table.rows if layer.op == STEM}
    return [
        (space, width, resolution)
        for name, space in SPACES.items()
        if name != "nat"
        for width in space.widths
        for resolution in sorted(sizes.union(space.resolutions))
        if _seems_covered(table, space, width, resolution)
    ]


def _seems_covered(table: LatencyTable, space: SearchSpace, width: float, resolution: int) -> bool:
    if not any(layer in table.rows for layer in stem_layers(space, width, resolution)):
        return False
    layers = space_layers(space, width, resolution, [])
    return len(table.find_missing(layers)) <= _PROBABLE_SHARE * len(layers)


def find_copied_rows(table: LatencyTable, others: Mapping[str, LatencyTable]) -> list[TableFinding]:
    """Look for rows that a table of another device has too, to the last digit.

    Tables that are meant to share rows are left out: estimates with the same figures, and a correction of the other.
    """
    found = []
    for name, other in others.items():
        kinds = {table.provenance, other.provenance}
        if "calibrated" in kinds or kinds == {"estimated"}:
            continue
        equal = [layer for layer, stats in table.rows.items() if _same(stats, other.rows.get(layer))]
        if len(equal) > _EQUAL_ROWS:
            text = f"{len(equal)} rows equal those of {name} to the last digit: two measurements never agree so well"
            found.append(
                TableFinding(code="equal-to-other", severity=ERROR, explanation=text, rows=_named(equal)),
            )
    return found


def check_measurements(
    table: LatencyTable, networks: Sequence[Sequence[Layer]], measured_ms: Sequence[float]
) -> list[TableFinding]:
    """Look at measurements of whole networks: whether they are sums, and whether latency is launch-bound."""
    found = []
    if _are_sums(table, networks, measured_ms):
        text = "the 'measured' latencies are exact sums over layers: no device was run, they prove nothing of a table"
        found.append(TableFinding(code="exact-sums", severity=ERROR, explanation=text))
    causes = explain_latency(networks, measured_ms)
    if causes.launch_bound:
        text = f"the measured latency is launch-bound: {causes}; {_ONLY_DEPTH}"
        found.append(TableFinding(code="launch-bound", severity=WARNING, explanation=text))
    return found


def _non_monotone(table: LatencyTable) -> Iterator[TableFinding]:
    """Look for rows that are quicker than a row with a smaller kernel, expand ratio or feature map."""
    wrong = {}
    for field in ("kernel", "mid_channels", "in_size"):
        for small, large in _neighbours(table, field):
            drop = 1 - table.rows[large].median_ms / table.rows[small].median_ms
            if drop > max(NOISE, _noise(table.rows[small]), _noise(table.rows[large])):
                wrong[large] = f"{describe_layer(large)}: {100 * drop:.0f} % below {field} {getattr(small, field)}"
    if wrong:
        text = f"{len(wrong)} rows are quicker than a smaller kernel, expand ratio or feature map, beyond noise"
        yield TableFinding(code="non-monotone", severity=WARNING, explanation=text, rows=tuple(wrong.values()))


def _disordered(table: LatencyTable) -> Iterator[TableFinding]:
    wrong = [
        layer
        for layer, stats in table.rows.items()
        if stats.p10_ms > stats.median_ms * (1 + _ROUNDED) or stats.median_ms > stats.p90_ms * (1 + _ROUNDED)
    ]
    if wrong:
        text = f"{len(wrong)} rows have a median that does not lie between p10 and p90: they were changed by hand"
        rows = tuple(map(describe_layer, wrong))
        yield TableFinding(code="disordered", severity=ERROR, explanation=text, rows=rows)


def _high_variance(table: LatencyTable) -> Iterator[TableFinding]:
    wrong = {layer: _variation(stats) for layer, stats in table.rows.items() if _variation(stats) > MAX_VARIATION}
    if wrong:
        text = f"{len(wrong)} rows vary by more than {100 * MAX_VARIATION:.0f} % from run to run: measure them again"
        rows = tuple(f"{describe_layer(layer)}: {100 * value:.0f} %" for layer, value in wrong.items())
        yield TableFinding(code="high-variance", severity=WARNING, explanation=text, rows=rows)


def _no_size_dependence(table: LatencyTable) -> Iterator[TableFinding]:
    """Look for blocks that take the same time at every feature-map size."""
    slopes = [
        _slope(pixels, times)
        for pixels, times in _by(table, "in_size", lambda layer: float(layer.in_size**2))
        if max(pixels) > _WORK_RATIO * min(pixels)
    ]
    if slopes and float(np.median(slopes)) < _FLAT:
        text = (
            f"latency does not depend on resolution: from size to size it grows with the power "
            f"{np.median(slopes):.2f} of the pixels, where work grows with the power 1"
        )
        yield TableFinding(code="no-size-dependence", severity=WARNING, explanation=text)


def _launch_bound(table: LatencyTable) -> Iterator[TableFinding]:
    """Look for a table whose rows are nearly one constant, whatever the work; or one that says so of itself."""
    if table.conditions.get("launch_bound") is True:
        text = f"latency is launch-bound: {table.conditions.get('causes', 'the table says so')}; {_ONLY_DEPTH}"
        yield TableFinding(code="launch-bound", severity=WARNING, explanation=text)
        return
    blocks = {layer: stats.median_ms for layer, stats in table.rows.items() if layer.op == BLOCK}
    work = [float(layer.madds) for layer in blocks]
    if not work or max(work) < _WORK_RATIO * min(work):
        return
    slope = _slope(work, list(blocks.values()))
    if slope < _FLAT:
        text = f"the table is launch-bound: its rows grow with the power {slope:.2f} of the work; {_ONLY_DEPTH}"
        yield TableFinding(code="launch-bound", severity=WARNING, explanation=text)


def _neighbours(table: LatencyTable, field: str) -> Iterator[tuple[Layer, Layer]]:
    """Yield pairs of rows that differ in `field` alone, next to each other, the smaller first."""
    for group in _groups(table, field):
        yield from itertools.pairwise(sorted(group, key=lambda layer: int(getattr(layer, field))))


def _groups(table: LatencyTable, field: str) -> Iterator[list[Layer]]:
    groups = defaultdict(list)
    for layer in table.rows:
        if layer.op == BLOCK:
            alike: dict[str, Any] = {field: 1}
            groups[dataclasses.replace(layer, **alike)].append(layer)
    yield from (group for group in groups.values() if len(group) > 1)


def _by(table: LatencyTable, field: str, cause: Callable[[Layer], float]) -> Iterator[tuple[list[float], list[float]]]:
    """Yield what varies and the latencies of each group of rows that differ in `field` alone."""
    for group in _groups(table, field):
        yield [cause(layer) for layer in group], [table.rows[layer].median_ms for layer in group]


def _slope(cause: Sequence[float], times: Sequence[float]) -> float:
    """Return the power of `cause` with which `times` grow."""
    first, second = np.log(cause), np.log(times)
    first = first - first.mean()
    return float(first @ second / (first @ first))


def _variation(stats: LatencyStats) -> float:
    """Return the relative deviation of single runs; from quantiles where there are any, which outliers do not move."""
    if stats.p90_ms > stats.p10_ms:
        return (stats.p90_ms - stats.p10_ms) / 2.563 / stats.median_ms
    return stats.std_ms / stats.median_ms


def _noise(stats: LatencyStats) -> float:
    """Return twice the relative standard error of a row."""
    return 2 * _variation(stats) / math.sqrt(max(stats.runs, 1))


def _same(stats: LatencyStats, other: LatencyStats | None) -> bool:
    """Tell whether two rows agree in figures that have digits enough not to agree by chance."""
    if other is None or (stats.median_ms, stats.mean_ms) != (other.median_ms, other.mean_ms):
        return False
    return len(repr(stats.median_ms).replace(".", "").strip("0")) > 3 or stats.median_ms != stats.mean_ms


def _are_sums(table: LatencyTable, networks: Sequence[Sequence[Layer]], measured_ms: Sequence[float]) -> bool:
    truth = np.asarray(measured_ms, dtype=np.float64)
    covered = [not table.find_missing(layers) for layers in networks]
    if all(covered) and len(networks) > 2:
        sums = np.array([sum(table.layer_ms(layer) for layer in layers) for layers in networks])
        ratio = truth / sums
        if np.abs(ratio / np.median(ratio) - 1).max() < _EXACT:
            return True
    distinct = list(dict.fromkeys(layer for layers in networks for layer in layers))
    design = count_layers(networks, distinct) / truth[:, None]
    solution, _, rank, _ = np.linalg.lstsq(design, np.ones(len(truth)), rcond=None)
    if len(truth) < 1.2 * rank + 2:
        return False
    return bool(np.median(np.abs(design @ solution - 1)) < _EXACT)


def _named(layers: Mapping[Layer, object] | Sequence[Layer]) -> tuple[str, ...]:
    return tuple(describe_layer(layer) for layer in layers)
