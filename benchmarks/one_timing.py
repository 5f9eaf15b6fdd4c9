"""Prints whether a network takes the same time wherever natdeploy times it, and how far predictions hold afterwards.

Run: python benchmarks/one_timing.py MODE [--runtime RUNTIME] [--home FOLDER] [further options]

- `ways`: ten networks of `starter` and five of `ofa-mbv3-w1.0` at 224, each in turns with others as in the check of a
  profile, by `natdeploy measure`, as the finalist of a search that has just trained in the same process, and by
  `export`. The last three are given relative to the first. About 5 minutes for a runtime.
- `later`: networks of `ofa-mbv3-w1.0` that are in no fit, measured one by one by `natdeploy measure` over `--minutes`.
- `choices`: the choices of short searches for many targets, each measured by a later `natdeploy measure`, against the
  90 % bound. About a minute for a search (`--searches`), and 10 s for a choice.
- `busy`: one network, quiet and with a spinning process on each core. About a minute.

Tables and runs go into a temporary folder, or into `--home`, whose tables are used again. All latencies but those
called raw are levelled.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy import api
from natdeploy.api.context import Context
from natdeploy.api.latency.levels import time_networks
from natdeploy.api.searching.presets import find_preset
from natdeploy.api.searching.selection import Archive, Selector
from natdeploy.core import genotype
from natdeploy.core.device import TableSelector, find_deployment
from natdeploy.core.layers import Layer, walk
from natdeploy.core.space import SearchSpace
from natdeploy.errors import TargetUnreachableError
from natdeploy.io.devices import find_device
from natdeploy.io.runs import RunFolder
from natdeploy.io.spaces import SpaceSelector, find_space
from natdeploy.io.table_store import choose_table
from natdeploy.profilers.validation_networks import draw_leaning_genotypes
from natdeploy.search.problem import SearchGoal, SearchProblem

PLACES = {"starter": (None, 10, 10), "ofa-mbv3-w1.0": ((224,), 5, 1000)}
FORMATS = {"onnxruntime": "onnx", "litert": "tflite"}
SHORT = {"warmup_epochs": 1, "adapt_epochs": 1, "initial": 20, "iterations": 1}
IN_CHECK, BOUNDARY_MS, LOOSE, STRICT = 30, 1.0, 0.10, 0.06


def find_place(name: str) -> tuple[SearchSpace, int, int]:
    """Return the part of a search space, the number of networks, and their number of classes."""
    resolutions, count, classes = PLACES[name]
    space = find_space(name)
    return (space if resolutions is None else space.with_resolutions(resolutions)), count, classes


def draw(space: SearchSpace, count: int, seed: int) -> genotype.Population:
    """Return genotypes from nearly the smallest to nearly the largest one, in random order."""
    rng = np.random.default_rng([seed, 17])
    return rng.permutation(draw_leaning_genotypes(space, count + 2, rng)[1:-1])


def make_table(space: SearchSpace, runtime: str) -> None:
    """Profile this machine, if it has no table of the space yet."""
    selector = TableSelector(runtime=runtime)
    api.profile(
        supernet=SpaceSelector(space.name, space.resolutions), selector=selector, context=Context(reporter=LOUD)
    )


class Loud:
    """Passes messages on to stderr, so that stdout holds the tables alone."""

    def info(self, message: str) -> None:
        """Print a message."""
        print(message, file=sys.stderr, flush=True)

    warn = info

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Print a step."""
        self.info(f"{stage} {done}/{total} {detail}")


LOUD = Loud()


def run_measure(path: Path, runtime: str, *completion: str) -> dict[str, Any]:
    """Return what `natdeploy measure` prints as JSON, in a process of its own."""
    command = [sys.executable, "-m", "natdeploy", "measure", str(path), "--runtime", runtime, "--json", *completion]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout))


def write_architecture(space: SearchSpace, row: genotype.Population, folder: Path) -> Path:
    """Write a genotype as a file that commands take."""
    path = folder / "architecture.json"
    path.write_text(json.dumps(genotype.decode(space, row).to_json()), encoding="utf-8")
    return path


def time_in_check(networks: Sequence[tuple[Layer, ...]], space: SearchSpace, runtime: str) -> list[float]:
    """Return the latencies of networks in turns with as many others as the check of a profile has."""
    filling = genotype.sample(space, IN_CHECK, np.random.default_rng(99))
    others = [walk(space, genotype.decode(space, row), 1000) for row in filling]
    deployment = find_deployment(find_device("host"), TableSelector(runtime=runtime))
    timed = time_networks(deployment, [*networks, *others][:IN_CHECK], seed=1, context=Context(reporter=LOUD))
    LOUD.info(f"{timed.level}; {timed.disturbance}")
    return [timed.comparable_ms(place) for place in range(len(networks))]


