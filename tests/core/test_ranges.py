"""Ranges of numbers, declared at the fields of a dataclass."""

import dataclasses
import math

import numpy as np
import pytest

from natdeploy.core.checked import check_fields
from natdeploy.core.ranges import Decay, NonNegative, Positive, Share, Weight
from natdeploy.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbers:
    """A field of each kind, and two that have no range."""

    some_count: Positive = 1
    rest: NonNegative = 0
    weight: Weight = 0.0
    share: Share = 0.0
    decay: Decay = 0.0
    free: float = 0.0
    name: str = ""


@pytest.mark.parametrize(
    "values",
    [
        {"some_count": 7, "rest": 3, "weight": 9.5, "share": 1.0, "decay": 0.99},
        {"share": 1, "some_count": np.int64(2), "weight": np.float32(0.5)},
        {"free": -1e300, "name": "x"},
    ],
)
def test_numbers_in_range_are_accepted(values: dict[str, object]) -> None:
    """Both bounds count, whole numbers are numbers, and numpy's too; fields without a range are not looked at."""
    check_fields(Numbers(**values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"some_count": 0}, "some-count is 0: it must be at least 1"),
        ({"some_count": 1.0}, "some-count is 1.0: it must be a whole number, at least 1"),
        ({"rest": True}, "rest is True: it must be a whole number"),
        ({"free": math.nan}, "free is nan: it must be a finite number"),
        ({"free": -math.inf}, "free is -inf: it must be a finite number"),
        ({"some_count": 10**400}, "it must be a whole number"),
        ({"share": "0.5"}, "share is '0.5': it must be a number, at least 0 and at most 1"),
        ({"share": 1.01}, "share is 1.01: it must be at least 0 and at most 1"),
        ({"decay": 1.0}, "decay is 1.0: it must be at least 0 and below 1"),
        ({"weight": -0.1}, "weight is -0.1: it must be at least 0"),
        ({"weight": math.inf}, "weight is inf"),
        ({"weight": math.nan}, "weight is nan"),
    ],
)
def test_what_is_out_of_range_is_refused(values: dict[str, object], said: str) -> None:
    """The message names the field as options do, the value and the range."""
    with pytest.raises(InputError) as refused:
        check_fields(Numbers(**values))  # type: ignore[arg-type]
    assert said in str(refused.value)
