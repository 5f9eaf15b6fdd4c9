"""Settings of a search, and the names of predictors and of crossover and mutation. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from natdeploy.core.checked import check_fields
from natdeploy.core.ranges import NonNegative, Positive, Range, Share
from natdeploy.errors import require_known

AUTO = "auto"
SINGLE_PREDICTORS = ("rbf", "trees", "ridge", "gp", "knn")
PREDICTORS = (AUTO, *SINGLE_PREDICTORS)
# The best by benchmarks/predictors.py, and quick.
DEFAULT_PREDICTOR = "gp"
ALGORITHMS = ("nsga3", "nsga2", AUTO)
CROSSOVERS = ("uniform", "two-point")
MUTATIONS = ("polynomial", "uniform")
STARTS = ("archive", "latin")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EvolutionSettings:
    """Settings of a multi-objective evolution.

    Args:
        population: Architectures in a population, and reference directions.
        generations: Generations, the first population included.
        algorithm: One of `ALGORITHMS`, by whose survival the next population is selected. `auto` is NSGA-II for up to
            two objectives and NSGA-III for more.
        crossover: One of `CROSSOVERS`.
        crossover_rate: Share of the children that have two parents.
        mutation: One of `MUTATIONS`.
        mutation_rate: Probability of each gene to change; 0 for one gene of each child on average.

    Raises:
        InputError: A name is unknown, or a number is out of range.
    """

    population: Positive
    generations: Positive
    algorithm: str = "nsga3"
    crossover: str = "uniform"
    crossover_rate: Share = 0.9
    mutation: str = "polynomial"
    mutation_rate: Share = 0.1

    def __post_init__(self) -> None:
        require_known("algorithm", self.algorithm, ALGORITHMS)
        require_known("crossover", self.crossover, CROSSOVERS)
        require_known("mutation", self.mutation, MUTATIONS)
        check_fields(self)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """How a space is searched.

    Args:
        initial: Architectures of the first archive.
        iterations: Iterations after it.
        candidates: Architectures that each iteration adds to the archive.
        ensemble_size: Members of the RBF ensemble.
        evolution: Settings of the evolution that looks for candidates.
        adaptation_parents: Largest number of architectures of the archive that the supernet is adapted to.
        predictor: Name of the accuracy predictor.
        archive: Largest size of the archive, kept by the survival of NSGA-III; 0 to keep all.
        predictor_train_size: Largest number of architectures that the predictor is fitted to, selected by the same
            survival; 0 for all.
        start: First population of the evolution, one of `STARTS`: the best of the archive, or a latin hypercube.
        local_searches: Local searches near each limit after the evolution.

    Raises:
        InputError: A name is unknown, or a number out of range.
    """

    initial: Annotated[int, Range(low=6)]
    iterations: NonNegative
    candidates: Positive
    ensemble_size: Positive
    evolution: EvolutionSettings
    adaptation_parents: Positive
    predictor: str = DEFAULT_PREDICTOR
    archive: NonNegative = 0
    predictor_train_size: NonNegative = 0
    start: str = "archive"
    local_searches: NonNegative = 3

    def __post_init__(self) -> None:
        require_known("predictor", self.predictor, PREDICTORS)
        require_known("start", self.start, STARTS)
        check_fields(self)
