"""Running whole networks to validate a table: its correction, its errors and its interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from natdeploy.core.latency import LatencyStats, LatencyTable, count_searchable_blocks
from natdeploy.core.latency_correction import fit_correction_with_interval, predict_held_out
from natdeploy.core.layers import Layer
from natdeploy.core.space import SearchSpace
from natdeploy.core.table_errors import compute_errors
from natdeploy.core.timed import Disturbance, find_worst
from natdeploy.profilers.meter import Meter
from natdeploy.profilers.sessions import MeasurementSession, compute_reference_latency
from natdeploy.profilers.setup import ProfilingSetup
from natdeploy.profilers.validation_networks import choose_spread_networks, draw_random_networks

Networks = list[tuple[Layer, ...]]
_RANDOM_SHARE = 0.5
_REPEATED = 5
_UNSTABLE = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ValidationRun:
    """Whole networks that were run.

    Args:
        spread: Networks whose predicted latencies spread evenly over the range.
        random: Random networks.
        measured_ms: Median latency of each network, those of `spread` first.
        reference_latency_ms: Latency of the reference networks in this session.
        noise_percent: Median difference of two interleaved timings of one network.
        unstable: Number of networks whose 10th and 90th percentiles differ by more than 5 %.
        disturbance: What else ran on the device; None if it is not known.
    """

    spread: Networks
    random: Networks
    measured_ms: list[float]
    reference_latency_ms: float
    noise_percent: float
    unstable: int
    disturbance: Disturbance | None

    @property
    def conditions(self) -> dict[str, Any]:
        """The entries of the table's conditions."""
        disturbance = None if self.disturbance is None else dataclasses.asdict(self.disturbance)
        return {
            "noise_floor_percent": self.noise_percent,
            "unstable_networks": self.unstable,
            "disturbance": disturbance,
        }


