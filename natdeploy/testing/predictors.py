"""Contract suite for accuracy predictors: subclass `PredictorContract` and override its first fixture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from natdeploy.core.genotype import Population, sample
from natdeploy.core.space import SearchSpace
from natdeploy.io.spaces import find_space
from natdeploy.search.predictor import Predictor, Values, measure_quality
from natdeploy.testing.accuracy import made_up_accuracy

Build = Callable[[SearchSpace, np.random.Generator], Predictor]


class PredictorContract:
    """Tests of a predictor on a synthetic accuracy that depends on the genes much as a real one does."""

    least_tau = 0.5
    """Kendall's tau that predictions for unseen architectures must exceed."""

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Build:
        """Return a function that makes a predictor for a search space. Its only randomness is the generator."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls) -> SearchSpace:
        """Return the search space."""
        return find_space("nat")

    @pytest.fixture(scope="class")
    @classmethod
    def known(cls, space: SearchSpace) -> tuple[Population, Values]:
        """Return 120 architectures and their accuracies."""
        return sample_labelled(space, 120, seed=1)

    @pytest.fixture(scope="class")
    @classmethod
    def unseen(cls, space: SearchSpace) -> tuple[Population, Values]:
        """Return 200 other architectures and their accuracies."""
        return sample_labelled(space, 200, seed=2)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, build: Build, space: SearchSpace, known: tuple[Population, Values]) -> Predictor:
        """Return a predictor fitted to the known architectures."""
        return fit(build(space, np.random.default_rng(0)), *known)

    def test_unseen_architectures_are_ordered(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """Unseen architectures are ranked far better than by chance, with a lower error than predicting the mean."""
        found = measure_quality(fitted.predict(unseen[0]), unseen[1])
        assert found["kendall"] is not None
        assert found["kendall"] > self.least_tau
        assert found["rmse"] is not None
        assert found["rmse"] < np.std(unseen[1])

    def test_predictions_are_numbers_one_a_row(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """Each row gets one finite number. A single row works, too."""
        for rows in (unseen[0], unseen[0][:1]):
            predicted = fitted.predict(rows)
            assert predicted.shape == (len(rows),)
            assert np.isfinite(predicted).all()

    def test_rows_are_predicted_on_their_own(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """A prediction does not depend on other rows, on their order, or on earlier predictions."""
        rows = unseen[0]
        whole = fitted.predict(rows)
        np.testing.assert_allclose(fitted.predict(rows[::-1])[::-1], whole, rtol=1e-4)
        np.testing.assert_allclose(fitted.predict(rows[7:8]), whole[7:8], rtol=1e-4)

    def test_same_seed_gives_the_same_predictions(
        self,
        build: Build,
        space: SearchSpace,
        fitted: Predictor,
        known: tuple[Population, Values],
        unseen: tuple[Population, Values],
    ) -> None:
        """Two predictors made with the same seed predict the same: the generator is the only source of randomness."""
        again = fit(build(space, np.random.default_rng(0)), *known)
        assert np.array_equal(again.predict(unseen[0]), fitted.predict(unseen[0]))

    def test_learning_again_forgets(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """Fitting again discards everything learned before."""
        predictor = fit(build(space, np.random.default_rng(0)), *known)
        found = measure_quality(fit(predictor, known[0], 1 - known[1]).predict(unseen[0]), unseen[1])
        assert found["kendall"] is not None
        assert found["kendall"] < -self.least_tau

    def test_arguments_are_left_as_they_were(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values]
    ) -> None:
        """Fitting and predicting do not change the arrays passed in."""
        rows, values = known[0].copy(), known[1].copy()
        predictor = fit(build(space, np.random.default_rng(0)), rows, values)
        predictor.predict(rows)
        predictor.uncertainty(rows)
        assert np.array_equal(rows, known[0])
        assert np.array_equal(values, known[1])

    def test_uncertainty_is_a_deviation_or_nothing(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """The uncertainty is None, or a standard deviation per row that varies between rows."""
        found = fitted.uncertainty(unseen[0])
        if found is None:
            return
        assert found.shape == (len(unseen[0]),)
        assert np.isfinite(found).all()
        assert found.min() >= 0
        assert np.ptp(found) > 0

    def test_few_rows_are_enough(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """Four architectures, the minimum that a search starts with, give finite predictions."""
        predictor = fit(build(space, np.random.default_rng(0)), known[0][:4], known[1][:4])
        assert np.isfinite(predictor.predict(unseen[0])).all()

    def test_equal_values_are_predicted_as_they_are(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """If all architectures have the same accuracy, every prediction is that accuracy."""
        predictor = fit(build(space, np.random.default_rng(0)), known[0], np.full(len(known[0]), 0.25))
        np.testing.assert_allclose(predictor.predict(unseen[0]), 0.25, atol=1e-4)

    def test_architectures_may_come_twice(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """Duplicate rows with different values, as from a noisy accuracy, neither fail nor spoil the ranking."""
        rows, values = np.concatenate([known[0]] * 2), np.concatenate([known[1] - 0.01, known[1] + 0.01])
        found = measure_quality(fit(build(space, np.random.default_rng(0)), rows, values).predict(unseen[0]), unseen[1])
        assert found["kendall"] is not None
        assert found["kendall"] > self.least_tau


def fit(predictor: Predictor, rows: Population, top1: Values) -> Predictor:
    """Fit the predictor and return it."""
    predictor.fit(rows, top1)
    return predictor


def sample_labelled(space: SearchSpace, count: int, *, seed: int) -> tuple[Population, Values]:
    """Return random architectures and their `made_up_accuracy`."""
    rows = sample(space, count, np.random.default_rng(seed))
    return rows, made_up_accuracy(rows)