def time_as_finalist(
    rows: genotype.Population, space: SearchSpace, classes: int, *, folder: Path, runtime: str
) -> list[float]:
    """Return the latencies that the selection of a search measures, by the path that every search takes."""
    table = choose_table(find_device("host"), TableSelector(runtime=runtime)).read()
    problem = SearchProblem(space=space, classes=classes, goal=SearchGoal(), tables={"host": table})
    selector = Selector(
        problem=problem,
        archive=Archive(genotypes=rows, top1=np.linspace(0.5, 0.6, len(rows))),
        run=RunFolder.create(folder / f"finalists-{space.name}-{runtime}", {"search": {}}),
        seed=0,
        context=Context(reporter=LOUD),
    )
    return [selector.measure(row)["host"].comparable_ms for row in rows]


def time_by_export(source: api.SubnetSource, runtime: str, folder: Path) -> float:
    """Return the latency in the manifest of an exported file."""
    exported = api.export(source, (FORMATS[runtime],), output=folder, context=Context(reporter=LOUD)).exports[0]
    latency = json.loads(exported.manifest.read_text(encoding="utf-8"))["latency"]
    return float(latency["levelled_ms"] or latency["median_ms"])


def compare_ways(runtime: str, folder: Path) -> None:
    """Print the latencies of the four ways, and the ratios to the first."""
    spaces = {name: find_place(name) for name in PLACES}
    for space, _, _ in spaces.values():
        make_table(space, runtime)
    search(folder / "search", seed=0)
    ratios = []
    print(f"\n{runtime}\n{'network':24}{'check ms':>10}{'measure':>10}{'finalist':>10}{'export':>10}")
    for name, (space, count, classes) in spaces.items():
        rows = draw(space, count, seed=0)
        networks = [walk(space, genotype.decode(space, row), classes) for row in rows]
        first = time_in_check(networks, space, runtime)
        finalist = time_as_finalist(rows, space, classes, folder=folder, runtime=runtime)
        for number, row in enumerate(rows):
            path = write_architecture(space, row, folder)
            completion = ("--supernet", name, "--classes", str(classes))
            measured = run_measure(path, runtime, *completion)
            source = api.SubnetSource(path, supernet=name, classes=classes)
            others = (measured["levelled_ms"], finalist[number], time_by_export(source, runtime, folder / "export"))
            ratios.append([first[number], *(value / first[number] for value in others)])
            relative = "".join(f"{ratio:10.3f}" for ratio in ratios[-1][1:])
            print(f"{name + ' ' + str(number):24}{first[number]:10.4f}{relative}", flush=True)
    summarize_ways(np.array(ratios))


