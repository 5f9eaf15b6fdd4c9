"""How many threads torch computes with."""

import pytest
import torch

from natdeploy import api
from natdeploy.supernet.threads import choose_threads, use_threads


def test_the_number_of_threads_is_restored() -> None:
    """Inside so many threads are used, and the former number afterwards, after an error too."""
    before = torch.get_num_threads()
    used: list[int] = []

    def fail() -> None:
        with use_threads(before + 1):
            used.append(torch.get_num_threads())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (used, torch.get_num_threads()) == ([before + 1], before)
    with use_threads():
        assert torch.get_num_threads() == choose_threads()


def test_loading_a_subnet_leaves_the_callers_threads_alone(
    digits_subnet: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No library call that only reads a network sets the number of threads."""
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    api.load_subnet(str(digits_subnet))
    assert asked == []
