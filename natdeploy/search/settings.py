"""How a space is searched: names of predictors and operators, and the settings of a search. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from natdeploy.core.ranges import NonNegative, Positive, Range, Share, check_ranges
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
class Operators:
    """How a population makes the next one.

    Args:
        algorithm: One of `ALGORITHMS`, whose survival chooses; `auto` is NSGA-II up to two objectives, NSGA-III above.
        crossover: One of `CROSSOVERS`.
        crossover_rate: Share of the children that have two parents.
        mutation: One of `MUTATIONS`.
        mutation_rate: Probability of each gene to change; 0 for one gene of each child on average.

    Raises:
        InputError: A name is unknown, or a rate is no share.
    """

    algorithm: str = "nsga3"
    crossover: str = "uniform"
    crossover_rate: Share = 0.9
    mutation: str = "polynomial"
    mutation_rate: Share = 0.1

    def __post_init__(self) -> None:
        require_known("algorithm", self.algorithm, ALGORITHMS)
        require_known("crossover", self.crossover, CROSSOVERS)
        require_known("mutation", self.mutation, MUTATIONS)
        check_ranges(self)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """How a space is searched.

    Args:
        initial: Architectures of the first archive.
        iterations: Iterations after it.
        candidates: Architectures that each iteration adds to the archive.
        ensemble_size: Members of the RBF ensemble.
        population: Architectures in a population of the evolution.
        generations: Generations of the evolution.
        adaptation_parents: Architectures of the archive, at most, that the supernet is adapted to.
        predictor: Name of the accuracy predictor.
        operators: Operators of the evolution.
        archive: Architectures that are kept, at most, by the survival of NSGA-III; 0 to keep all.
        predictor_train_size: Most architectures that the predictor is fitted to, chosen likewise; 0 for all.
        start: What the first population of the evolution is, one of `STARTS`.
        local_searches: Local searches near each limit after the evolution.

    Raises:
        InputError: A name is unknown, or a number out of range.
    """

    initial: Annotated[int, Range(low=6)]
    iterations: NonNegative
    candidates: Positive
    ensemble_size: Positive
    population: Positive
    generations: Positive
    adaptation_parents: Positive
    predictor: str = DEFAULT_PREDICTOR
    operators: Operators = dataclasses.field(default_factory=Operators)
    archive: NonNegative = 0
    predictor_train_size: NonNegative = 0
    start: str = "archive"
    local_searches: NonNegative = 3

    def __post_init__(self) -> None:
        require_known("predictor", self.predictor, PREDICTORS)
        require_known("start", self.start, STARTS)
        check_ranges(self)
