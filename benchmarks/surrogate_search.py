"""Prints a search without training beside a plain evolutionary search, at several latency limits.

OFA's pretrained predictor gives the accuracy, and OFA's table of the Note10 the latency. The baseline is an
evolutionary search as OFA describes it: population 100, 500 generations, the best quarter as parents, one half of the
children by mutation (each gene anew with probability 0.1), the other by crossover; everything beyond the limit is
rejected. Each target is searched with five seeds. Printed are the least and the mean of them, and the best of all of
them and of two searches 20 times as long.
Run: python benchmarks/surrogate_search.py PREDICTOR.pth LATENCY_FOLDER [BASELINE_RUNS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from natdeploy.core.cost import CostArray
from natdeploy.core.device import Deployment
from natdeploy.core.genotype import Population, repair, sample
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.io.foreign_tables import read_ofa
from natdeploy.io.spaces import find_space
from natdeploy.search.pretrained_predictor import PretrainedPredictor
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.search.surrogate import Surrogate, SurrogateSettings, optimize_surrogate
from natdeploy.supernet.accuracy_file import read_perceptron

DEVICE = "galaxy-note10"
TARGETS_MS = (15, 20, 25, 30, 40, 50, 60)
RESOLUTIONS = (160, 176, 192, 208, 224)
POPULATION, GENERATIONS, PARENTS, MUTATION = 100, 500, 25, 0.1
LONGER = 20
SEEDS, LONGER_SEEDS = range(5), range(100, 102)
HEADS = ("least", "mean", "together", "20x", "EA best", "EA mean")
Accuracy = Callable[[Population], NDArray[np.float64]]


def main() -> None:
    """Print the table, top-1 in percent."""
    space = find_space("ofa-mbv3-w1.2").with_resolutions(RESOLUTIONS)
    top1 = PretrainedPredictor(space, read_perceptron(Path(sys.argv[1])))
    deployment = Deployment(device=DEVICE, runtime="litert", precision="fp32", batch=1, threads=1)
    read = read_ofa(Path(sys.argv[2]), find_space("ofa-mbv3-w1.2"))
    table = LatencyTable(
        deployment=deployment, provenance="imported", method=read.method, rows=read.rows, folded=read.folded
    )
    latency = table.compile(space, 1000)
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 5

    def searched(limits: tuple[float, ...], settings: SurrogateSettings, seed: int = 0) -> list[float]:
        limited = tuple({DEVICE: limit} for limit in limits)
        goal = SearchGoal(objectives=(f"latency:{DEVICE}",), latency_limits_ms=limited)
        problem = SearchProblem(space=space, classes=1000, goal=goal, tables={DEVICE: table})
        rows, values = optimize_surrogate(problem, Surrogate(top1=top1, gains=top1.gains), settings, seed=seed)
        return [float(values[latency(rows) <= limit].max()) for limit in limits]

    began = time.perf_counter()
    together = searched(TARGETS_MS, SurrogateSettings())
    print(f"all {len(TARGETS_MS)} targets from one front: {time.perf_counter() - began:.1f} s")
    print(f"{'ms':>4}" + "".join(f"{head:>9}" for head in ("alone s", *HEADS, "EA s")))
    longer = SurrogateSettings(predictions=LONGER * SurrogateSettings().predictions)
    for number, limit in enumerate(TARGETS_MS):
        began = time.perf_counter()
        alone = [searched((limit,), SurrogateSettings(), seed)[0] for seed in SEEDS]
        seconds = (time.perf_counter() - began) / len(SEEDS)
        most = max(*alone, *(searched((limit,), longer, seed)[0] for seed in LONGER_SEEDS))
        began = time.perf_counter()
        plain = [plain_search(space, top1, latency, limit, GENERATIONS, seed) for seed in range(runs)]
        plain_s = (time.perf_counter() - began) / runs
        figures = (min(alone), float(np.mean(alone)), together[number], most, max(plain), float(np.mean(plain)))
        print(
            f"{limit:>4}{seconds:>9.2f}" + "".join(f"{100 * v:>9.3f}" for v in figures) + f"{plain_s:>9.1f}", flush=True
        )


def plain_search(
    space: SearchSpace, top1: Accuracy, latency: CostArray, limit: float, generations: int, seed: int
) -> float:
    """Return the best top-1 within the limit that the baseline finds."""
    rng = np.random.default_rng(seed)
    population = _accepted(lambda count: sample(space, count, rng), latency, limit, POPULATION)
    values = top1(population)
    for _ in range(generations):
        order = np.argsort(-values, kind="stable")[:PARENTS]
        parents, kept = population[order], values[order]
        children = np.concatenate(
            [
                _accepted(lambda count, p=parents: _mutated(space, p, count, rng), latency, limit, POPULATION // 2),
                _accepted(lambda count, p=parents: _crossed(space, p, count, rng), latency, limit, POPULATION // 2),
            ]
        )
        population = np.concatenate([parents, children])
        values = np.concatenate([kept, top1(children)])
    return float(values.max())


def _accepted(make: Callable[[int], Population], latency: CostArray, limit: float, count: int) -> Population:
    rows = np.empty((0, 0), dtype=np.int64)
    while len(rows) < count:
        fresh = make(2 * count)
        fresh = fresh[latency(fresh) <= limit]
        rows = fresh if not rows.size else np.concatenate([rows, fresh])
    return rows[:count]


def _mutated(space: SearchSpace, parents: Population, count: int, rng: np.random.Generator) -> Population:
    rows = parents[rng.integers(len(parents), size=count)]
    fresh = sample(space, count, rng)
    return repair(space, np.where(rng.random(rows.shape) < MUTATION, fresh, rows))


def _crossed(space: SearchSpace, parents: Population, count: int, rng: np.random.Generator) -> Population:
    one, other = (parents[rng.integers(len(parents), size=count)] for _ in range(2))
    return repair(space, np.where(rng.random(one.shape) < 0.5, one, other))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
