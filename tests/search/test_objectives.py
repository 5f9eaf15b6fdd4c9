"""Objectives by name."""

import pytest

from natdeploy.errors import InputError
from natdeploy.search.objectives import read_objectives, read_tasks


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


def test_top1_alone_is_an_objective() -> None:
    """Top-1 as the only name is kept, since it says that no cost is minimized."""
    assert read_objectives(("top1",)) == ("top1",)


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
