"""What a search is asked for, and the problem that it solves."""

import dataclasses

import numpy as np
import pytest

from natdeploy.core.genotype import sample
from natdeploy.errors import InputError, TargetUnreachableError
from natdeploy.io.spaces import find_space
from natdeploy.search.problem import SearchGoal, SearchProblem
from natdeploy.testing.tables import made_up_table

SPACE = find_space("starter")
TABLE = made_up_table(SPACE)
TWO_LIMITS = ({"nano": 5.0}, {"nano": 9.0})


def pose(**goal) -> SearchProblem:
    """Return a problem with a table for each device of its goal."""
    asked = SearchGoal(**goal)
    return SearchProblem(space=SPACE, classes=10, goal=asked, tables=dict.fromkeys(asked.all_devices, TABLE))


@pytest.mark.parametrize(
    ("goal", "minimized"),
    [
        ({"devices": ("host",)}, ("madds", "params", "latency:host")),
        ({"objectives": ("madds",), "devices": ("host",)}, ("madds",)),
        (
            {"objectives": ("madds",), "latency_limits_ms": TWO_LIMITS, "limits": {"params": 1e6}},
            ("madds", "params", "latency:nano"),
        ),
        ({"objectives": ("madds",), "limits": {"size": 1e6}}, ("madds", "params")),
        ({"objectives": ("top1",), "devices": ("host",)}, ()),
        (
            {"objectives": ("top1",), "latency_limits_ms": TWO_LIMITS, "limits": {"size": 1e6}},
            ("params", "latency:nano"),
        ),
    ],
)
def test_what_is_limited_is_minimized_too(goal, minimized):
    """The front is made of what was asked for, and of every cost that is limited, each once."""
    assert SearchGoal(**goal).minimized == minimized


def test_devices_are_those_that_anything_names():
    """Devices that were asked for, those of objectives and those of latency limits are needed, each once."""
    goal = SearchGoal(devices=("host",), objectives=("madds", "latency:pixel"), latency_limits_ms=TWO_LIMITS)
    assert goal.all_devices == ("host", "pixel", "nano")


@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        ({"objectives": ("mads",)}, "unknown objective 'mads'"),
        ({"limits": {"peak-memory": 1e6}}, "unknown limit 'peak-memory'"),
        ({"limits": {"madds": float("nan")}}, "limits is .*nan.*: it must be a mapping of texts to finite numbers"),
        ({"latency_limits_ms": ({"nano": 0.0},)}, "the limit on latency on nano is 0.0"),
        ({"prefer": "tradeoff"}, "unknown objective of a preference 'tradeoff'"),
    ],
)
def test_a_goal_that_means_nothing_is_refused(goal, reason):
    """Unknown names and limits that are not positive numbers are refused when the goal is stated."""
    with pytest.raises(InputError, match=reason):
        SearchGoal(**goal)


def test_costs_are_those_that_are_needed():
    """Multiply-adds, parameters, size and latencies are always known, peak memory where it is asked for."""
    assert list(pose(devices=("host",)).costs) == ["madds", "params", "size", "latency:host"]
    assert "peak-memory" in pose(objectives=("peak-memory",)).costs


def test_cost_values_are_the_columns_of_the_objectives():
    """Each minimized cost is a column, in the order of the objectives; without a cost there is no column."""
    population = sample(SPACE, 5, np.random.default_rng(0))
    problem = pose(objectives=("params", "latency:host"))
    expected = [problem.costs[name](population) for name in ("params", "latency:host")]
    np.testing.assert_array_equal(problem.cost_values(population), np.column_stack(expected))
    assert pose(objectives=("top1",)).cost_values(population).shape == (5, 0)


def test_a_latency_limit_holds_for_the_upper_bound():
    """Each selection has its own constraints: the limits of all, and its latency limits less the table's margin."""
    problem = pose(limits={"madds": 4e8}, latency_limits_ms=TWO_LIMITS)
    assert problem.constraints == ({"madds": 4e8, "latency:nano": 5.0}, {"madds": 4e8, "latency:nano": 9.0})
    assert pose(objectives=("madds",)).constraints == ({},)


def test_a_limit_below_the_smallest_is_refused():
    """A limit that no architecture keeps is refused, with what the smallest or quickest one takes."""
    pose(limits={"madds": 1e9}).require_feasible()
    with pytest.raises(
        TargetUnreachableError, match=r"at most 0.001 M parameters; the nearest has 0\.\d+ M"
    ) as refused:
        pose(limits={"params": 1e3}).require_feasible()
    assert "--max-params" in str(refused.value.hint)
    with pytest.raises(TargetUnreachableError, match=r"at most 0.004 MB of fp32 weights; the nearest has \d+.\d+ MB"):
        pose(limits={"size": 4e3}).require_feasible()
    with pytest.raises(TargetUnreachableError, match=r"meets 0.01 ms on nano; the nearest takes \d") as refused:
        pose(latency_limits_ms=({"nano": 9.0}, {"nano": 0.01})).require_feasible()
    assert "--target-latency" in str(refused.value.hint)


def test_a_goal_is_read_back_as_it_was_written():
    """The mapping that a run keeps of a goal makes the same goal again."""
    goal = SearchGoal(objectives=("top1:pets",), tasks=("pets",), latency_limits_ms=TWO_LIMITS, limits={"size": 1e6})
    assert SearchGoal(**dataclasses.asdict(goal)) == goal
