"""What pydantic finds wrong, in natdeploy's words."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from natdeploy.io.validation import find_fault


class _Inner(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    size: Annotated[int, Field(ge=32)] | Annotated[list[int], Field(max_length=1)] = 32
    kind: Literal["a", "b"] = "a"
    names: list[Annotated[str, Field(pattern="^[a-z]$")]] = []


class _Outer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    inner: list[_Inner]
    flag: bool = False


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "inner: is missing"),
        ({"inner": [{"colour": 1}]}, "inner[0].colour: unknown key"),
        ({"inne": []}, "inne: unknown key"),
        ({"inner": 5}, "inner: must be a list (it is 5)"),
        ({"inner": [5]}, "inner[0]: must be a table of keys (it is 5)"),
        ({"inner": [{"size": 1}]}, "inner[0].size: must be at least 32 (it is 1)"),
        ({"inner": [{"size": "32"}]}, "inner[0].size: must be a whole number (it is '32')"),
        ({"inner": [{"kind": "c"}]}, "inner[0].kind: must be 'a' or 'b' (it is 'c')"),
        ({"inner": [{"names": ["a", "B"]}]}, "inner[0].names[1]: must match '^[a-z]$' (it is 'B')"),
        ({"inner": [], "flag": 1}, "flag: must be true or false (it is 1)"),
        (5, "must be a table of keys (it is 5)"),
    ],
)
def test_faults_are_told_by_key_and_reason(content: object, said: str) -> None:
    """The key is the file's own, without names of types within pydantic, and the reason is in plain words."""
    with pytest.raises(ValidationError) as refused:
        _Outer.model_validate(content)
    assert str(find_fault(refused.value, content)) == said
