"""The timing protocol: how several things are timed so that drift and noise hit all of them alike.

Everything is warmed up, then timed in many short rounds; each round goes through all of them in another order: more
runs in one burst would not help against drift. The figure is the median of the rounds' medians, over the quietest of
the rounds alone. What else a machine does only ever adds to a latency, by amounts that depend on how much of the
caches a network needs, so that sums of layers fit whole networks best when both are taken from quiet moments; on a
machine that does nothing else all rounds agree.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.latency import LatencyStats
from natdeploy.ports import Clock

Call = Callable[[], object]
Times = NDArray[np.float64]
_MOST_WARMUP_RUNS = 1000


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How much is run.

    Args:
        warmup_runs: Least runs before anything counts.
        warmup_s: Least seconds before anything counts.
        rounds: Rounds.
        quiet_share: Share of the rounds, the quietest of each thing, that its median is taken from.
        round_s: Seconds that each thing gets in a round; short runs are repeated until it is filled.
        min_runs: Least runs in a round.
        max_runs: Most runs in a round.
    """

    warmup_runs: int = 5
    warmup_s: float = 0.05
    rounds: int = 40
    quiet_share: float = 0.1
    round_s: float = 0.005
    min_runs: int = 3
    max_runs: int = 20

    def runs(self, run_s: float) -> int:
        """Return the runs in a round of something that takes `run_s` seconds."""
        fitting = int(self.round_s / run_s) if run_s > 0 else self.max_runs
        return min(max(fitting, self.min_runs), self.max_runs)


def time_interleaved(
    calls: Sequence[Call], *, clock: Clock, rng: np.random.Generator, timing: Timing
) -> list[LatencyStats]:
    """Time each of `calls`, in rounds of shuffled order, with the garbage collector off.

    The first run after a change from another call is not counted: it finds the caches filled with other data.
    """
    with garbage_collector_off():
        runs = [timing.runs(_warm_up(call, clock, timing)) for call in calls]
        times: list[list[Times]] = [[] for _ in calls]
        for _ in range(timing.rounds):
            for index in rng.permutation(len(calls)):
                calls[index]()
                times[index].append(_burst(calls[index], runs[index], clock))
    return [summarize(rounds, timing.quiet_share) for rounds in times]


def summarize(rounds: Sequence[Times], quiet_share: float) -> LatencyStats:
    """Return the statistics of rounds of times in seconds.

    The median is that of the medians of the quietest `quiet_share` of the rounds; the other figures are of all runs.
    """
    every = np.concatenate(rounds) * 1e3
    p10, p90 = np.percentile(every, [10, 90])
    medians = np.sort([np.median(times) for times in rounds]) * 1e3
    median = np.median(medians[: math.ceil(quiet_share * len(medians))])
    figures = {"median_ms": median, "p10_ms": p10, "p90_ms": p90, "mean_ms": every.mean(), "std_ms": every.std()}
    return LatencyStats(**{name: round(float(value), 6) for name, value in figures.items()}, runs=every.size)


@contextlib.contextmanager
def garbage_collector_off() -> Iterator[None]:
    """Keep the garbage collector from running meanwhile."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _warm_up(call: Call, clock: Clock, timing: Timing) -> float:
    times: list[float] = []
    while len(times) < timing.warmup_runs or (sum(times) < timing.warmup_s and len(times) < _MOST_WARMUP_RUNS):
        times.append(float(_burst(call, 1, clock)[0]))
    return float(np.median(times))


def _burst(call: Call, runs: int, clock: Clock) -> Times:
    times = np.empty(runs)
    for index in range(runs):
        start = clock.seconds()
        call()
        times[index] = clock.seconds() - start
    return times
