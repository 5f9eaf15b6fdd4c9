"""The front and the choice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.errors import TargetUnreachableError
from natdeploy.search.ranking import (
    Candidates,
    achievement_scalarization,
    farthest_points,
    find_front,
    rank_feasible,
    trade_offs,
)


def candidates(top1, host_ms, *, board_ms=None, upper=1.0):
    """Return candidates on one device or two, with an upper bound relative to the prediction."""
    latency = {"host": np.array(host_ms, dtype=float)}
    if board_ms is not None:
        latency["board"] = np.array(board_ms, dtype=float)
    bounds = {device: values * upper for device, values in latency.items()}
    return Candidates(top1=np.array(top1, dtype=float), latency_ms=latency, upper_ms=bounds)


def test_the_most_accurate_that_meets_the_target_is_first():
    """Those above the target are left out, the others come in order of accuracy."""
    found = rank_feasible(candidates([0.5, 0.9, 0.7, 0.6], [1, 9, 5, 3]), {"host": 5})
    assert found.tolist() == [2, 3, 0]


def test_the_target_itself_is_met():
    """A latency equal to the target meets it."""
    assert rank_feasible(candidates([0.5], [5]), {"host": 5}).tolist() == [0]


def test_ties_go_to_the_quicker():
    """Of equally accurate candidates the quicker is taken, over all devices together."""
    assert rank_feasible(candidates([0.7, 0.7, 0.7], [3, 1, 2]), {"host": 5}).tolist() == [1, 2, 0]
    both = candidates([0.7, 0.7], [1, 2], board_ms=[9, 3])
    assert rank_feasible(both, {"host": 5}).tolist() == [1, 0]


def test_without_a_target_every_candidate_is_ranked():
    """No target is met by all."""
    assert rank_feasible(candidates([0.5, 0.9, 0.7], [1, 9, 5]), {}).tolist() == [1, 2, 0]


def test_all_targets_must_hold():
    """A candidate that misses the target of one device is left out."""
    both = candidates([0.9, 0.8, 0.7], [1, 5, 2], board_ms=[9, 2, 3])
    assert rank_feasible(both, {"host": 4, "board": 4}).tolist() == [2]


def test_the_upper_bound_is_compared():
    """Where a table has an upper bound, the bound must meet the target, not the prediction."""
    assert rank_feasible(candidates([0.9, 0.5], [9, 7], upper=1.2), {"host": 10}).tolist() == [1]


def test_an_unreachable_target_names_the_nearest():
    """The message tells the nearest candidate's latency, the target and by how much it is missed."""
    with pytest.raises(TargetUnreachableError, match=r"nearest takes 12 ms on host \(target 10 ms\), 20 %") as caught:
        rank_feasible(candidates([0.9, 0.5], [15, 12]), {"host": 10})
    assert "--target-latency" in caught.value.hint


def test_the_nearest_is_the_one_whose_worst_miss_is_least():
    """With several devices the relative excess of the worst one counts, and each device is named."""
    both = candidates([0.9, 0.5], [11, 10], board_ms=[22, 40])
    with pytest.raises(TargetUnreachableError, match=r"11 ms on host \(target 10 ms\), 22 ms on board .*20 ms.*, 10 %"):
        rank_feasible(both, {"host": 10, "board": 20})


def test_targets_that_only_single_candidates_meet_are_unreachable_together():
    """Two targets that no candidate meets at once are refused, though each alone could be met."""
    both = candidates([0.9, 0.5], [1, 10], board_ms=[10, 1])
    with pytest.raises(TargetUnreachableError):
        rank_feasible(both, {"host": 5, "board": 5})


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12), st.integers(1, 5))
def test_the_choice_is_the_best_by_the_definition(pairs, target):
    """For any candidates, the first is the most accurate that meets the target, the quickest of those."""
    top1, latency = ([pair[column] for pair in pairs] for column in (0, 1))
    meeting = [(-accuracy, ms, place) for place, (accuracy, ms) in enumerate(pairs) if ms <= target]
    if not meeting:
        with pytest.raises(TargetUnreachableError):
            rank_feasible(candidates(top1, latency), {"host": target})
        return
    assert rank_feasible(candidates(top1, latency), {"host": target}).tolist() == [
        place for *_, place in sorted(meeting)
    ]


def test_the_front_is_ordered_by_the_last_cost():
    """Dominated rows are left out, the others come cheapest first."""
    top1, madds, latency = np.array([0.9, 0.5, 0.4, 0.7]), np.array([9, 1, 2, 5]), np.array([8.0, 1.0, 2.0, 4.0])
    assert find_front(top1, [madds, latency]).tolist() == [1, 3, 0]


def test_a_row_that_is_best_in_one_cost_is_on_the_front():
    """Less accurate and slower, but smaller: kept."""
    top1, madds, latency = np.array([0.9, 0.5]), np.array([9.0, 1.0]), np.array([1.0, 2.0])
    assert find_front(top1, [madds, latency]).tolist() == [0, 1]


def test_spread_goes_far_from_what_is_known():
    """Each choice is the farthest from those before and from what is known already."""
    values = np.array([[0.0], [0.1], [0.5], [1.0], [0.95]])
    assert farthest_points(values, np.array([[0.0]]), 3).tolist()[:2] == [3, 2]


