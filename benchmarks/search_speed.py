"""Prints how fast the parts of a search are: the RBF ensemble and scipy's interpolator, evolution, and one step.

`cost.py` prints how long the costs of a million architectures take.
Run: python benchmarks/search_speed.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy.interpolate import RBFInterpolator
from threadpoolctl import threadpool_limits

from natdeploy.core.cost import madds_array, params_array
from natdeploy.core.genotype import Population, bounds, sample, sample_initial
from natdeploy.io.spaces import find_space
from natdeploy.search.evolution import evolve, reference_directions
from natdeploy.search.nat import NatSearch
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.search.rbf_ensemble import RBFEnsemble
from natdeploy.search.settings import PREDICTORS, EvolutionSettings, SearchSettings

SPACE = find_space("nat")
MEMBERS, ROWS, QUERIES = 500, 300, 10_000
LOOPED = 20


def main() -> None:
    """Print all figures."""
    rows, queries = (sample(SPACE, count, np.random.default_rng(count)) for count in (ROWS, QUERIES))
    _ensemble(rows, queries)
    _evolution()
    _step(rows)


def top1(population: Population) -> np.ndarray:
    """Return a made-up accuracy: more of everything helps, with ripples."""
    genes = population[:, 2:].astype(float)
    return 0.5 + 0.003 * np.sqrt(genes).sum(axis=1) + 0.02 * np.sin(genes[:, 0] + 2 * genes[:, 4])


def _ensemble(rows: Population, queries: Population) -> None:
    ensemble = RBFEnsemble(*bounds(SPACE), ensemble_size=MEMBERS, rng=np.random.default_rng(0))
    fit_s = _seconds(lambda: ensemble.fit(rows, top1(rows)))
    predict_s = _seconds(lambda: ensemble.predict(queries))
    rng = np.random.default_rng(0)

    def loop() -> None:
        for _ in range(LOOPED):
            genes = np.sort(rng.choice(22, size=int(rng.integers(4, 23)), replace=False))
            centres, inverse = np.unique(rows[:, genes].astype(float), axis=0, return_inverse=True)
            means = np.bincount(inverse.ravel(), weights=top1(rows)) / np.bincount(inverse.ravel())
            if len(centres) > len(genes) + 1:
                RBFInterpolator(centres, means, kernel="cubic", degree=1)(queries[:, genes].astype(float))

    loop_s = _seconds(loop) * MEMBERS / LOOPED
    print(f"RBF ensemble of {MEMBERS}, {ROWS} rows, {QUERIES} queries: fit {fit_s:.2f} s, predict {predict_s:.2f} s")
    print(f"  loop over scipy's interpolator ({LOOPED} members, scaled): {loop_s:.1f} s")
    print(f"  ratio {loop_s / (fit_s + predict_s):.1f}")


def _evolution() -> None:
    costs = madds_array(SPACE, 1000), params_array(SPACE, 1000)

    def objectives(population: Population) -> np.ndarray:
        return np.column_stack([-top1(population), *(cost(population) for cost in costs)])

    for size, generations in ((100, 50), (1000, 5)):
        reference_directions(3, size)
        start = sample_initial(SPACE, size, np.random.default_rng(0))
        for algorithm in ("nsga2", "nsga3"):

            def run(algorithm: str = algorithm, size: int = size, count: int = generations, start=start) -> None:  # noqa: ANN001
                settings = EvolutionSettings(population=size, generations=count, algorithm=algorithm)
                evolve(SPACE, objectives, start, settings, seed=0)

            print(f"{algorithm}, population {size}: {generations / _seconds(run):.1f} generations/s")


def _step(rows: Population) -> None:
    problem = SearchProblem(space=SPACE, classes=1000, goal=SearchGoal(objectives=("madds", "params")))
    for predictor in PREDICTORS:
        settings = SearchSettings(
            initial=ROWS,
            iterations=1,
            candidates=8,
            ensemble_size=MEMBERS,
            evolution=EvolutionSettings(population=100, generations=100),
            adaptation_parents=150,
            predictor=predictor,
        )
        search = NatSearch(problem, settings, seed=0)
        search.tell(rows, top1(rows))
        seconds = _seconds(lambda search=search: search.ask(1))
        print(f"one step, 10,000 predictions by {predictor}, {ROWS} rows: {seconds:.2f} s")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    # Small matrices: on a busy machine a second thread costs many times what it saves.
    with threadpool_limits(1):
        main()
