"""What else ran on the processor while a model was timed, as Linux counts it, and the cores that a process is kept on.

The file is sent to devices beside the agent. It needs Python 3.8 or newer and nothing else. Where the system does not
count, nothing is known, and nothing is guessed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_PROC = Path("/proc")
_CORES = Path("/sys/devices/system/cpu")
_CAPACITIES = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")
# Fields of a line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
_BUSY, _STEAL, _FIELDS = (0, 1, 2, 5, 6), 7, 8
_SAMPLE_S = 0.1


class Snapshot(NamedTuple):
    """What the system has counted so far, in seconds.

    Args:
        at_s: Monotonic time.
        busy_s: Time that the watched cores worked, for this process or another one.
        steal_s: Time that the hypervisor took from the watched cores.
        own_s: Processor time of this process.
        waited_s: Time that threads of this process were ready to run and waited for a core; None if it isn't counted.
        turns: How often a thread of this process got a core.
    """

    at_s: float
    busy_s: float
    steal_s: float
    own_s: float
    waited_s: float | None
    turns: int


class ProcessorWatch:
    """Reads what the system counts about some cores and about this process.

    Args:
        cores: Numbers of the watched cores.
        proc: Linux's folder of counters.
        own_seconds: Processor time of this process.
        seconds: Monotonic clock.
    """

    def __init__(
        self,
        cores: Sequence[int],
        proc: Path = _PROC,
        own_seconds: Callable[[], float] = time.process_time,
        seconds: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.cores = list(cores)
        self._proc = proc
        self._own_seconds = own_seconds
        self._seconds = seconds

    def read(self) -> Snapshot | None:
        """Return the counters; None where the system does not count."""
        counted = _read_cores(self._proc)
        if not self.cores or not all(core in counted for core in self.cores):
            return None
        own = [counted[core] for core in self.cores]
        waited_s, turns = _read_waited(self._proc / "self" / "task")
        return Snapshot(
            at_s=self._seconds(),
            busy_s=sum(sum(core[field] for field in _BUSY) for core in own),
            steal_s=sum(core[_STEAL] for core in own),
            own_s=self._own_seconds(),
            waited_s=waited_s,
            turns=turns,
        )

    def compute_disturbance(self, before: Snapshot | None, after: Snapshot | None) -> dict[str, float] | None:
        """Return the shares of the watched cores' time that `others` and `steal` took; None if they are not known."""
        if before is None or after is None or after.at_s <= before.at_s:
            return None
        available_s = (after.at_s - before.at_s) * len(self.cores)
        others_s = (after.busy_s - before.busy_s) - (after.own_s - before.own_s)
        return {
            "others": _clip(others_s / available_s),
            "steal": _clip((after.steal_s - before.steal_s) / available_s),
        }


def compute_lost_s(before: Snapshot | None, after: Snapshot | None, runs: int) -> float | None:
    """Return the seconds that the median of some runs may have lost to other processes and to the hypervisor.

    A process that got a core again less often than half as many times as it made runs has more than half of the runs
    undisturbed, so that their median has lost nothing.

    Args:
        before: Counters before the runs.
        after: Counters after the runs.
        runs: Number of runs.

    Returns:
        The seconds; None if they are not known.
    """
    if before is None or after is None or before.waited_s is None or after.waited_s is None:
        return None
    waited_s = after.waited_s - before.waited_s if 2 * (after.turns - before.turns) >= runs else 0.0
    return max(0.0, waited_s) + max(0.0, after.steal_s - before.steal_s)


def choose_cores(
    threads: int,
    proc: Path = _PROC,
    system: Path = _CORES,
    allowed: Sequence[int] | None = None,
    wait: Callable[[], Any] = lambda: time.sleep(_SAMPLE_S),
) -> list[int]:
    """Return the cores for `threads` threads: of the fastest ones that this process may use, the least busy ones.

    Of equally busy ones the last is taken, because the first cores handle most interrupts. The list is empty where the
    system keeps no process on chosen cores.
    """
    if allowed is None:
        allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if threads >= len(allowed):
        return list(allowed)
    before = _read_cores(proc)
    wait()
    after = _read_cores(proc)
    order = sorted(allowed, key=lambda core: (-_read_capacity(system, core), _count_busy_s(core, before, after), -core))
    return sorted(order[:threads])


def keep_on(cores: Sequence[int]) -> None:
    """Keep this process on some cores."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _read_cores(proc: Path) -> dict[int, list[float]]:
    """Return the counters of each core, in seconds, in the order of the fields of /proc/stat."""
    found = {}
    for line in _read(proc / "stat").splitlines():
        name, *values = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and len(values) >= _FIELDS:
            found[int(name[3:])] = [int(value) / os.sysconf("SC_CLK_TCK") for value in values[:_FIELDS]]
    return found


def _read_waited(tasks: Path) -> tuple[float | None, int]:
    """Return the seconds that the threads of this process have waited for a core, and how often they got one.

    These are the second and third field of schedstat; the former is in nanoseconds.
    """
    fields = [values for values in (_read(path).split() for path in tasks.glob("*/schedstat")) if len(values) == 3]
    waited_s = sum(int(values[1]) for values in fields) / 1e9
    return (waited_s if fields else None), sum(int(values[2]) for values in fields)


def _count_busy_s(core: int, before: dict[int, list[float]], after: dict[int, list[float]]) -> float:
    if core not in before or core not in after:
        return 0.0
    return sum(after[core][field] - before[core][field] for field in (*_BUSY, _STEAL))


def _read_capacity(system: Path, core: int) -> int:
    values = [_read(system / f"cpu{core}" / name).strip() for name in _CAPACITIES]
    return next((int(value) for value in values if value.isdigit()), 0)


def _clip(share: float) -> float:
    return min(max(share, 0.0), 1.0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
