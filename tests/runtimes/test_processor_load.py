"""How busy the processor was, by counters of Linux that are made up here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from natdeploy.runtimes.processor_load import ProcessorWatch, choose_cores, compute_lost_s

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Machine:
    """Counters of a machine, and the time and processor time of the process that reads them.

    Args:
        folder: Stands for /proc.
        cores: Number of cores.
    """

    def __init__(self, folder: Path, cores: int = 2) -> None:
        self.folder = folder
        self.ticks = [[0] * 10 for _ in range(cores)]
        self.waited_ns = {"1": 0, "7": 0}
        self.turns = 4
        self.at_s = self.own_s = 0.0
        self.write()

    def write(self, *, schedstat: bool = True) -> None:
        """Write the counters as Linux shows them."""
        lines = ["cpu  9 9 9 9 9 9 9 9 0 0"]
        lines += [f"cpu{number} {' '.join(map(str, values))}" for number, values in enumerate(self.ticks)]
        self.folder.mkdir(exist_ok=True)
        (self.folder / "stat").write_text("\n".join([*lines, "ctxt 1"]), encoding="utf-8")
        for task, waited in self.waited_ns.items():
            path = self.folder / "self" / "task" / task / "schedstat"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if schedstat:
                path.write_text(f"123 {waited} {self.turns}\n", encoding="utf-8")

    def watch(self, *cores: int) -> ProcessorWatch:
        """Return what watches some cores."""
        return ProcessorWatch(cores, proc=self.folder, own_seconds=lambda: self.own_s, seconds=lambda: self.at_s)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with two cores."""
    return Machine(tmp_path / "proc")


def test_others_are_what_the_cores_did_beyond_this_process(machine: Machine) -> None:
    """Of 1 s on one core, 0.6 s are our own, 0.25 s are of others in four kinds of time, and 0.05 s are stolen."""
    watch = machine.watch(1)
    before = watch.read()
    machine.at_s, machine.own_s = 1.0, 0.6
    ticks = round(1 / TICK_S)
    user, nice, system, idle, iowait, irq, softirq, steal = (
        int(share * ticks) for share in (0.70, 0.05, 0.05, 0.08, 0.02, 0.03, 0.02, 0.05)
    )
    machine.ticks[1] = [user, nice, system, idle, iowait, irq, softirq, steal, 0, 0]
    machine.ticks[0] = [ticks] * 10
    machine.waited_ns["7"] = 20_000_000
    machine.turns += 3
    machine.write()
    after = watch.read()
    assert watch.compute_disturbance(before, after) == pytest.approx({"others": 0.25, "steal": 0.05}, abs=1e-6)
    assert compute_lost_s(before, after, runs=12) == pytest.approx(0.02 + 0.05)
    assert compute_lost_s(before, after, runs=13) == pytest.approx(0.05), "of 13 runs, 6 or fewer have waited"


def test_several_cores_share_what_is_available(machine: Machine) -> None:
    """A process that fills one of two cores, beside nothing, is not disturbed; one beside it takes half."""
    watch = machine.watch(0, 1)
    before = watch.read()
    machine.at_s = machine.own_s = 2.0
    machine.ticks[0][0] = round(2 / TICK_S)
    machine.write()
    assert watch.compute_disturbance(before, watch.read()) == {"others": 0.0, "steal": 0.0}
    machine.ticks[1][0] = round(2 / TICK_S)
    machine.write()
    assert watch.compute_disturbance(before, watch.read()) == pytest.approx({"others": 0.5, "steal": 0.0})


def test_where_the_system_does_not_count_nothing_is_known(machine: Machine, tmp_path: Path) -> None:
    """Without /proc, without the core or without schedstat, the answer is None, never 0."""
    elsewhere = ProcessorWatch([0], proc=tmp_path / "missing")
    assert elsewhere.read() is None
    assert elsewhere.compute_disturbance(None, None) is None
    assert machine.watch().read() is None
    assert machine.watch(5).read() is None
    assert compute_lost_s(None, machine.watch(0).read(), 1) is None
    machine.write(schedstat=False)
    before = machine.watch(0).read()
    assert before is not None
    assert before.waited_s is None
    assert compute_lost_s(before, before, 1) is None


def test_the_least_busy_of_the_fastest_cores_is_chosen(tmp_path: Path) -> None:
    """Speed counts first, then what else runs there; of equal ones the last is taken."""
    machine, system = Machine(tmp_path / "proc", cores=6), tmp_path / "cpu"
    for core, khz in enumerate([1800, 1800, 2400, 2400, 2400, 3000]):
        place = system / f"cpu{core}" / "cpufreq"
        place.mkdir(parents=True)
        (place / "cpuinfo_max_freq").write_text(f"{khz}000\n", encoding="utf-8")

    def others_run() -> None:
        machine.ticks[4][0] = 5
        machine.write()

    def choose(threads: int, allowed: list[int]) -> list[int]:
        machine.ticks[4][0] = 0
        machine.write()
        return choose_cores(threads, proc=machine.folder, system=system, allowed=allowed, wait=others_run)

    assert choose(1, [0, 1, 2, 3, 4, 5]) == [5]
    assert choose(1, [0, 1, 2, 3, 4]) == [3]
    assert choose(3, [0, 1, 2, 3, 4]) == [2, 3, 4]
    assert choose(4, [0, 1, 2]) == [0, 1, 2]
    assert choose(1, []) == []


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux keeps processes on chosen cores")
def test_cores_of_this_machine_are_chosen_among_the_allowed_ones() -> None:
    """One thread gets one core that this process may use."""
    assert set(choose_cores(1, wait=lambda: None)) <= os.sched_getaffinity(0)
    assert len(choose_cores(1, wait=lambda: None)) == 1
