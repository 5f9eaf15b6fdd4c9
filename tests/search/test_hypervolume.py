"""The hypervolume."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.search.hypervolume import hypervolume, reference_point


def boxes(count):
    """Return the reference point and the ideal of a unit cube."""
    return np.ones(count), np.zeros(count)


def test_of_one_row_it_is_the_box_beyond_it():
    """A single row dominates the product of its distances to the reference point."""
    assert hypervolume(np.array([[0.5, 0.25]]), *boxes(2)) == pytest.approx(0.375)
    assert hypervolume(np.array([[0.5] * 4]), *boxes(4)) == pytest.approx(0.0625)


def test_of_several_rows_it_is_their_union():
    """What two rows dominate both counts once, and a dominated row adds nothing."""
    rows = np.array([[0.5, 0.0], [0.0, 0.5], [0.6, 0.6]])
    assert hypervolume(rows, *boxes(2)) == pytest.approx(0.75)


def test_rows_beyond_the_reference_point_add_nothing():
    """A row that is worse than the reference point in any objective is left out; without rows there is none."""
    assert hypervolume(np.array([[0.1, 1.5]]), *boxes(2)) == 0.0
    assert hypervolume(np.empty((0, 3)), *boxes(3)) == 0.0


def test_units_do_not_matter():
    """It is a share of the box, whatever the units and offsets of the objectives."""
    rows = np.random.default_rng(0).uniform(size=(20, 3))
    scale, shift = np.array([1e-3, 1.0, 1e8]), np.array([-5.0, 0.0, 7e8])
    expected = hypervolume(rows, *boxes(3))
    assert hypervolume(rows * scale + shift, scale + shift, shift) == pytest.approx(expected)


def test_sampling_agrees_with_the_exact_value():
    """With more than four objectives it is sampled; where the rest is a constant, the value of four is met closely."""
    rows = np.random.default_rng(1).uniform(size=(30, 4))
    exact = hypervolume(rows, *boxes(4))
    more = np.column_stack([rows, np.zeros((30, 3))])
    assert hypervolume(more, *boxes(7)) == pytest.approx(exact, abs=0.006)
    assert hypervolume(more, *boxes(7)) == hypervolume(more, *boxes(7))
    assert hypervolume(np.full((1, 12), 0.2), *boxes(12)) == pytest.approx(0.8**12, abs=0.005)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_more_rows_never_dominate_less(seed, objectives):
    """Adding rows never makes it smaller, exact or sampled."""
    rows = np.random.default_rng(seed).uniform(size=(12, objectives))
    assert hypervolume(rows[:6], *boxes(objectives)) <= hypervolume(rows, *boxes(objectives)) + 1e-12


def test_the_reference_point_lies_beyond_all_rows():
    """It is worse than the worst of each objective, by a little of its range."""
    rows = np.array([[-0.9, 1e8], [-0.5, 3e8]])
    assert reference_point(rows).tolist() == pytest.approx([-0.496, 3.02e8])
    assert hypervolume(rows, reference_point(rows), rows.min(axis=0)) > 0
