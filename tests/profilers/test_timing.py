"""The timing protocol, under a clock that only the timed calls move."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from natdeploy.errors import InputError
from natdeploy.profilers.timing import Timing, compute_lost_share, find_counted_rounds, join_processes, summarize
from natdeploy.runtimes.agent import Rounds, interleave
from natdeploy.runtimes.processor_load import Snapshot
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


class FakeWatch:
    """A watch that says how much of each round was lost, and half of which rounds it was read in."""

    def __init__(self, clock: FakeClock, lost_s) -> None:
        self.clock, self.lost_s, self.reads = clock, list(lost_s), 0

    def read(self) -> Snapshot:
        """Return the next snapshot: between two of them a round is lost as long as its entry says."""
        self.reads += 1
        waited = sum(self.lost_s[: self.reads // 2])
        return Snapshot(
            at_s=self.clock.seconds(), busy_s=0.0, steal_s=0.0, own_s=0.0, waited_s=waited, turns=99 * self.reads
        )


def interleaved(clock: TaskClock, *durations_s, watch=None, **options):
    """Time tasks of the given durations."""
    calls = [clock.task(number, values) for number, values in enumerate(durations_s)]
    timing = make_timing(**options)
    rounds = interleave(calls, seconds=clock.seconds, rng=np.random.default_rng(0), timing=timing, watch=watch)
    return rounds, timing


def make_timing(**options) -> Timing:
    """Return settings with few rounds."""
    quick = {"warmup_runs": 2, "warmup_s": 0.0, "rounds": 4, "quiet_rounds": 99, "max_rounds": 0, "settle_s": 0.0}
    return Timing(**{**quick, **options})


def timed(clock: TaskClock, *durations_s, **options):
    """Return the latencies of tasks of the given durations."""
    return summarize(*interleaved(clock, *durations_s, **options))


def rounds_of(*medians_s, lost=None) -> Rounds:
    """Return rounds whose runs all take the same time."""
    return Rounds([np.full(3, value) for value in medians_s], list(lost or [None] * len(medians_s)))


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


def test_the_runs_in_which_the_caches_settle_do_not_count():
    """A round begins with as many uncounted runs as fill the time to settle."""
    clock = TaskClock()
    (stats,) = timed(clock, [0.001] * 2 + ([0.007] * 3 + [0.001] * 2) * 4, settle_s=0.003, min_runs=2, max_runs=2)
    assert len(clock.log) == 2 + 4 * (2 + 2)
    assert stats.runs == 8
    clock = TaskClock()
    timed(clock, [0.001], settle_s=0.003, min_runs=2, max_runs=5)
    assert len(clock.log) == 2 + 4 * (3 + 5)


def test_the_pace_of_a_round_does_not_move_a_latency():
    """A machine that slows down by half leaves the latencies as they are at its fastest pace."""
    paces = (1.0, 1.0, 1.5, 1.5, 1.5, 1.5)
    models = [rounds_of(*(latency * pace for pace in paces)) for latency in (0.001, 0.004)]
    first, second = summarize(models, make_timing(quiet_rounds=2))
    assert (first.median_ms, second.median_ms) == (pytest.approx(1), pytest.approx(4))
    assert first.std_ms == pytest.approx(0, abs=1e-6)


def test_a_round_that_disturbed_one_model_does_not_change_the_other_ones():
    """The pace is the median over the models, so that one of them cannot set it alone."""
    models = [rounds_of(*[latency] * 5) for latency in (0.001, 0.002, 0.003)]
    models[0].times_s[2][:] = 0.009
    stats = summarize(models, make_timing(quiet_rounds=2))
    assert [one.median_ms for one in stats] == pytest.approx([1, 2, 3])
    assert [one.std_ms > 0.1 for one in stats] == [True, False, False]


def test_one_model_is_given_at_the_pace_of_its_fastest_rounds():
    """Alone, a model has no other one to compare the pace with: its fastest rounds are the latency."""
    rounds = rounds_of(0.005, 0.003, 0.001, 0.002, 0.004)
    assert [summarize([rounds], make_timing(quiet_rounds=n))[0].median_ms for n in (1, 3, 5)] == pytest.approx(
        [1, 2, 3]
    )


def test_rounds_that_lost_time_do_not_count_where_there_are_others():
    """Rounds that other processes disturbed are left out; where all are, the least disturbed ones count."""
    timing = make_timing(quiet_rounds=2, quiet_lost=0.01)
    some = rounds_of(0.001, 0.002, 0.001, 0.002, lost=[0.0, 0.5, 0.0, 0.5])
    assert find_counted_rounds(some, timing) == [0, 2]
    assert compute_lost_share([some], timing) == 0
    every = rounds_of(0.002, 0.003, 0.004, lost=[0.3, 0.1, 0.2])
    assert find_counted_rounds(every, timing) == [1, 2]
    assert compute_lost_share([every], timing) == pytest.approx(0.15)
    assert compute_lost_share([rounds_of(0.001, 0.001)], timing) is None


def test_rounds_of_several_processes_are_joined():
    """A model whose memory is badly placed in one of three processes keeps the latency of the other two.

    The third process times on one model alone; its further rounds are those of no other one.
    """
    slow, fast = (0.0012, 0.001), (0.002, 0.002)
    parts = [[rounds_of(*[0.001] * 4), rounds_of(*fast * 2)] for _ in range(2)]
    parts.append([rounds_of(*[slow[0]] * 4), rounds_of(*fast * 3)])
    joined = join_processes(parts)
    assert [len(rounds.times_s) for rounds in joined] == [4 + 4 + 6] * 2
    assert [rounds.times_s[-1].size for rounds in joined] == [0, 3]
    timing = make_timing(quiet_rounds=4)
    assert len(find_counted_rounds(joined[0], timing)) == 12
    first, second = summarize(joined, timing)
    assert first.median_ms == pytest.approx(1, rel=0.1)
    assert second.median_ms == pytest.approx(2, rel=0.1)
    assert (first.runs, second.runs) == (36, 42)


def test_processes_share_the_rounds():
    """Each process makes its part of the rounds, at least one."""
    share = Timing(rounds=24, max_rounds=40, quiet_rounds=4, processes=3).share()
    assert (share.rounds, share.max_rounds, share.quiet_rounds, share.processes) == (8, 14, 2, 1)
    assert Timing(rounds=1, quiet_rounds=1, max_rounds=0, processes=3).share().max_rounds == 1


def test_a_disturbed_call_gets_rounds_until_enough_are_quiet():
    """Rounds go on until enough have lost nothing, or the largest number is reached."""
    options = {"rounds": 2, "quiet_rounds": 2, "max_rounds": 9, "min_runs": 2, "max_runs": 2}
    clock = TaskClock()
    watch = FakeWatch(clock, [0.001, 0.0, 0.001, 0.001, 0.0, 0.0, 0.0])
    (rounds,), _ = interleaved(clock, [0.001], watch=watch, **options)
    assert rounds.lost == pytest.approx([0.5, 0.0, 0.5, 0.5, 0.0])
    clock = TaskClock()
    (rounds,), _ = interleaved(clock, [0.001], watch=FakeWatch(clock, [0.001] * 99), **options)
    assert len(rounds.times_s) == 9


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
    with pytest.raises(InputError, match="a run took no time"):
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
        interleave([look], seconds=TaskClock().seconds, rng=np.random.default_rng(0), timing=Timing())
    assert seen == [False] * 3
    assert gc.isenabled()


def test_the_same_seed_gives_the_same_order():
    """Nothing but the generator decides the order."""
    first, second = TaskClock(), TaskClock()
    timed(first, [0.001], [0.002], [0.003])
    timed(second, [0.001], [0.002], [0.003])
    assert first.log == second.log
