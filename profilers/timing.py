"""The timing protocol: how several calls are timed so that drift and noise affect all of them alike.

Every call is warmed up and then timed in many short rounds. Each round goes through all calls in another order: more
runs in one burst would not help against drift. The statistics come from the fastest rounds alone. Other work on a
machine only adds to a latency, by an amount that depends on how much of the caches a network needs. So sums of layers
fit whole networks best if both come from quiet moments. On an idle machine all rounds agree.
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
    """Settings of the timing.

    Args:
        warmup_runs: Minimum runs of the warm-up.
        warmup_s: Minimum seconds of the warm-up.
        rounds: Number of rounds.
        quiet_rounds: Number of rounds, the fastest of each call, that its statistics come from.
        tolerance: Largest relative difference of the medians of these rounds; a call that exceeds it gets more rounds.
        max_rounds: Maximum number of rounds.
        round_s: Seconds of each call in a round; a short call is repeated to fill them.
        min_runs: Minimum runs in a round.
        max_runs: Maximum runs in a round.
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
        """Return the number of runs in a round of a call that takes `run_s` seconds."""
        return agent.count_runs_per_round(self, run_s)

    def with_effort(self, effort: float) -> Timing:
        """Return settings with about `effort` times the rounds, and at least `quiet_rounds` of them."""
        rounds = max(self.quiet_rounds, round(self.rounds * effort))
        return dataclasses.replace(self, rounds=rounds, max_rounds=max(rounds, round(self.max_rounds * effort)))


def choose_timing(runtime: str) -> Timing:
    """Return the settings for a runtime. A profile of LiteRT times ten times as many models, so each gets less."""
    if runtime == "litert":
        return Timing(warmup_runs=2, warmup_s=0.02, rounds=12, max_rounds=18, min_runs=1)
    return Timing()


def time_interleaved(
    calls: Sequence[Call], *, clock: Clock, rng: np.random.Generator, timing: Timing
) -> list[LatencyStats]:
    """Time each of `calls`, in rounds of shuffled order, with the garbage collector off.

    The first run after another call does not count: it finds the caches filled with other data.
    """
    rounds = agent.interleave(calls, seconds=clock.seconds, rng=rng, timing=timing)
    return [summarize(times, timing.quiet_rounds) for times in rounds]


def summarize(rounds: Sequence[Times], quiet_rounds: int) -> LatencyStats:
    """Return the statistics of the `quiet_rounds` rounds with the lowest medians; the times are in seconds.

    The other rounds contain the time of other programs, which is not the network's own latency.
    """
    quiet = sorted(rounds, key=lambda times: float(np.median(times)))[:quiet_rounds]
    return LatencyStats.from_times(np.concatenate(quiet) * 1e3, runs=sum(times.size for times in rounds)).round()
