"""Profiling within a limited time: order, effort, and what is left out."""

from __future__ import annotations

import pytest

from natdeploy.profilers.budget import Budget, sort_by_importance
from natdeploy.testing.fakes import FakeClock


def sessions(budget_s: float, full_pass_s: float, places: int) -> list[float]:
    """Return the efforts of the sessions that a budget allows where a full pass takes `full_pass_s`."""
    clock = FakeClock()
    budget, efforts = Budget(budget_s, clock), []
    while places:
        effort = budget.choose_effort(places)
        if effort is None:
            break
        clock.advance(effort * full_pass_s)
        budget.record(effort, effort * full_pass_s)
        efforts.append(effort)
        places -= 1
    return efforts


def test_a_generous_budget_changes_nothing_but_the_first_pass():
    """Only the first pass, of which nothing is known, is made with little effort."""
    assert sessions(1000, 10, 4) == [0.2, 1.0, 1.0, 1.0]


def test_a_tight_budget_measures_everything_with_less_effort():
    """All places are measured, and seven tenths of the time are used for them."""
    efforts = sessions(100, 20, 6)
    assert len(efforts) == 6
    assert sum(efforts) * 20 == pytest.approx(70, rel=0.01)


def test_what_a_budget_cannot_reach_is_left_out():
    """No pass is made with less than the least effort, and the time is kept."""
    efforts = sessions(60, 20, 34)
    assert set(efforts) == {0.2}
    assert len(efforts) == 60 * 0.7 // (0.2 * 20)


def test_some_layers_are_measured_whatever_the_budget():
    """A budget that is too short for anything still gives one pass."""
    assert sessions(1, 100, 3) == [0.2]


def test_the_rest_of_the_budget_is_for_whole_networks():
    """Twice as many networks as a pass has get the effort that the remaining time allows."""
    clock = FakeClock()
    budget = Budget(100, clock)
    assert budget.choose_check_effort(24, 12) == 0.2
    budget.record(1.0, 40)
    clock.advance(40)
    assert budget.choose_check_effort(24, 12) == pytest.approx(60 / 80)
    assert budget.choose_check_effort(12, 12) == 1.0
    clock.advance(200)
    assert budget.choose_check_effort(24, 12) == 0.2


def test_every_beginning_of_the_order_covers_the_range():
    """The middle comes first, then the ends, then what lies between, at all widths alike."""
    places = [(width, size) for width in (1.0, 1.2) for size in range(192, 257, 16)]
    order = sort_by_importance(places)
    assert sorted(order) == sorted(places)
    assert order[::2] == [(1.0, size) for size in (224, 256, 192, 240, 208)]
    assert [size for _, size in order[::2]] == [size for _, size in order[1::2]]
    assert sort_by_importance([]) == []
