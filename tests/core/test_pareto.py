"""Dominance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from natdeploy.core.pareto import non_dominated

# Few values, so that ties and repetitions are common.
objectives = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.5]),
)


def dominates(one, other):
    """Tell whether a row dominates another, by the definition."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


@given(objectives)
def test_kept_are_those_that_nothing_dominates(rows):
    """The result is the definition's, row by row."""
    expected = [not any(dominates(other, row) for other in rows) for row in rows]
    assert non_dominated(rows).tolist() == expected


@given(objectives, st.randoms(use_true_random=False))
def test_order_and_scale_do_not_matter(rows, random):
    """Permuting the rows permutes the result; an increasing map of a column leaves it."""
    order = list(range(len(rows)))
    random.shuffle(order)
    assert non_dominated(rows[order]).tolist() == non_dominated(rows)[order].tolist()
    assert non_dominated(3 * rows + 7).tolist() == non_dominated(rows).tolist()


@given(objectives)
def test_the_front_of_the_front_is_itself(rows):
    """The front is never empty, dominates everything else, and is its own front."""
    kept = non_dominated(rows)
    assert kept.any()
    assert non_dominated(rows[kept]).all()
    assert all(any(dominates(good, bad) for good in rows[kept]) for bad in rows[~kept])


def test_equal_rows_are_all_kept():
    """Equal rows do not dominate one another."""
    assert non_dominated(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])).tolist() == [True, True, False]


def test_an_empty_array_has_an_empty_front():
    """Without rows there is nothing to keep."""
    assert non_dominated(np.empty((0, 3))).tolist() == []
