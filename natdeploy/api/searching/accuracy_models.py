"""Models behind `--accuracy`: pretrained predictors, and predictors fitted to measured accuracies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from natdeploy.core.genotype import Population, encode
from natdeploy.core.space import SearchSpace
from natdeploy.errors import CoverageError, InputError
from natdeploy.io.accuracies import MeasuredAccuracy, read_accuracies
from natdeploy.ports import Reporter
from natdeploy.search.local_search import Gains
from natdeploy.search.predictors import BestPredictor, cross_validate, make_predictor
from natdeploy.search.pretrained_predictor import RESOLUTIONS, PretrainedPredictor

Accuracy = Callable[[Population], NDArray[np.float64]]
_CSV = ".csv"
# Small enough for an ensemble that makes 100,000 predictions and more.
_ENSEMBLE_SIZE = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracySource:
    """The content of an accuracy file.

    Args:
        path: The file.
        resolutions: Input sizes that it covers.
        predictor: Returns the accuracy predictor of a space that has only such resolutions.
    """

    path: Path
    resolutions: tuple[int, ...]
    predictor: Callable[[SearchSpace], Accuracy]

    def restrict(self, space: SearchSpace, reporter: Reporter) -> SearchSpace:
        """Return `space` with the resolutions that the file covers; warn of the others.

        Raises:
            CoverageError: The file covers none of them.
        """
        kept = tuple(r for r in space.resolutions if r in self.resolutions)
        left_out = ", ".join(str(r) for r in space.resolutions if r not in self.resolutions)
        if not kept:
            own = ", ".join(map(str, self.resolutions))
            msg = f"{self.path}: does not cover resolutions {left_out} (it covers {own})"
            raise CoverageError(msg, hint="choose some that it covers with --resolutions")
        if left_out:
            reporter.warn(f"resolutions {left_out} are left out: {self.path} does not cover them")
        return space.with_resolutions(kept)


class Accuracies:
    """Predicted accuracies of all tasks, with the number of predictions.

    Args:
        sources: Accuracy files by task.
        space: Search space; all files cover its resolutions.
    """

    def __init__(self, sources: Mapping[str, AccuracySource], space: SearchSpace) -> None:
        self._by_task = [source.predictor(space) for source in sources.values()]
        self.count = 0

    def each(self, population: Population) -> NDArray[np.float64]:
        """Return the `n x t` accuracies of the `n x L` array `population`."""
        self.count += len(population)
        return np.column_stack([accuracy(population) for accuracy in self._by_task])

    def mean(self, population: Population) -> NDArray[np.float64]:
        """Return the `n` mean accuracies of the `n x L` array `population`."""
        means: NDArray[np.float64] = self.each(population).mean(axis=1)
        return means

    @property
    def gains(self) -> Gains | None:
        """The mean gains of all tasks, as `LocalSearch` takes them; None unless every predictor can give them."""
        by_task = [accuracy.gains for accuracy in self._by_task if isinstance(accuracy, PretrainedPredictor)]
        if len(by_task) < len(self._by_task):
            return None
        return lambda population: np.mean([gains(population) for gains in by_task], axis=0)


def read_source(path: Path, space: SearchSpace, *, predictor: str, seed: int, reporter: Reporter) -> AccuracySource:
    """Read an accuracy file.

    Args:
        path: OFA's pretrained predictor, or a CSV of architectures with measured top-1.
        space: Search space.
        predictor: Name of the predictor that is fitted to a CSV.
        seed: Seed of the predictor's randomness.
        reporter: Is told the cross-validated quality of the predictor.

    Raises:
        InputError: The file is not valid, or is for another space.
    """
    if path.suffix.lower() == _CSV:
        measured = read_accuracies(path, space)
        sizes = tuple(sorted({entry.architecture.resolution for entry in measured}))

        def fit(space: SearchSpace) -> Accuracy:
            try:
                return _fit_predictor(measured, space, predictor, np.random.default_rng([seed, 1]), reporter)
            except InputError as error:
                msg = f"{path}: {error.message}"
                raise InputError(msg, hint=error.hint) from error

        return AccuracySource(path=path, resolutions=sizes, predictor=fit)
    from natdeploy.supernet.accuracy_file import read_perceptron

    layers = read_perceptron(path)
    return AccuracySource(
        path=path, resolutions=RESOLUTIONS, predictor=lambda space: PretrainedPredictor(space, layers)
    )


def _fit_predictor(
    measured: Sequence[MeasuredAccuracy], space: SearchSpace, name: str, rng: np.random.Generator, reporter: Reporter
) -> Accuracy:
    kept = [entry for entry in measured if entry.architecture.resolution in space.resolutions]
    population = np.stack([encode(space, entry.architecture) for entry in kept])
    top1 = np.array([entry.top1 for entry in kept])
    if np.ptp(top1) == 0:
        msg = f"all {len(kept)} architectures have a top-1 of {top1[0]:.4g}: a predictor cannot be fitted to them"
        raise InputError(msg)
    make = partial(make_predictor, name, space, rng=rng, ensemble_size=_ENSEMBLE_SIZE)
    model = make()
    model.fit(population, top1)
    if isinstance(model, BestPredictor):
        name, figures = model.name, model.quality
    else:
        figures = cross_validate(make, population, top1, rng=rng)
    reporter.info(f"predictor {name}, fitted to {len(kept)} architectures; {_describe_quality(figures)}")
    return model.predict


def _describe_quality(figures: Mapping[str, float | None]) -> str:
    tau, rmse = figures.get("kendall"), figures.get("rmse")
    if rmse is None:
        return "there are too few of them for cross-validation"
    shown = "not defined" if tau is None else f"{tau:.3f}"
    return f"cross-validated: Kendall tau {shown}, RMSE {100 * rmse:.2f} points of top-1"