def summarize_ways(found: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Print the ratios of every pair of ways: their median, and the largest deviation of small and large networks."""
    names = ("check", "measure", "finalist", "export")
    relative = np.column_stack([np.ones(len(found)), found[:, 1:]])
    large = found[:, 0] > BOUNDARY_MS
    print(f"\nmedian ratio, and largest deviation: at most {STRICT:.0%} over {BOUNDARY_MS:g} ms, {LOOSE:.0%} below")
    print(f"{'pair':24}{'median':>10}{'> 1 ms':>10}{'< 1 ms':>10}")
    for one in range(len(names)):
        for other in range(one + 1, len(names)):
            pair = relative[:, other] / relative[:, one]
            off = np.abs(pair - 1)
            far = [f"{off[part].max():10.3f}" if part.any() else f"{'-':>10}" for part in (large, ~large)]
            print(f"{names[other] + ' / ' + names[one]:24}{np.median(pair):10.3f}" + "".join(far), flush=True)


def measure_later(runtime: str, folder: Path, *, count: int, minutes: float, seed: int) -> None:
    """Print predictions of networks in no fit, and what each takes later, one by one."""
    name = "ofa-mbv3-w1.0"
    space, _, classes = find_place(name)
    make_table(space, runtime)
    started, errors, over = time.monotonic(), [], 0
    print(f"\n{runtime}\n{'predicted':>10}{'bound':>10}{'raw ms':>10}{'level':>8}{'levelled':>10}{'others':>8}")
    for number, row in enumerate(draw(space, count, seed=seed + 1)):
        time.sleep(max(0.0, started + 60 * minutes * number / count - time.monotonic()))
        path = write_architecture(space, row, folder)
        source = api.SubnetSource(path, supernet=name, classes=classes)
        told = api.predict(source, selector=TableSelector(runtime=runtime)).prediction
        found = run_measure(path, runtime, "--supernet", name, "--classes", str(classes))
        errors.append([told.latency_ms / found[key] - 1 for key in ("median_ms", "levelled_ms")])
        over += found["levelled_ms"] > told.upper_ms
        others = "-" if found["disturbance"] is None else f"{found['disturbance']['others']:.0%}"
        figures = f"{told.latency_ms:10.3f}{told.upper_ms:10.3f}{found['median_ms']:10.3f}{found['level']:8.3f}"
        print(f"{figures}{found['levelled_ms']:10.3f}{others:>8}", flush=True)
    raw, levelled = 100 * np.abs(errors).mean(axis=0)
    print(f"MAPE raw {raw:.2f} %, levelled {levelled:.2f} %; {over} of {count} over the bound", flush=True)


def search(path: Path, *, seed: int) -> Path:
    """Search on the bundled digits with little training, and return the run."""
    return api.search(preset=find_preset("quick", SHORT), seed=seed, output=path, context=Context(reporter=LOUD)).run


def count_choices(folder: Path, *, searches: int, count: int) -> None:
    """Print how many choices keep the 90 % bound when they are measured later."""
    make_table(find_place("starter")[0], "onnxruntime")
    kept, measured_kept, total, refused = 0, 0, 0, 0
    print(f"\n{'target':>10}{'predicted':>10}{'bound':>10}{'in search':>10}{'later':>10}{'level':>8}")
    for seed in range(searches):
        run = search(folder / f"run-{seed}", seed=seed)
        seen: set[tuple[int, ...]] = set()
        for number, target_ms in enumerate(list_targets(run, -(-count // searches))):
            goal = SearchGoal(devices=("host",), latency_limits_ms=({"host": target_ms},))
            output = folder / f"choice-{seed}-{number}"
            try:
                choice = api.search_from(run, goal=goal, output=output, context=Context(reporter=LOUD)).chosen
            except TargetUnreachableError as error:
                refused += 1
                LOUD.info(error.message)
                continue
            told = choice.latency_ms["host"]
            if choice.genotype in seen or told.measured is None or told.upper is None:
                continue
            seen.add(choice.genotype)
            later = run_measure(choice.subnet, "onnxruntime")
            total += 1
            kept += later["levelled_ms"] <= told.upper
            measured_kept += told.measured <= told.upper
            figures = (target_ms, told.predicted, told.upper, told.measured, later["levelled_ms"])
            print("".join(f"{value:10.4f}" for value in figures) + f"{later['level']:8.3f}", flush=True)
    told = f"{refused} targets were refused, because no network met them when it was measured"
    print(f"of {total} choices {kept} keep the bound later, {measured_kept} in the search; {told}", flush=True)


def list_targets(run: Path, count: int) -> Iterable[float]:
    """Return targets just above the upper bounds of networks of a run's front, spread evenly over it."""
    import pandas as pd

    front = pd.read_csv(run / "front.csv")["latency_ms:host"].sort_values().to_numpy()
    ratio = choose_table(find_device("host")).read().upper_ratio
    places = np.unique(np.linspace(0, len(front) - 1, count).round().astype(int))
    return [float(front[place] * ratio * 1.0005) for place in places]


def spin() -> None:
    """Use a core for ever."""
    while True:
        pass


def measure_busy(runtime: str, folder: Path) -> None:
    """Print what a network takes on a quiet machine and beside a spinning process on each core."""
    print(f"\n{runtime}\n{'network':24}{'quiet ms':>10}{'busy raw':>10}{'busy':>10}{'off':>8}  it says")
    for name in PLACES:
        space, _, classes = find_place(name)
        make_table(space, runtime)
        path = write_architecture(space, draw(space, 3, seed=5)[1], folder)
        completion = ("--supernet", name, "--classes", str(classes))
        quiet = run_measure(path, runtime, *completion)
        spinning = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
        try:
            for process in spinning:
                process.start()
            busy = run_measure(path, runtime, *completion)
        finally:
            for process in spinning:
                process.kill()
        told = busy["disturbance"] or {}
        off = busy["levelled_ms"] / quiet["levelled_ms"] - 1
        figures = f"{quiet['levelled_ms']:10.4f}{busy['median_ms']:10.4f}{busy['levelled_ms']:10.4f}{off:8.1%}"
        says = f"others {told.get('others', 0):.0%}, too high by at most {told.get('excess') or 0:.1%}"
        print(f"{name:24}{figures}  {says}", flush=True)


def main() -> None:
    """Print the tables of a mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("ways", "later", "choices", "busy"))
    parser.add_argument("--runtime", choices=tuple(FORMATS), default="onnxruntime")
    parser.add_argument("--home", type=Path, default=None, help="folder of tables that are used again")
    parser.add_argument("--count", type=int, default=None, help="networks (16) or choices (30)")
    parser.add_argument("--minutes", type=float, default=0.0, help="over which networks are measured later")
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="natdeploy-") as temporary:
        folder = Path(temporary)
        os.environ["NATDEPLOY_HOME"] = str((given.home or folder / "home").resolve())
        modes: dict[str, Callable[[], None]] = {
            "ways": lambda: compare_ways(given.runtime, folder),
            "later": lambda: measure_later(
                given.runtime, folder, count=given.count or 16, minutes=given.minutes, seed=given.seed
            ),
            "choices": lambda: count_choices(folder, searches=given.searches, count=given.count or 30),
            "busy": lambda: measure_busy(given.runtime, folder),
        }
        started = time.monotonic()
        modes[given.mode]()
        print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
