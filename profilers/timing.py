"""The timing protocol: how several things are timed so that drift and noise hit all of them alike.

Everything is warmed up, then timed in many short rounds; each round goes through all of them in another order: more
runs in one burst would not help against drift. The figure is the median of the rounds' medians, over the quietest of
the rounds alone. What else a machine does only ever adds to a latency, by amounts that depend on how much of the
caches a network needs, so that sums of layers fit whole networks best when both are taken from quiet moments; on a
machine that does nothing else all rounds agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.latency import LatencyStats
from natdeploy.ports import Clock
from natdeploy.runtimes import agent

Call = Callable[[], object]
Times = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """How much is run.

    Args:
        warmup_runs: Least runs before anything counts.
        warmup_s: Least seconds before anything counts.
        rounds: Rounds.
        quiet_rounds: How many rounds, the quietest of each thing, its median is taken from.
        tolerance: How far these may lie apart, relative to the quietest; what lies further apart gets more rounds.
        max_rounds: Most rounds.
        round_s: Seconds that each thing gets in a round; short runs are repeated until it is filled.
        min_runs: Least runs in a round.
        max_runs: Most runs in a round.
    """

    warmup_runs: int = 5
    warmup_s: float = 0.05
    rounds: int = 24
    quiet_rounds: int = 4
    tolerance: float = 0.02
    max_rounds: int = 40
    round_s: float = 0.005
    min_runs: int = 2
    max_runs: int = 20

    def runs(self, run_s: float) -> int:
        """Return the runs in a round of something that takes `run_s` seconds."""
        return agent.count_runs_per_round(self, run_s)

    def with_effort(self, effort: float) -> Timing:
        """Return a timing with about `effort` times the rounds, and at least those that a median is taken from."""
        rounds = max(self.quiet_rounds, round(self.rounds * effort))
        return dataclasses.replace(self, rounds=rounds, max_rounds=max(rounds, round(self.max_rounds * effort)))


def choose_timing(runtime: str) -> Timing:
    """Return how much is run with a runtime: less of each model where a profile times ten times as many of them."""
    if runtime == "litert":
        return Timing(warmup_runs=2, warmup_s=0.02, rounds=12, max_rounds=18, min_runs=1)
    return Timing()


def time_interleaved(
    calls: Sequence[Call], *, clock: Clock, rng: np.random.Generator, timing: Timing
) -> list[LatencyStats]:
    """Time each of `calls`, in rounds of shuffled order, with the garbage collector off.

    The first run after a change from another call is not counted: it finds the caches filled with other data.
    """
    rounds = agent.interleave(calls, seconds=clock.seconds, rng=rng, timing=timing)
    return [summarize(times, timing.quiet_rounds) for times in rounds]


def summarize(rounds: Sequence[Times], quiet_rounds: int) -> LatencyStats:
    """Return the statistics of the `quiet_rounds` rounds with the lowest medians, of times in seconds.

    What other programs add to the other rounds is not the network's own latency.
    """
    quiet = sorted(rounds, key=lambda times: float(np.median(times)))[:quiet_rounds]
    every = np.concatenate(quiet) * 1e3
    runs = sum(times.size for times in rounds)
    p10, median, p90 = np.percentile(every, [10, 50, 90])
    figures = {"median_ms": median, "p10_ms": p10, "p90_ms": p90, "mean_ms": every.mean(), "std_ms": every.std()}
    return LatencyStats(**{name: round(float(value), 6) for name, value in figures.items()}, runs=runs)
