"""What every accuracy predictor must do: subclass `PredictorContract` and override its first fixture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from natdeploy.core.genotype import Population, sample
from natdeploy.core.space import SPACES, SearchSpace
from natdeploy.search.predictor import Predictor, Values, quality
from natdeploy.testing.accuracy import made_up_accuracy

Build = Callable[[SearchSpace, np.random.Generator], Predictor]


class PredictorContract:
    """Tests of a predictor, on a made-up accuracy that hangs together with the genes as a real one does."""

    least_tau = 0.5
    """Kendall's tau that predictions of unseen architectures must reach."""

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Build:
        """Return a function that makes a predictor for a search space, all of its randomness from the generator."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def space(cls) -> SearchSpace:
        """Return the search space."""
        return SPACES["nat"]

    @pytest.fixture(scope="class")
    @classmethod
    def known(cls, space: SearchSpace) -> tuple[Population, Values]:
        """Return 120 architectures with their accuracy."""
        return labelled(space, 120, seed=1)

    @pytest.fixture(scope="class")
    @classmethod
    def unseen(cls, space: SearchSpace) -> tuple[Population, Values]:
        """Return 200 other architectures with theirs."""
        return labelled(space, 200, seed=2)

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, build: Build, space: SearchSpace, known: tuple[Population, Values]) -> Predictor:
        """Return a predictor that has learnt the known architectures."""
        return fit(build(space, np.random.default_rng(0)), *known)

    def test_unseen_architectures_are_ordered(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """Architectures that it has not seen are ordered far better than chance, with less error than the mean has."""
        found = quality(fitted.predict(unseen[0]), unseen[1])
        assert found["kendall"] is not None
        assert found["kendall"] > self.least_tau
        assert found["rmse"] is not None
        assert found["rmse"] < np.std(unseen[1])

    def test_predictions_are_numbers_one_a_row(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """Each row gets one finite number, and a single row too."""
        for rows in (unseen[0], unseen[0][:1]):
            predicted = fitted.predict(rows)
            assert predicted.shape == (len(rows),)
            assert np.isfinite(predicted).all()

    def test_rows_are_predicted_on_their_own(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """A prediction depends neither on what else is asked for, nor on the order, nor on what was asked before."""
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
        """Two predictors that are made alike predict the same: nothing is random but the generator."""
        again = fit(build(space, np.random.default_rng(0)), *known)
        assert np.array_equal(again.predict(unseen[0]), fitted.predict(unseen[0]))

    def test_learning_again_forgets(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """What was learnt before does not matter to what is learnt anew."""
        predictor = fit(build(space, np.random.default_rng(0)), *known)
        found = quality(fit(predictor, known[0], 1 - known[1]).predict(unseen[0]), unseen[1])
        assert found["kendall"] is not None
        assert found["kendall"] < -self.least_tau

    def test_arguments_are_left_as_they_were(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values]
    ) -> None:
        """Neither learning nor predicting writes to the arrays that it is given."""
        rows, values = known[0].copy(), known[1].copy()
        predictor = fit(build(space, np.random.default_rng(0)), rows, values)
        predictor.predict(rows)
        predictor.uncertainty(rows)
        assert np.array_equal(rows, known[0])
        assert np.array_equal(values, known[1])

    def test_uncertainty_is_a_deviation_or_nothing(self, fitted: Predictor, unseen: tuple[Population, Values]) -> None:
        """A standard deviation for each row that is not the same for all, or None."""
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
        """Four architectures, the fewest that a search starts with, give finite predictions."""
        predictor = fit(build(space, np.random.default_rng(0)), known[0][:4], known[1][:4])
        assert np.isfinite(predictor.predict(unseen[0])).all()

    def test_equal_values_are_predicted_as_they_are(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """Where all architectures are equally good, so is every prediction."""
        predictor = fit(build(space, np.random.default_rng(0)), known[0], np.full(len(known[0]), 0.25))
        np.testing.assert_allclose(predictor.predict(unseen[0]), 0.25, atol=1e-4)

    def test_architectures_may_come_twice(
        self, build: Build, space: SearchSpace, known: tuple[Population, Values], unseen: tuple[Population, Values]
    ) -> None:
        """A row that comes twice with two values, as of a noisy accuracy, neither fails nor spoils the order."""
        rows, values = np.concatenate([known[0]] * 2), np.concatenate([known[1] - 0.01, known[1] + 0.01])
        found = quality(fit(build(space, np.random.default_rng(0)), rows, values).predict(unseen[0]), unseen[1])
        assert found["kendall"] is not None
        assert found["kendall"] > self.least_tau


def fit(predictor: Predictor, rows: Population, top1: Values) -> Predictor:
    """Return the predictor after it has learnt."""
    predictor.fit(rows, top1)
    return predictor


def labelled(space: SearchSpace, count: int, *, seed: int) -> tuple[Population, Values]:
    """Return random architectures and their `made_up_accuracy`."""
    rows = sample(space, count, np.random.default_rng(seed))
    return rows, made_up_accuracy(rows)
