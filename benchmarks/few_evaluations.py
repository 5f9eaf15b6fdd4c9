"""What few true evaluations find: the search, its `paper` form, NSGA-II without a predictor, and random sampling.

The landscape is OFA's pretrained predictor, which stands for the truth, and OFA's latency table of the Note10. All
begin with the same 100 architectures and then evaluate 8 more, 30 times. Printed is the hypervolume relative to the
box between the best values and the reference point of 20,000 random architectures.
Run: python benchmarks/few_evaluations.py PREDICTOR.pth LATENCY_FOLDER [SEEDS] [PLOT.svg]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from natdeploy.core.cost import CostArray, madds_array, params_array
from natdeploy.core.device import Target
from natdeploy.core.genotype import Population, bounds, initial, sample, without
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SPACES, SearchSpace
from natdeploy.io.foreign_tables import read_ofa
from natdeploy.search.evolution import evolve, survivors
from natdeploy.search.hypervolume import hypervolume, reference_point
from natdeploy.search.nat import NatSearch
from natdeploy.search.operators import polynomial_mutation, uniform_crossover
from natdeploy.search.pretrained import PretrainedPredictor
from natdeploy.search.rbf_ensemble import RBFEnsemble
from natdeploy.search.settings import SearchSettings
from natdeploy.supernet.accuracy_file import read_perceptron

RESOLUTIONS = (160, 176, 192, 208, 224)
FIRST, ROUNDS, EACH = 100, 30, 8
SETTINGS = SearchSettings(
    initial=FIRST, iterations=ROUNDS, candidates=EACH, members=500, population=100, generations=40, marginals=100
)
Values = NDArray[np.float64]
Accuracy = Callable[[Population], Values]
Costs = Mapping[str, CostArray]
Next = Callable[[Population, Values, int], Population]
OBJECTIVES = {"2 objectives": ("latency",), "4 objectives": ("madds", "params", "latency")}
SHOWN = (100, 140, 180, 220, 260, 300, 340)


def main() -> None:
    """Print a table of each set of objectives, and write the plot."""
    space = SPACES["ofa-mbv3-w1.2"].with_resolutions(RESOLUTIONS)
    top1 = PretrainedPredictor(space, read_perceptron(Path(sys.argv[1])))
    target = Target(device="galaxy-note10", runtime="litert", precision="fp32", batch=1, threads=1)
    read = read_ofa(Path(sys.argv[2]), SPACES["ofa-mbv3-w1.2"])
    table = LatencyTable(target=target, provenance="imported", method=read.method, rows=read.rows, folded=read.folded)
    every = {
        "madds": madds_array(space, 1000),
        "params": params_array(space, 1000),
        "latency": table.compile(space, 1000),
    }
    seeds = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    curves: dict[str, dict[str, Values]] = {}
    for title, names in OBJECTIVES.items():
        costs = {name: every[name] for name in names}
        box = _values(top1, costs, initial(space, 20_000, np.random.default_rng(0)))
        curves[title] = {}
        print(f"\n{title}, {seeds} seeds\n\n| evaluations | " + " | ".join(map(str, SHOWN)) + " | s a run |")
        print("|---|" + "---|" * (len(SHOWN) + 1))
        for method, make in METHODS.items():
            began = time.perf_counter()
            runs = np.array([_run(space, top1, costs, make(space, costs, seed), seed, box) for seed in range(seeds)])
            seconds = (time.perf_counter() - began) / seeds
            curves[title][method] = runs
            cells = [f"{runs[:, (shown - FIRST) // EACH].mean():.4f}" for shown in SHOWN]
            print(f"| {method} | " + " | ".join(cells) + f" | {seconds:.1f} |", flush=True)
    if len(sys.argv) > 4:
        Path(sys.argv[4]).write_text(_plot(curves), encoding="utf-8")


def _run(space: SearchSpace, top1: Accuracy, costs: Costs, more: Next, seed: int, box: Values) -> list[float]:
    """Return the hypervolume after the first archive and after each round."""
    reference, ideal = reference_point(box), box.min(axis=0)
    archive = initial(space, FIRST, np.random.default_rng([seed, 0]))
    found = [hypervolume(_values(top1, costs, archive), reference, ideal)]
    for number in range(1, ROUNDS + 1):
        archive = np.concatenate([archive, more(archive, top1(archive), number)[:EACH]])
        found.append(hypervolume(_values(top1, costs, archive), reference, ideal))
    return found


def _values(top1: Accuracy, costs: Costs, population: Population) -> Values:
    return np.column_stack([-top1(population), *(cost(population) for cost in costs.values())])


def _natdeploy(space: SearchSpace, costs: Costs, seed: int) -> Next:
    def more(archive: Population, known: Values, number: int) -> Population:
        search = NatSearch(space, costs, [], SETTINGS, seed=seed)
        search.tell(archive, known)
        return search.propose(number)[0]

    return more


def _paper(space: SearchSpace, costs: Costs, seed: int) -> Next:
    """NAT as its paper has it: 500 interpolants on 100 of the archive, NSGA-III 100 x 100, reference directions."""

    def more(archive: Population, known: Values, number: int) -> Population:
        rng = np.random.default_rng([seed, number])
        own = np.column_stack([-known, *(cost(archive) for cost in costs.values())])
        kept = survivors(own, 100, seed=seed)
        ensemble = RBFEnsemble(*bounds(space), members=500, rng=rng)
        ensemble.fit(archive[kept], known[kept])

        def objectives(population: Population) -> Values:
            return _values(ensemble.predict, costs, population)

        evolved = evolve(space, objectives, archive[kept], size=100, generations=100, seed=int(rng.integers(2**31)))
        fresh = without(evolved, archive)
        return fresh[survivors(objectives(fresh), EACH, seed=seed)]

    return more


def _nsga2(space: SearchSpace, costs: Costs, seed: int) -> Next:
    """NSGA-II in which every child is evaluated: of the 100 best so far, by binary tournament."""

    def more(archive: Population, known: Values, number: int) -> Population:
        rng = np.random.default_rng([seed, number])
        values = np.column_stack([-known, *(cost(archive) for cost in costs.values())])
        parents = archive[_ranked(values)[:100]]
        made = np.empty((0, archive.shape[1]), dtype=np.int64)
        while len(made) < EACH:
            one, other = (parents[np.minimum(*rng.integers(len(parents), size=(2, EACH)))] for _ in range(2))
            children = polynomial_mutation(space, uniform_crossover(one, other, rng), 0.1, rng)
            made = without(np.concatenate([made, children]), archive)
        return made

    return more


def _ranked(values: Values) -> NDArray[np.intp]:
    from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    scaled = (values - values.min(axis=0)) / np.ptp(values, axis=0)
    order = []
    for front in NonDominatedSorting().do(scaled):
        crowding = get_crowding_function("cd").do(scaled[front])
        order += front[np.argsort(-crowding, kind="stable")].tolist()
    return np.array(order)


def _random(space: SearchSpace, _: Costs, seed: int) -> Next:
    def more(archive: Population, _known: Values, number: int) -> Population:
        return without(sample(space, 2 * EACH, np.random.default_rng([seed, number])), archive)

    return more


METHODS = {"natdeploy": _natdeploy, "paper": _paper, "NSGA-II": _nsga2, "random": _random}
COLOURS = {"natdeploy": "#1f6feb", "paper": "#d1242f", "NSGA-II": "#8250df", "random": "#6e7781"}


def _plot(curves: Mapping[str, Mapping[str, Values]]) -> str:
    """Return an SVG with one panel a set of objectives: mean over the seeds, and the range of half of them."""
    width, height, left, top = 380, 300, 50, 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width} {height + 60}" '
        'font-family="sans-serif" font-size="12">'
    ]
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    for panel, (title, methods) in enumerate(curves.items()):
        low = min(runs.min() for runs in methods.values())
        high = max(runs.max() for runs in methods.values())
        x0, w, h = panel * width + left, width - left - 15, height - top

        def place(
            number: float, value: float, x0: int = x0, w: int = w, h: int = h, low: float = low, high: float = high
        ) -> str:
            return f"{x0 + w * number / ROUNDS:.1f},{top + h * (high - value) / (high - low):.1f}"

        parts.append(f'<text x="{x0}" y="20" font-weight="bold">{title}</text>')
        parts.append(f'<rect x="{x0}" y="{top}" width="{w}" height="{h}" fill="none" stroke="#d0d7de"/>')
        for value in np.linspace(low, high, 5):
            y = place(0, value).split(",")[1]
            parts.append(f'<text x="{x0 - 4}" y="{float(y) + 4:.1f}" text-anchor="end">{value:.3f}</text>')
        for number in range(0, ROUNDS + 1, 10):
            x = place(number, low).split(",")[0]
            parts.append(f'<text x="{x}" y="{top + h + 16}" text-anchor="middle">{FIRST + EACH * number}</text>')
        parts.append(f'<text x="{x0 + w / 2}" y="{top + h + 32}" text-anchor="middle">true evaluations</text>')
        for line, (method, runs) in enumerate(methods.items()):
            lower, upper = np.quantile(runs, [0.25, 0.75], axis=0)
            band = [place(i, v) for i, v in enumerate(upper)] + [place(i, v) for i, v in reversed([*enumerate(lower)])]
            mean = " ".join(place(i, v) for i, v in enumerate(runs.mean(axis=0)))
            parts.append(f'<polygon points="{" ".join(band)}" fill="{COLOURS[method]}" opacity="0.15"/>')
            parts.append(f'<polyline points="{mean}" fill="none" stroke="{COLOURS[method]}" stroke-width="2"/>')
            y = top + h - 12 - 16 * (len(methods) - 1 - line)
            parts.append(f'<text x="{x0 + w - 8}" y="{y}" text-anchor="end" fill="{COLOURS[method]}">{method}</text>')
    parts.append("</svg>\n")
    return "\n".join(parts)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