def measure_validation_networks(
    space: SearchSpace, table: LatencyTable, references: Networks, setup: ProfilingSetup
) -> ValidationRun:
    """Measure networks that spread evenly over the range of predicted latency, and half as many random ones.

    They are of `space` and of the other known spaces that the table covers, because the table has one correction for
    all of them.
    """
    rng = np.random.default_rng(setup.seed)
    spaces = find_covered_spaces(table, space, setup.known_spaces)
    each = -(-setup.validation_networks // len(spaces))
    spread = [choose_spread_networks(own, table, each, rng) for own in spaces]
    random = [draw_random_networks(own, round(each * _RANDOM_SHARE), rng) for own in spaces]
    groups = [[*own, *others] for own, others in zip(spread, random, strict=True)]
    setup.reporter.info(f"checking the table on {sum(map(len, groups))} whole networks")
    runs = sum(len(group) + len(_choose_repeated(group, len(spaces))) + len(references) for group in groups)
    in_session = space.max_gene + len(references)
    effort = 1.0 if setup.budget is None else setup.budget.choose_check_effort(runs, in_session)
    meter = Meter(exporter=setup.exporter, timer=setup.with_effort(effort).timer, seed=setup.seed)
    # Each space is timed on its own, so that small networks do not run with caches that large ones have just filled.
    timed = _level([_time_networks(group, references, len(spaces), meter) for group in groups])
    ordered = [stats for one, own in zip(timed, spread, strict=True) for stats in one.networks[: len(own)]]
    ordered += [stats for one, own in zip(timed, spread, strict=True) for stats in one.networks[len(own) :]]
    return ValidationRun(
        spread=[network for own in spread for network in own],
        random=[network for own in random for network in own],
        measured_ms=[stats.median_ms for stats in ordered],
        reference_latency_ms=compute_reference_latency(timed[0].references),
        noise_percent=_noise_percent([pair for one in timed for pair in one.repeated]),
        unstable=sum(stats.p90_ms - stats.p10_ms > _UNSTABLE * stats.median_ms for stats in ordered),
        disturbance=find_worst([one.disturbance for one in timed]),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _TimedNetworks:
    networks: list[LatencyStats]
    references: list[LatencyStats]
    repeated: list[tuple[LatencyStats, LatencyStats]]
    disturbance: Disturbance | None


def _time_networks(
    networks: Networks, references: Sequence[tuple[Layer, ...]], parts: int, meter: Meter
) -> _TimedNetworks:
    """Time networks interleaved with the references, and some of them twice."""
    twice = _choose_repeated(networks, parts)
    timed = meter.measure([*networks, *references, *(networks[place] for place in twice)])
    found = list(timed.stats)
    own, rest = found[: len(networks)], found[len(networks) :]
    again = rest[len(references) :]
    return _TimedNetworks(
        networks=own,
        references=rest[: len(references)],
        repeated=[(own[place], other) for place, other in zip(twice, again, strict=True)],
        disturbance=timed.disturbance,
    )


def _level(groups: Sequence[_TimedNetworks]) -> list[_TimedNetworks]:
    """Scale the networks of each group to the level that the machine had when it timed the first one."""
    first_ms = compute_reference_latency(groups[0].references)
    factors = [first_ms / compute_reference_latency(group.references) for group in groups]
    return [
        dataclasses.replace(group, networks=[stats.scale(factor) for stats in group.networks])
        for group, factor in zip(groups, factors, strict=True)
    ]


def _choose_repeated(networks: Networks, parts: int) -> range:
    """Return the indices of the networks to time twice, if `networks` is one of several parts."""
    return range(0, len(networks), max(1, parts * len(networks) // _REPEATED))


def find_covered_spaces(
    table: LatencyTable, space: SearchSpace, known_spaces: Sequence[SearchSpace]
) -> list[SearchSpace]:
    """Return the covered part of `space`, then of the known spaces.

    A space is left out if another one in the list contains all its architectures.
    """
    found: list[SearchSpace] = []
    own_widths = [dataclasses.replace(space, widths=(width,)) for width in space.widths]
    widest_first = sorted(known_spaces, key=lambda known: -len(known.widths))
    for candidate in (space, *own_widths, *widest_first):
        covered = table.find_covered_resolutions(candidate, 1000)
        if covered and not any(_contains(known, candidate, covered) for known in found):
            found.append(candidate.with_resolutions(covered))
    return found


def find_quietest_reference_ms(sessions: Sequence[MeasurementSession], checked: ValidationRun | None) -> float | None:
    """Return the lowest reference latency of all sessions; None if none is known."""
    levels = [measured.reference_latency_ms for measured in sessions if measured.reference_latency_ms is not None]
    if checked is not None:
        levels.append(checked.reference_latency_ms)
    return min(levels, default=None)


def add_validation(table: LatencyTable, checked: ValidationRun, quietest_ms: float | None) -> LatencyTable:
    """Return `table` with the correction by whole networks, with its errors over them, and with the interval.

    The errors and the interval come from held-out networks: each is predicted by a correction that did not see it.
    """
    factor = 1.0 if quietest_ms is None else quietest_ms / checked.reference_latency_ms
    measured = [value * factor for value in checked.measured_ms]
    networks = [*checked.spread, *checked.random]
    sums = [table.sum_ms(layers) for layers in networks]
    blocks = [count_searchable_blocks(layers) for layers in networks]
    predicted = predict_held_out(sums, blocks, measured)
    count = len(checked.spread)
    return dataclasses.replace(
        table,
        latency_correction=fit_correction_with_interval(sums, blocks, measured)[0],
        validation=compute_errors(predicted[:count], measured[:count]),
        random_validation=compute_errors(predicted[count:], measured[count:]) if checked.random else None,
    )


def _contains(known: SearchSpace, candidate: SearchSpace, resolutions: Sequence[int]) -> bool:
    within = {*candidate.widths} <= {*known.widths} and {*resolutions} <= {*known.resolutions}
    return within and candidate.has_networks_of(known)


def _noise_percent(pairs: Sequence[tuple[LatencyStats, LatencyStats]]) -> float:
    differences = [abs(math.log(first.median_ms / second.median_ms)) for first, second in pairs]
    return round(100 * float(np.median(differences)), 3)
