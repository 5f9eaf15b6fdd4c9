"""Types that fields and parameters declare, checked."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest

from natdeploy.core.checked import check_fields, checked, convert
from natdeploy.core.ranges import Positive
from natdeploy.errors import InputError


class Speaker(Protocol):
    """Whatever can speak."""

    def speak(self) -> None:
        """Speak."""


@dataclasses.dataclass(frozen=True, slots=True)
class Own:
    """A class with fields."""

    names: tuple[str, ...] = ()
    place: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@checked
def work(run: Path, *, count: Positive | None = None, own: Own | str = "own", speaker: Speaker | None = None) -> Any:
    """Return the arguments."""
    return run, count, own, speaker


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        ("a/b", Path, Path("a/b")),
        (Path("a"), str, "a"),
        (Path("a"), str | Path, Path("a")),
        ("a", str | Path, "a"),
        (["a", "b"], tuple[str, ...], ("a", "b")),
        (["a"], tuple[Path, ...], (Path("a"),)),
        ({"a": "b"}, Path | Mapping[str, Path], {"a": Path("b")}),
        (np.int64(3), int, 3),
        (3, float, 3),
        (None, Positive | None, None),
        ("dynamic", Positive | Literal["dynamic"], "dynamic"),
        (object, Any, object),
    ],
)
def test_what_fits_is_converted(value: object, hint: object, expected: object) -> None:
    """Text and paths stand for each other, lists for tuples; what has the declared type is left as it is."""
    found = convert("x", value, hint)
    assert (found, type(found)) == (expected, type(value) if isinstance(value, np.int64) else type(expected))


@pytest.mark.parametrize(
    ("value", "hint", "said"),
    [
        (5, str | Own, "x is 5: it must be a text or an Own"),
        ("", Path, "x is '': it must be a path"),
        ("host", tuple[str, ...], "x is 'host': it must be a list of texts, such as ('host',)"),
        (["host"], str, "x is ['host']: it must be a text"),
        (True, int, "x is True: it must be a whole number"),
        (1.5, int | None, "x is 1.5: it must be a whole number"),
        ("1", Positive | None, "x is '1': it must be a whole number, at least 1"),
        (0, Positive | None, "x is 0: it must be at least 1"),
        ("fast", Positive | Literal["dynamic"], "x is 'fast': it must be a whole number, at least 1 or 'dynamic'"),
        ({"host": 20}, tuple[Mapping[str, float], ...], "it must be a list of mappings of texts to numbers"),
        (({"host": "20ms"},), tuple[Mapping[str, float], ...], "x is ({'host': '20ms'},): it must be a list of mapp"),
        ({5: 1.0}, Mapping[str, float], "it must be a mapping of texts to numbers"),
        (5, Sequence[str], "it must be a list of texts"),
    ],
)
def test_what_does_not_fit_is_one_error(value: object, hint: object, said: str) -> None:
    """The error names the value, and says what it must be."""
    with pytest.raises(InputError) as refused:
        convert("x", value, hint)
    assert said in str(refused.value)


def test_fields_are_checked_and_converted() -> None:
    """A frozen dataclass with slots holds what its fields declare."""
    assert Own(["a"], "b") == Own(("a",), Path("b"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="names is 'a': it must be a list of texts"):
        Own("a")  # type: ignore[arg-type]


def test_arguments_are_checked_and_converted() -> None:
    """Every argument that is given is checked by name or place; protocols take whatever is given."""
    assert work("a", count=2, own=Own(), speaker=5) == (Path("a"), 2, Own(), 5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="run is 5: it must be a path"):
        work(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="count is 0: it must be at least 1"):
        work("a", count=0)  # type: ignore[arg-type]