def test_spread_scales_the_columns():
    """A column in the millions weighs no more than one between 0 and 1."""
    values = np.array([[0.0, 5e6], [1.0, 5.5e6], [0.5, 9e6]])
    scaled = values / [1.0, 1e6]
    known = np.array([[0.0, 5e6]])
    assert farthest_points(values, known, 3).tolist() == farthest_points(scaled, known / [1.0, 1e6], 3).tolist()


def test_spread_chooses_each_row_once():
    """As many rows as asked for, or all of them, none twice, also where rows repeat or nothing is known."""
    values = np.array([[1.0, 2.0]] * 3 + [[0.0, 0.0]])
    assert sorted(farthest_points(values, np.empty((0, 2)), 9).tolist()) == [0, 1, 2, 3]
    assert sorted(farthest_points(values, values, 4).tolist()) == [0, 1, 2, 3]
    assert farthest_points(values, values, 0).tolist() == []
    assert farthest_points(np.empty((0, 2)), values, 3).tolist() == []


def test_limits_hold_beside_targets():
    """What is larger than a limit is left out, and an unreachable one is named with its option."""
    both = Candidates(
        top1=np.array([0.9, 0.8, 0.7]),
        latency_ms={"host": np.array([1.0, 1.0, 1.0])},
        upper_ms={"host": np.array([1.0, 1.0, 1.0])},
        sizes={"madds": np.array([9e8, 5e8, 6e8])},
    )
    assert rank_feasible(both, {"host": 2.0}, {"madds": 6e8}).tolist() == [1, 2]
    with pytest.raises(TargetUnreachableError, match=r"500 M multiply-adds \(at most 400\), 25 % too much") as caught:
        rank_feasible(both, {}, {"madds": 4e8})
    assert "raise --max-madds, or" in caught.value.hint
    with pytest.raises(TargetUnreachableError, match=r"1 ms on host \(target 0.01 ms\), 100 times what is allowed"):
        rank_feasible(both, {"host": 0.01}, {})


def test_a_knee_has_the_highest_trade_off():
    """Where a front bends most, a step loses most for what it gains; along a straight line no row stands out."""
    share = np.linspace(0, 1, 21)
    bent = np.column_stack([share, np.where(share < 0.3, 1 - 3 * share, 0.1 * (1 - share) / 0.7)])
    found = trade_offs(bent)
    assert np.argmax(found) == 6
    assert (found[1:-1] <= found[6]).all()
    line = trade_offs(np.column_stack([share, 1 - share]))
    np.testing.assert_allclose(line, 1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.integers(1, 20))
def test_trade_offs_do_not_hang_on_units_or_order(seed, objectives, count):
    """Other units and another order of the rows change nothing, and no figure is negative."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(size=(count, objectives))
    found = trade_offs(values)
    order = rng.permutation(count)
    scale = rng.uniform(0.5, 2.0, size=objectives)
    np.testing.assert_allclose(trade_offs(values[order] * scale + 3), found[order], rtol=1e-6)
    assert (found >= 0).all()


def test_weights_say_what_may_be_given_up():
    """With even weights the middle is nearest to everything, and a heavy objective pulls the choice to its end."""
    share = np.linspace(0, 1, 11)
    values = np.column_stack([share, 1e6 * (1 - share) ** 2])
    assert 3 <= np.argmin(achievement_scalarization(values, np.array([1.0, 1.0]))) <= 5
    assert np.argmin(achievement_scalarization(values, np.array([100.0, 1.0]))) <= 1
    assert np.argmin(achievement_scalarization(values, np.array([0.0, 1.0]))) == 10


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_the_preferred_row_is_never_dominated(seed, objectives):
    """With a weight on every objective, no row dominates the one that stays least behind."""
    values = np.random.default_rng(seed).uniform(size=(30, objectives))
    weights = np.random.default_rng(seed + 1).uniform(0.1, 1.0, size=objectives)
    best = values[np.argmin(achievement_scalarization(values, weights))]
    assert not ((values <= best).all(axis=1) & (values < best).any(axis=1)).any()


def test_measured_networks_correct_the_others():
    """Predictions move by the fit to what was measured, bounds cover it, and what was measured is known exactly."""
    before = Candidates(
        top1=np.zeros(4),
        latency_ms={"a": np.array([10.0, 20.0, 30.0, 40.0]), "b": np.full(4, 5.0)},
        upper_ms={"a": np.array([11.0, 22.0, 33.0, 44.0]), "b": np.full(4, 6.0)},
    )
    after = before.correct_latency("a", [10, 11, 12, 13], {1: 24.0})
    np.testing.assert_allclose(after.latency_ms["a"], [12.0, 24.0, 36.0, 48.0])
    np.testing.assert_allclose(after.upper_ms["a"], [13.2, 24.0, 39.6, 52.8])
    assert after.latency_ms["b"] is before.latency_ms["b"]
    both = before.correct_latency("a", [10, 11, 12, 13], {1: 20.0, 3: 56.0})
    beta = both.latency_ms["a"][0] / 10
    assert 1.0 < beta < 1.4
    assert both.upper_ms["a"][2] == pytest.approx(1.4 * 30)
