"""Finding what is wrong with a latency table from its rows.

Each check found something in published tables: rows copied from another device, latencies that do not depend on the
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
from natdeploy.core.space import SearchSpace

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
_SHOWN = 3
_ONLY_DEPTH = "kernels, expand ratios and resolution hardly matter there, but depth does"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TableFinding:
    """Something wrong with a table.

    Args:
        code: Name of the finding.
        severity: `error` or `warning`.
        explanation: What is wrong and why it matters.
        rows: The rows in question, as messages name them; empty if all rows are.
    """

    code: str
    severity: str
    explanation: str
    rows: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = "; ".join(self.rows[:_SHOWN])
        more = f"; and {len(self.rows) - _SHOWN} more" if len(self.rows) > _SHOWN else ""
        return f"{self.explanation}: {shown}{more}" if shown else self.explanation


def check_rows(table: LatencyTable) -> list[TableFinding]:
    """Check the rows of a table."""
    found = [*_find_disordered(table), *_find_non_monotone(table), *_find_high_variance(table)]
    flat = _find_no_size_dependence(table)
    return [*found, *flat, *_find_launch_bound(table)]


def find_missing_rows(table: LatencyTable, places: Sequence[tuple[SearchSpace, float, int]]) -> list[TableFinding]:
    """Find the layers without a row at these spaces, widths and resolutions; one count of classes is enough."""
    missing: dict[Layer, None] = {}
    for space, width, resolution in places:
        missing.update(dict.fromkeys(table.find_missing(space_layers(space, width, resolution, [_CLASSES]))))
    if not missing:
        return []
    where = ", ".join(dict.fromkeys(f"{space.name} at r = {resolution}" for space, _, resolution in places))
    text = f"{len(missing)} layers of {where} have no row: networks with them are refused"
    return [TableFinding(code="missing-rows", severity=ERROR, explanation=text, rows=_describe(missing))]


def find_probable_places(table: LatencyTable, spaces: Sequence[SearchSpace]) -> list[tuple[SearchSpace, float, int]]:
    """Return those of the spaces, widths and resolutions that the table seems to be meant for.

    It has at least half of their layers, and the stem or the block after it. Later layers do not count for this: they
    belong to other resolutions too.
    """
    sizes = {layer.in_size for layer in table.rows if layer.op == STEM}
    whole = [space for space in spaces if not any(_is_part_of(other, space) for other in spaces)]
    return [
        (space, width, resolution)
        for space in whole
        for width in space.widths
        for resolution in sorted(sizes.union(space.resolutions))
        if _seems_covered(table, space, width, resolution)
    ]


def _is_part_of(part: SearchSpace, space: SearchSpace) -> bool:
    """Tell whether a space has some of the widths of another one, and the same networks at them."""
    return {*part.widths} < {*space.widths} and part.has_networks_of(space)


def _seems_covered(table: LatencyTable, space: SearchSpace, width: float, resolution: int) -> bool:
    if not any(layer in table.rows for layer in stem_layers(space, width, resolution)):
        return False
    layers = space_layers(space, width, resolution, [])
    return len(table.find_missing(layers)) <= _PROBABLE_SHARE * len(layers)


def find_copied_rows(table: LatencyTable, others: Mapping[str, LatencyTable]) -> list[TableFinding]:
    """Find rows that a table of another device has too, to the last digit.

    Tables that share rows on purpose are left out: estimates from the same numbers, and corrections of the other table.
    """
    found = []
    for name, other in others.items():
        kinds = {table.provenance, other.provenance}
        if "calibrated" in kinds or kinds == {"estimated"}:
            continue
        equal = [layer for layer, stats in table.rows.items() if _are_equal(stats, other.rows.get(layer))]
        if len(equal) > _EQUAL_ROWS:
            text = f"{len(equal)} rows equal those of {name} to the last digit: two measurements never agree so closely"
            found.append(
                TableFinding(code="equal-to-other", severity=ERROR, explanation=text, rows=_describe(equal)),
            )
    return found


def check_measurements(
    table: LatencyTable, networks: Sequence[Sequence[Layer]], measured_ms: Sequence[float]
) -> list[TableFinding]:
    """Check measurements of whole networks: whether they are sums, and whether latency is launch-bound."""
    found = []
    if _are_sums(table, networks, measured_ms):
        text = (
            "the 'measured' latencies are exact sums over layers: no device was run, so they say nothing about a table"
        )
        found.append(TableFinding(code="exact-sums", severity=ERROR, explanation=text))
    causes = explain_latency(networks, measured_ms)
    if causes.launch_bound:
        text = f"the measured latency is launch-bound: {causes}; {_ONLY_DEPTH}"
        found.append(TableFinding(code="launch-bound", severity=WARNING, explanation=text))
    return found


def _find_non_monotone(table: LatencyTable) -> Iterator[TableFinding]:
    """Find rows that are faster than a row with a smaller kernel, expand ratio or feature map."""
    wrong = {}
    for field in ("kernel", "mid_channels", "in_size"):
        for small, large in _pair_neighbours(table, field):
            drop = 1 - table.rows[large].median_ms / table.rows[small].median_ms
            if drop > max(NOISE, _estimate_noise(table.rows[small]), _estimate_noise(table.rows[large])):
                wrong[large] = f"{describe_layer(large)}: {100 * drop:.0f} % below {field} {getattr(small, field)}"
    if wrong:
        smaller = "a smaller kernel, expand ratio or feature map"
        text = f"rows that are faster than those of {smaller}, beyond noise ({len(wrong)})"
        yield TableFinding(code="non-monotone", severity=WARNING, explanation=text, rows=tuple(wrong.values()))


def _find_disordered(table: LatencyTable) -> Iterator[TableFinding]:
    wrong = [
        layer
        for layer, stats in table.rows.items()
        if stats.p10_ms > stats.median_ms * (1 + _ROUNDED) or stats.median_ms > stats.p90_ms * (1 + _ROUNDED)
    ]
    if wrong:
        text = f"{len(wrong)} rows have a median that is not between p10 and p90: they were changed by hand"
        rows = tuple(map(describe_layer, wrong))
        yield TableFinding(code="disordered", severity=ERROR, explanation=text, rows=rows)


def _find_high_variance(table: LatencyTable) -> Iterator[TableFinding]:
    wrong = {
        layer: _estimate_variation(stats)
        for layer, stats in table.rows.items()
        if _estimate_variation(stats) > MAX_VARIATION
    }
    if wrong:
        text = f"{len(wrong)} rows vary by more than {100 * MAX_VARIATION:.0f} % from run to run: measure them again"
        rows = tuple(f"{describe_layer(layer)}: {100 * value:.0f} %" for layer, value in wrong.items())
        yield TableFinding(code="high-variance", severity=WARNING, explanation=text, rows=rows)


def _find_no_size_dependence(table: LatencyTable) -> Iterator[TableFinding]:
    """Find blocks that take the same time at every feature-map size."""
    slopes = [
        _fit_slope(pixels, times)
        for pixels, times in _group_latencies(table, "in_size", lambda layer: float(layer.in_size**2))
        if max(pixels) > _WORK_RATIO * min(pixels)
    ]
    if slopes and float(np.median(slopes)) < _FLAT:
        text = (
            f"latency does not depend on resolution: it grows with the power {np.median(slopes):.2f} of the pixels, "
            f"while work grows with the power 1"
        )
        yield TableFinding(code="no-size-dependence", severity=WARNING, explanation=text)


def _find_launch_bound(table: LatencyTable) -> Iterator[TableFinding]:
    """Find out whether the rows are almost constant, whatever the work, or the table itself says so."""
    if table.conditions.get("launch_bound") is True:
        text = f"latency is launch-bound: {table.conditions.get('causes', 'the table says so')}; {_ONLY_DEPTH}"
        yield TableFinding(code="launch-bound", severity=WARNING, explanation=text)
        return
    blocks = {layer: stats.median_ms for layer, stats in table.rows.items() if layer.op == BLOCK}
    work = [float(layer.madds) for layer in blocks]
    if not work or max(work) < _WORK_RATIO * min(work):
        return
    slope = _fit_slope(work, list(blocks.values()))
    if slope < _FLAT:
        text = f"the table is launch-bound: its rows grow with the power {slope:.2f} of the work; {_ONLY_DEPTH}"
        yield TableFinding(code="launch-bound", severity=WARNING, explanation=text)


def _pair_neighbours(table: LatencyTable, field: str) -> Iterator[tuple[Layer, Layer]]:
    """Yield pairs of neighbouring rows that differ in `field` alone, the smaller first."""
    for group in _group_blocks(table, field):
        yield from itertools.pairwise(sorted(group, key=lambda layer: int(getattr(layer, field))))


def _group_blocks(table: LatencyTable, field: str) -> Iterator[list[Layer]]:
    groups = defaultdict(list)
    for layer in table.rows:
        if layer.op == BLOCK:
            alike: dict[str, Any] = {field: 1}
            groups[dataclasses.replace(layer, **alike)].append(layer)
    yield from (group for group in groups.values() if len(group) > 1)


def _group_latencies(
    table: LatencyTable, field: str, cause: Callable[[Layer], float]
) -> Iterator[tuple[list[float], list[float]]]:
    """Yield the cause and the latencies of each group of rows that differ in `field` alone."""
    for group in _group_blocks(table, field):
        yield [cause(layer) for layer in group], [table.rows[layer].median_ms for layer in group]


def _fit_slope(cause: Sequence[float], times: Sequence[float]) -> float:
    """Return the exponent with which `times` grow with `cause`."""
    first, second = np.log(cause), np.log(times)
    first = first - first.mean()
    return float(first @ second / (first @ first))


def _estimate_variation(stats: LatencyStats) -> float:
    """Return the relative deviation of single runs, from quantiles if there are any: outliers do not move these."""
    if stats.p90_ms > stats.p10_ms:
        return (stats.p90_ms - stats.p10_ms) / 2.563 / stats.median_ms
    return stats.std_ms / stats.median_ms


def _estimate_noise(stats: LatencyStats) -> float:
    """Return twice the relative standard error of a row."""
    return 2 * _estimate_variation(stats) / math.sqrt(max(stats.runs, 1))


def _are_equal(stats: LatencyStats, other: LatencyStats | None) -> bool:
    """Tell whether two rows agree in so many digits that it is no coincidence."""
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


def _describe(layers: Mapping[Layer, object] | Sequence[Layer]) -> tuple[str, ...]:
    return tuple(describe_layer(layer) for layer in layers)
