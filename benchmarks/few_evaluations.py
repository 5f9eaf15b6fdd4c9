"""Prints what few true evaluations find: the search, its `paper` form, NSGA-II without predictor, random sampling.

OFA's pretrained predictor stands for the true accuracy, and OFA's table of the Note10 gives the latency. All begin
with the same 100 architectures and then evaluate 8 more, 30 times. The figure is the hypervolume, relative to the box
between the best values and the reference point of 20,000 random architectures. Runs that a journal holds are not
repeated.
Run: python benchmarks/few_evaluations.py PREDICTOR.pth LATENCY_FOLDER [--seeds 10] [--journal FILE] [--plot FILE.svg]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from natdeploy.core.device import Deployment
from natdeploy.core.genotype import Population, bounds, remove_known, sample, sample_initial
from natdeploy.core.latency import LatencyTable
from natdeploy.core.space import SearchSpace
from natdeploy.io.foreign_tables import read_ofa
from natdeploy.io.spaces import find_space
from natdeploy.journal import Journal
from natdeploy.search.evolution import evolve, select_survivors
from natdeploy.search.hypervolume import hypervolume, reference_point
from natdeploy.search.nat import NatSearch
from natdeploy.search.pretrained_predictor import PretrainedPredictor
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.search.rbf_ensemble import RBFEnsemble
from natdeploy.search.settings import EvolutionSettings, SearchSettings
from natdeploy.search.variation import polynomial_mutation, uniform_crossover
from natdeploy.supernet.accuracy_file import read_perceptron

DEVICE = "galaxy-note10"
RESOLUTIONS = (160, 176, 192, 208, 224)
FIRST, ROUNDS, EACH = 100, 30, 8
SETTINGS = SearchSettings(
    initial=FIRST,
    iterations=ROUNDS,
    candidates=EACH,
    ensemble_size=500,
    evolution=EvolutionSettings(population=100, generations=40),
    adaptation_parents=100,
)
Values = NDArray[np.float64]
Accuracy = Callable[[Population], Values]
Next = Callable[[Population, Values, int], Population]
# Curves of a seed: by set of objectives, then by method.
Curves = Mapping[str, Mapping[str, Values]]
OBJECTIVES = {
    "top-1, latency": (f"latency:{DEVICE}",),
    "top-1, MAdds, params, latency": ("madds", "params", f"latency:{DEVICE}"),
}
SHOWN = (100, 140, 180, 220, 260, 300, 340)


def main() -> None:
    """Run what the journal lacks, print a table of each set of objectives, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("predictor", type=Path)
    parser.add_argument("latency", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--journal", type=Path, default=None)
    parser.add_argument("--plot", type=Path, default=None)
    given = parser.parse_args()
    events: list[dict[str, Any]] = []
    journal = Journal(given.journal) if given.journal else None
    landscape = _landscape(given.predictor, given.latency)
    for seed in range(given.seeds):
        for title, names in OBJECTIVES.items():
            for method in METHODS:
                key = {"objectives": title, "method": method, "seed": seed}
                known = [event for event in (journal.events if journal else ()) if key.items() <= event.items()]
                event = known[0] if known else {**key, **_run(landscape, names, method, seed)}
                events.append(event)
                if not known:
                    print(f"{title}, {method}, seed {seed}: {event['curve'][-1]:.4f}, {event['seconds']} s", flush=True)
                    if journal:
                        journal.append(event)
    curves = _curves(events)
    _print(curves, events)
    if given.plot:
        _draw(curves, given.plot)


def _landscape(predictor: Path, latency: Path) -> tuple[SearchSpace, Accuracy, LatencyTable]:
    space = find_space("ofa-mbv3-w1.2").with_resolutions(RESOLUTIONS)
    top1 = PretrainedPredictor(space, read_perceptron(predictor))
    deployment = Deployment(device=DEVICE, runtime="litert", precision="fp32", batch=1, threads=1)
    read = read_ofa(latency, find_space("ofa-mbv3-w1.2"))
    table = LatencyTable(
        deployment=deployment, provenance="imported", method=read.method, rows=read.rows, folded=read.folded
    )
    return space, top1, table


def _run(
    landscape: tuple[SearchSpace, Accuracy, LatencyTable], names: tuple[str, ...], method: str, seed: int
) -> dict[str, Any]:
    """Return the hypervolume after the first archive and after each round, and the seconds."""
    space, top1, table = landscape
    problem = SearchProblem(space=space, classes=1000, goal=SearchGoal(objectives=names), tables={DEVICE: table})
    box = _values(top1, problem, sample_initial(space, 20_000, np.random.default_rng(0)))
    reference, ideal = reference_point(box), box.min(axis=0)
    began = time.perf_counter()
    more = METHODS[method](problem, seed)
    archive = sample_initial(space, FIRST, np.random.default_rng([seed, 0]))
    found = [hypervolume(_values(top1, problem, archive), reference, ideal)]
    for number in range(1, ROUNDS + 1):
        archive = np.concatenate([archive, more(archive, top1(archive), number)[:EACH]])
        found.append(hypervolume(_values(top1, problem, archive), reference, ideal))
    return {"curve": [round(value, 6) for value in found], "seconds": round(time.perf_counter() - began, 1)}


def _values(top1: Accuracy, problem: SearchProblem, population: Population) -> Values:
    return np.column_stack([-top1(population), problem.cost_values(population)])


def _curves(events: list[dict[str, Any]]) -> Curves:
    return {
        title: {
            method: np.array([e["curve"] for e in events if (e["objectives"], e["method"]) == (title, method)])
            for method in METHODS
        }
        for title in OBJECTIVES
    }


def _print(curves: Curves, events: list[dict[str, Any]]) -> None:
    for title, methods in curves.items():
        print(f"\n{title}, {len(methods['natdeploy'])} seeds\n")
        print("| evaluations | " + " | ".join(map(str, SHOWN)) + " | deviation | seeds below natdeploy | s a run |")
        print("|---|" + "---|" * (len(SHOWN) + 3))
        own = methods["natdeploy"][:, -1]
        for method, runs in methods.items():
            cells = [f"{runs[:, (shown - FIRST) // EACH].mean():.4f}" for shown in SHOWN]
            below = "" if method == "natdeploy" else f"{np.count_nonzero(runs[:, -1] < own)} of {len(own)}"
            seconds = [e["seconds"] for e in events if (e["objectives"], e["method"]) == (title, method)]
            figures = [f"{runs[:, -1].std():.4f}", below, f"{np.mean(seconds):.0f}"]
            print(f"| {method} | " + " | ".join([*cells, *figures]) + " |")


def _natdeploy(problem: SearchProblem, seed: int) -> Next:
    def more(archive: Population, known: Values, number: int) -> Population:
        search = NatSearch(problem, SETTINGS, seed=seed)
        search.tell(archive, known)
        return search.ask(number)[0]

    return more


def _paper(problem: SearchProblem, seed: int) -> Next:
    """NAT as its paper has it: 500 interpolants on 100 of the archive, NSGA-III 100 x 100, reference directions."""

    def more(archive: Population, known: Values, number: int) -> Population:
        rng = np.random.default_rng([seed, number])
        own = np.column_stack([-known, problem.cost_values(archive)])
        kept = select_survivors(own, 100, seed=seed)
        ensemble = RBFEnsemble(*bounds(problem.space), ensemble_size=500, rng=rng)
        ensemble.fit(archive[kept], known[kept])

        def objectives(population: Population) -> Values:
            return _values(ensemble.predict, problem, population)

        evolved = evolve(
            problem.space,
            objectives,
            archive[kept],
            EvolutionSettings(population=100, generations=100),
            seed=int(rng.integers(2**31)),
        )
        fresh = remove_known(evolved, archive)
        return fresh[select_survivors(objectives(fresh), EACH, seed=seed)]

    return more


def _nsga2(problem: SearchProblem, seed: int) -> Next:
    """NSGA-II in which every child is evaluated: of the 100 best so far, by binary tournament."""

    def more(archive: Population, known: Values, number: int) -> Population:
        rng = np.random.default_rng([seed, number])
        values = np.column_stack([-known, problem.cost_values(archive)])
        parents = archive[_ranked(values)[:100]]
        made = np.empty((0, archive.shape[1]), dtype=np.int64)
        while len(made) < EACH:
            one, other = (parents[np.minimum(*rng.integers(len(parents), size=(2, EACH)))] for _ in range(2))
            children = polynomial_mutation(problem.space, uniform_crossover(one, other, rng), 0.1, rng)
            made = remove_known(np.concatenate([made, children]), archive)
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


def _random(problem: SearchProblem, seed: int) -> Next:
    def more(archive: Population, _known: Values, number: int) -> Population:
        return remove_known(sample(problem.space, 2 * EACH, np.random.default_rng([seed, number])), archive)

    return more


METHODS = {"natdeploy": _natdeploy, "paper": _paper, "NSGA-II": _nsga2, "random": _random}
COLOURS = {"natdeploy": "#1f6feb", "paper": "#d1242f", "NSGA-II": "#8250df", "random": "#6e7781"}


def _draw(curves: Curves, path: Path) -> None:
    """Draw a panel for each set of objectives: the mean over the seeds, and the range of the middle half of them."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "natdeploy", "font.size": 9})
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    evaluations = FIRST + EACH * np.arange(ROUNDS + 1)
    for axes, (title, methods) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        for method, runs in methods.items():
            lower, upper = np.quantile(runs, [0.25, 0.75], axis=0)
            axes.fill_between(evaluations, lower, upper, color=COLOURS[method], alpha=0.15, linewidth=0)
            axes.plot(evaluations, runs.mean(axis=0), color=COLOURS[method], label=method)
        axes.set(title=title, xlabel="true evaluations", ylabel="hypervolume", xlim=evaluations[[0, -1]])
        axes.grid(color="#eaeef2")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(METHODS), frameon=False)
    figure.savefig(path, dpi=120, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
