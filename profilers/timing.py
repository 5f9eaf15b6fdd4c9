"""The timing protocol: how several models are timed so that drift and noise affect all of them alike.

Every model is warmed up and then timed in many short rounds. Each round goes through all models in another order: more
runs in one burst would not help against drift. What counts are runs back to back, after the caches hold the model's own
data. Rounds that lost time to other processes do not count where there are enough others.

A machine is now faster and now slower. What a round took is therefore a product: the model's own latency, and the pace
of the machine in this round, which all models share. Both are found by median polish (Tukey, Exploratory Data Analysis,
1977) of the logarithms. All latencies are then given at the pace of the fastest rounds.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.latency import LatencyStats
from natdeploy.errors import InputError
from natdeploy.runtimes import agent
from natdeploy.runtimes.agent import Rounds

Times = NDArray[np.float64]
_SWEEPS = 10


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Settings of the timing.

    Args:
        warmup_runs: Minimum runs of the warm-up.
        warmup_s: Minimum seconds of the warm-up.
        rounds: Number of rounds.
        quiet_rounds: Number of rounds, the fastest ones, whose pace the latencies are given at.
        quiet_lost: Largest share of a quiet round that may be lost to other processes.
        tolerance: Largest relative difference of the medians of the fastest rounds; a model that exceeds it, or has
            fewer quiet rounds, gets more.
        max_rounds: Maximum number of rounds.
        processes: Number of processes that share the rounds. Where a process happens to get its memory changes the
            latency of a model by some percent for as long as the process lives.
        settle_s: Seconds of each model in a round that do not count: its data come back into the caches.
        round_s: Seconds of each model in a round that count; a short run is repeated to fill them.
        min_runs: Minimum runs in a round.
        max_runs: Maximum runs in a round.
    """

    warmup_runs: int = 5
    warmup_s: float = 0.05
    rounds: int = 24
    quiet_rounds: int = 4
    quiet_lost: float = 0.01
    tolerance: float = 0.02
    max_rounds: int = 40
    processes: int = 3
    settle_s: float = 0.01
    round_s: float = 0.01
    min_runs: int = 2
    max_runs: int = 100

    def runs(self, run_s: float) -> int:
        """Return the number of counted runs in a round of a model whose run takes `run_s` seconds."""
        return agent.count_runs_per_round(self, run_s)

    def with_effort(self, effort: float) -> Timing:
        """Return settings with about `effort` times the rounds, and at least `quiet_rounds` of them."""
        rounds = max(self.quiet_rounds, round(self.rounds * effort))
        return dataclasses.replace(self, rounds=rounds, max_rounds=max(rounds, round(self.max_rounds * effort)))

    def share(self) -> Timing:
        """Return the settings of one of the processes."""
        rounds, most, quiet = (
            max(1, math.ceil(number / self.processes)) for number in (self.rounds, self.max_rounds, self.quiet_rounds)
        )
        return dataclasses.replace(self, rounds=rounds, max_rounds=most, quiet_rounds=quiet, processes=1)


def choose_timing(runtime: str) -> Timing:
    """Return the settings for a runtime. A profile of LiteRT times ten times as many models, so each gets less."""
    if runtime == "litert":
        return Timing(warmup_runs=2, warmup_s=0.02, rounds=12, max_rounds=18, settle_s=0.005, round_s=0.005, min_runs=1)
    return Timing()


def summarize(models: Sequence[Rounds], timing: Timing) -> list[LatencyStats]:
    """Return the latency of each of `models`, which were timed together, at the pace of the fastest rounds.

    Raises:
        InputError: The median of a round is 0.
    """
    counted = [find_counted_rounds(rounds, timing) for rounds in models]
    medians = np.full((len(models), max((len(rounds.times_s) for rounds in models), default=0)), np.nan)
    for place, rounds in enumerate(models):
        for number in counted[place]:
            medians[place, number] = np.median(rounds.times_s[number])
    if (medians == 0).any():
        msg = "a run took no time: the clock of the device is too coarse to time its models"
        raise InputError(msg)
    pace = compute_pace(medians)
    fastest = float(np.median(np.sort(pace[np.isfinite(pace)])[: timing.quiet_rounds])) if len(models) else 1.0
    return [
        LatencyStats.from_times(
            np.concatenate([rounds.times_s[number] * (fastest / pace[number]) for number in counted[place]]) * 1e3,
            runs=sum(times.size for times in rounds.times_s),
        ).round()
        for place, rounds in enumerate(models)
    ]


def join_processes(parts: Sequence[Sequence[Rounds]]) -> list[Rounds]:
    """Return the rounds of each model in all processes, one process after the other.

    In each process some models were timed in more rounds than others. The rounds that others lack are empty, so that
    rounds of one number are those of one time.
    """
    joined: list[Rounds] = []
    for of_model in zip(*parts, strict=True):
        times: list[Times] = []
        lost: list[float | None] = []
        for own, part in zip(of_model, parts, strict=True):
            missing = max(len(rounds.times_s) for rounds in part) - len(own.times_s)
            times += [*own.times_s, *itertools.repeat(np.empty(0), missing)]
            lost += [*own.lost, *itertools.repeat(None, missing)]
        joined.append(Rounds(times, lost))
    return joined


def find_counted_rounds(rounds: Rounds, timing: Timing) -> list[int]:
    """Return the numbers of the rounds that count: the quiet ones, or the least disturbed ones if these are too few."""
    lost = {number: rounds.lost[number] or 0.0 for number, times in enumerate(rounds.times_s) if times.size}
    quiet = [number for number, share in lost.items() if share <= timing.quiet_lost]
    if len(quiet) >= timing.quiet_rounds:
        return quiet
    return sorted(sorted(lost, key=lambda number: lost[number])[: timing.quiet_rounds])


def compute_lost_share(models: Sequence[Rounds], timing: Timing) -> float | None:
    """Return the share of the counted rounds that was lost to other processes; None if it is not known."""
    shares = [rounds.lost[number] for rounds in models for number in find_counted_rounds(rounds, timing)]
    known = [share for share in shares if share is not None]
    return float(np.mean(known)) if known and len(known) == len(shares) else None


def compute_pace(medians: Times) -> Times:
    """Return the pace of each round relative to the others, from a `models x rounds` array; NaN where none counts.

    A pace of 1.1 means that the machine took 10 % longer in this round than usual.
    """
    rest = np.log(medians)
    pace = np.zeros(rest.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a round in which no model counts has no median
        for _ in range(_SWEEPS):
            rest -= np.nanmedian(rest, axis=1, keepdims=True)
            step = np.nanmedian(rest, axis=0)
            pace += step
            rest -= step
    found: Times = np.exp(pace)
    return found
