"""Objectives and limits by name."""

import pytest

from natdeploy.api.objectives import cost_arrays, minimized, read_objectives, require_small, used_devices
from natdeploy.core.space import SPACES
from natdeploy.errors import InputError, TargetUnreachableError
from natdeploy.testing.tables import made_up_table

SPACE = SPACES["starter"]


def test_objectives_are_named_once_without_top1() -> None:
    """The costs among the names are kept in order, each once; top-1 is an objective anyway."""
    names = ("top1", "madds", "latency:host", "madds", "peak-memory")
    assert read_objectives(names) == ("madds", "latency:host", "peak-memory")
    assert read_objectives(()) == ()


@pytest.mark.parametrize(
    ("names", "reason"), [(("mads",), "unknown objective 'mads'"), (("latency:",), "unknown"), (("top1",), "alone")]
)
def test_wrong_objectives_are_refused(names: tuple[str, ...], reason: str) -> None:
    """An unknown name, a device that is missing, and top-1 alone are refused."""
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
