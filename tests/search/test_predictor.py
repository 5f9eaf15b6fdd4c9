"""How good a predictor is."""

import numpy as np
import pytest

from natdeploy.search.predictor import measure_quality


def test_quality_of_perfect_and_opposite_predictions():
    """Equal values have no error and full correlation, opposite ones the reverse."""
    values = np.array([0.1, 0.4, 0.2, 0.9])
    assert measure_quality(values, values) == {"rmse": 0.0, "spearman": pytest.approx(1), "kendall": pytest.approx(1)}
    assert measure_quality(-values, values)["kendall"] == pytest.approx(-1)
    assert measure_quality(values + 0.5, values)["rmse"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [2.0] * 3)],
)
def test_quality_without_variation_has_no_correlation(predicted, measured):
    """Two values, or values that do not vary, have an error and no correlation."""
    found = measure_quality(np.array(predicted), np.array(measured))
    assert (found["spearman"], found["kendall"]) == (None, None)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((np.array(predicted) - np.array(measured)) ** 2)))
