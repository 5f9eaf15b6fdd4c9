"""The timing protocol, under a clock that only the timed calls move."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from natdeploy.errors import InputError
from natdeploy.profilers.timing import Timing, summarize, time_interleaved
from natdeploy.testing.fakes import FakeClock


class TaskClock(FakeClock):
    """A clock that moves when something is run."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []

    def task(self, number: int, durations_s):
        """Return a call that takes the next of `durations_s`, the last one for ever."""
        rest = list(durations_s)

        def call() -> None:
            self.log.append(number)
            self.advance(rest.pop(0) if len(rest) > 1 else rest[0])

        return call


def timed(clock: TaskClock, *durations_s, **options):
    """Time tasks of the given durations."""
    calls = [clock.task(number, values) for number, values in enumerate(durations_s)]
    timing = Timing(**{"warmup_runs": 2, "warmup_s": 0.0, "rounds": 4, "quiet_rounds": 99, "max_rounds": 0, **options})
    return time_interleaved(calls, clock=clock, rng=np.random.default_rng(0), timing=timing)


def test_each_call_gets_its_own_time():
    """The statistics of a steady call are its duration, in milliseconds."""
    fast, slow = timed(TaskClock(), [0.001], [0.004], round_s=0.01, min_runs=2, max_runs=50)
    assert (fast.median_ms, slow.median_ms) == (pytest.approx(1), pytest.approx(4))
    assert fast.std_ms == pytest.approx(0, abs=1e-5)
    assert (fast.runs, slow.runs) == (4 * 10, 4 * 2)


def test_short_runs_are_repeated_within_bounds():
    """The runs of a round fill its time, never fewer or more than allowed."""
    timing = Timing(round_s=0.01, min_runs=3, max_runs=20)
    assert [timing.runs(run_s) for run_s in (1.0, 0.002, 0.00001, 0.0)] == [3, 5, 20, 20]


def test_warm_up_goes_by_count_and_by_time():
    """Slow first runs, and all runs before the warm-up's time is over, do not count."""
    stats = timed(TaskClock(), [0.5, 0.3, *[0.001] * 2, 0.001], warmup_runs=4, rounds=2, min_runs=1, max_runs=1)
    assert stats[0].p90_ms == pytest.approx(1)
    clock = TaskClock()
    timed(clock, [0.001], warmup_runs=1, warmup_s=0.05, rounds=1, min_runs=1, max_runs=1)
    assert len(clock.log) == pytest.approx(50 + 2, abs=1)


def test_rounds_are_shuffled_and_interleaved():
    """Every round runs everything once, in an order that changes."""
    clock = TaskClock()
    timed(clock, *[[0.001]] * 5, rounds=8, min_runs=1, max_runs=1)
    rounds = np.array(clock.log[2 * 5 :]).reshape(8, 5, 2)
    assert (rounds[..., 0] == rounds[..., 1]).all()
    orders = [tuple(order) for order in rounds[..., 0]]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
    assert len(set(orders)) > 1


def test_the_run_after_a_change_does_not_count():
    """The first run of a burst, which finds cold caches, leaves no trace."""
    durations = [0.001] * 2 + [9.0, 0.001] * 4
    assert timed(TaskClock(), durations, min_runs=1, max_runs=1)[0].mean_ms == pytest.approx(1)


def test_a_disturbed_minority_of_rounds_does_not_move_the_median():
    """Noise shows in the spread, not in the figure."""
    rounds = [np.full(5, 0.001)] * 7 + [np.full(5, 0.010)] * 3
    stats = summarize(rounds, 10)
    assert stats.median_ms == pytest.approx(1)
    assert stats.p90_ms == pytest.approx(10)
    assert stats.mean_ms == pytest.approx(3.7)


def test_the_median_is_of_the_quietest_rounds():
    """As many of the quietest rounds are taken as asked for."""
    rounds = [np.full(3, value) for value in (0.005, 0.003, 0.001, 0.002, 0.004)]
    assert [summarize(rounds, count).median_ms for count in (1, 3, 5)] == pytest.approx([1, 2, 3])


def test_what_does_not_settle_gets_more_rounds():
    """A call whose quiet rounds lie apart is timed on until they agree, a steady one is not."""
    unsteady = [0.001] * 2 + [value for value in (0.009, 0.005, 0.003, 0.002) for _ in (0, 1)] + [0.001]
    options = {"rounds": 4, "quiet_rounds": 3, "min_runs": 1, "max_runs": 1}
    steady, settled = timed(TaskClock(), [0.001], unsteady, **options, max_rounds=20)
    assert (steady.runs, settled.runs) == (4, 7)
    assert settled.median_ms == pytest.approx(1)
    _, given_up = timed(TaskClock(), [0.001], unsteady, **options, max_rounds=6)
    assert given_up.runs == 6


def test_a_call_that_takes_no_time_is_not_a_latency():
    """A clock that stands still is reported, never a latency of zero."""
    with pytest.raises(InputError, match="median_ms is 0"):
        timed(TaskClock(), [0.0], max_runs=2)


def test_the_garbage_collector_is_off_while_timing_and_on_again_after():
    """Collections fall outside the timed calls, and a failing call leaves the collector as it was."""
    seen = []

    def look() -> None:
        seen.append(gc.isenabled())
        if len(seen) == 3:
            raise ZeroDivisionError

    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        time_interleaved([look], clock=TaskClock(), rng=np.random.default_rng(0), timing=Timing())
    assert seen == [False] * 3
    assert gc.isenabled()


def test_the_same_seed_gives_the_same_order():
    """Nothing but the generator decides the order."""
    first, second = TaskClock(), TaskClock()
    timed(first, [0.001], [0.002], [0.003])
    timed(second, [0.001], [0.002], [0.003])
    assert first.log == second.log
