"""The hyper-parameters of elastic training."""

import dataclasses
import math

import pytest

from natdeploy.errors import InputError
from natdeploy.supernet.recipe import Recipe

NUMBERS = [name for name, value in dataclasses.asdict(Recipe()).items() if not isinstance(value, bool)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_every_number_has_a_range(name: str, value: float) -> None:
    """No hyper-parameter may be negative, infinite or no number."""
    with pytest.raises(InputError, match=f"{name.replace('_', '-')} is {value}: it must be"):
        dataclasses.replace(Recipe(), **{name: value})


def test_a_weight_of_the_labels_may_be_above_one() -> None:
    """The labels may count more than the largest network's answers."""
    assert Recipe(hard_label_weight=2).hard_label_weight == 2
