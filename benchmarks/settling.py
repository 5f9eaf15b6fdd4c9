"""Prints how the first runs of a network, after other networks have run, compare with its runs back to back.

Networks of a space run in turns, in bursts. Each run's time is the median over all bursts, relative to the runs in the
second half of the bursts. Everything runs in a process of its own that is kept on one core. Takes about a minute.
Run: python benchmarks/settling.py [SPACE [RESOLUTION [RUNTIME]]]
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from natdeploy.api.latency.timers import make_timing_exporter
from natdeploy.core import genotype
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.layers import walk
from natdeploy.io.devices import find_device
from natdeploy.io.spaces import find_space
from natdeploy.profilers.model_files import ModelFiles
from natdeploy.profilers.validation_networks import draw_leaning_genotypes
from natdeploy.runtimes import agent, processor_load

NETWORKS, BURSTS, BURST_S, LEAST_RUNS, MOST_RUNS = 8, 40, 0.04, 8, 200
SHOWN_RUNS, SHOWN_S = (0, 1, 2, 3), (0.005, 0.01, 0.02)


def write_files(name: str, resolution: int, runtime: str, folder: Path) -> list[str]:
    """Write networks of a space, from nearly the smallest to nearly the largest, and return their files."""
    space, device = find_space(name).with_resolutions((resolution,)), find_device("host")
    exporter = make_timing_exporter(device, find_deployment(device, TableSelector(runtime=runtime)))
    rows = draw_leaning_genotypes(space, NETWORKS + 2, np.random.default_rng(7))[1:-1]
    files = ModelFiles(exporter, folder, seed=0)
    return [str(files.path(walk(space, genotype.decode(space, row), 1000))) for row in rows]


def run_bursts(paths: Sequence[str], runtime: str) -> None:
    """Run the files in turns, and print a line for each."""
    processor_load.keep_on(processor_load.choose_cores(1))
    runner = agent._RUNTIMES[runtime](1)
    calls = [runner.make_call(path, 0) for path in paths]
    rng, times = np.random.default_rng(0), [[] for _ in calls]
    with agent.disable_garbage_collector():
        usual_s = [np.median(agent._time_runs(call, 20, time.perf_counter)) for call in calls]
        runs = [int(np.clip(BURST_S / seconds, LEAST_RUNS, MOST_RUNS)) for seconds in usual_s]
        for _ in range(BURSTS):
            for place in rng.permutation(len(calls)):
                times[place].append(agent._time_runs(calls[place], runs[place], time.perf_counter))
    for bursts in times:
        medians = np.median(bursts, axis=0)
        settled = float(np.median(medians[len(medians) // 2 :]))
        later = [int(np.searchsorted(np.cumsum(medians), seconds)) for seconds in SHOWN_S]
        relative = [medians[number] / settled for number in (*SHOWN_RUNS, *later) if number < len(medians)]
        print(f"{1e3 * settled:10.3f}" + "".join(f"{ratio:10.3f}" for ratio in relative), flush=True)


def main() -> None:
    """Print the table."""
    given = sys.argv[1:]
    name, resolution = (given[0], int(given[1])) if len(given) > 1 else ("starter", 48)
    runtime = given[2] if len(given) > 2 else "onnxruntime"
    heads = [f"run {number + 1}" for number in SHOWN_RUNS] + [f"at {1e3 * seconds:g} ms" for seconds in SHOWN_S]
    print(f"{name} at {resolution}, {runtime}\n{'ms':>10}" + "".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as folder:
        paths = write_files(name, resolution, runtime, Path(folder))
        process = multiprocessing.get_context("spawn").Process(target=run_bursts, args=(paths, runtime))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
