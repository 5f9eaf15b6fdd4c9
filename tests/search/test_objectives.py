"""Objectives and limits by name."""

import pytest

from natdeploy.core.space import SPACES
from natdeploy.errors import InputError, TargetUnreachableError
from natdeploy.search.objectives import cost_arrays, minimized, read_objectives, read_tasks, require_small, used_devices
from natdeploy.testing.tables import made_up_table

SPACE = SPACES["starter"]


def test_objectives_are_named_once_without_top1() -> None:
    """The costs among the names are kept in order, each once; top-1 is an objective anyway."""
    names = ("top1", "madds", "latency:host", "madds", "peak-memory")
    assert read_objectives(names) == ("madds", "latency:host", "peak-memory")
    assert read_objectives(()) == ()


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("mads",), "unknown objective 'mads'"),
        (("latency:",), "unknown"),
        (("top1:pets",), "no --accuracy is given for 'pets'"),
    ],
)
def test_wrong_objectives_are_refused(names: tuple[str, ...], reason: str) -> None:
    """An unknown name, a device that is missing, and a task that nothing is known of are refused."""
    with pytest.raises(InputError, match=reason):
        read_objectives(names)


def test_what_is_limited_is_minimized_too() -> None:
    """The front is made of what was asked for, and of every cost that a choice is limited in."""
    assert minimized((), ("host",), (), {}) == ("madds", "params", "latency:host")
    targets = ({"nano": 5.0}, {"nano": 9.0})
    assert minimized(("madds",), ("host",), targets, {"params": 1e6}) == ("madds", "params", "latency:nano")
    assert minimized(("madds",), (), (), {"size": 1e6}) == ("madds", "params")
    assert used_devices(("host",), ("madds", "latency:pixel"), targets) == ("host", "pixel", "nano")


def test_arrays_are_those_that_are_needed() -> None:
    """Multiply-adds, parameters, size and latencies are always known, peak memory where it is asked for."""
    tables = {"host": made_up_table(SPACE)}
    assert list(cost_arrays(SPACE, tables, 10, ())) == ["madds", "params", "size", "latency:host"]
    assert "peak-memory" in cost_arrays(SPACE, {}, 10, ("peak-memory",))


def test_a_limit_below_the_smallest_is_refused() -> None:
    """A limit that no architecture keeps is refused at once, with how large the smallest is."""
    require_small(SPACE, 10, {"madds": 1e9})
    with pytest.raises(
        TargetUnreachableError, match=r"at most 0.001 M parameters; the nearest has 0\.\d+ M"
    ) as refused:
        require_small(SPACE, 10, {"params": 1e3})
    assert "--max-params" in str(refused.value.hint)
    with pytest.raises(TargetUnreachableError, match=r"at most 0.004 MB of fp32 weights; the nearest has \d+.\d+ MB"):
        require_small(SPACE, 10, {"size": 4e3})


def test_top1_alone_is_an_objective() -> None:
    """With top-1 as the only objective nothing else is minimized, unless a choice is limited in it."""
    assert read_objectives(("top1",)) == ("top1",)
    assert minimized(("top1",), ("host",), (), {}) == ()
    assert minimized(("top1",), (), ({"nano": 5.0},), {"size": 1e6}) == ("params", "latency:nano")


def test_tasks_are_objectives_by_name() -> None:
    """Without names every task that is known is an objective, with names those; costs are apart from them."""
    names = ("madds", "top1:pets", "top1:cars", "top1:pets")
    assert read_objectives(names, ("pets", "cars", "dtd")) == ("madds",)
    assert read_tasks(names, ("pets", "cars", "dtd")) == ("pets", "cars")
    assert read_tasks(("madds",), ("pets", "cars")) == ("pets", "cars")
    assert read_objectives(("top1:pets",), ("pets",)) == ("top1",)
    with pytest.raises(InputError, match="'boats'") as refused:
        read_objectives(("top1:boats",), ("pets", "cars"))
    assert "pets, cars" in str(refused.value.hint)


def test_training_for_several_tasks_is_refused_with_what_can_be_done() -> None:
    """Where no accuracies are given, the hint says how tasks are searched together."""
    with pytest.raises(InputError) as refused:
        read_objectives(("top1:pets", "madds"))
    assert "--accuracy pets=RUN/archive.csv" in str(refused.value.hint)
