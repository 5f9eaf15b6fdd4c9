"""Says in natdeploy's words what pydantic found wrong in the content of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

_NOTHING = object()
_REASONS = {
    "extra_forbidden": "unknown key",
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be a table of keys",
    "model_type": "must be a table of keys",
    "dataclass_type": "must be a table of keys",
}
_WORDS = (
    ("Value error, ", ""),
    ("Input should be ", "must be "),
    ("greater than or equal to ", "at least "),
    ("less than or equal to ", "at most "),
    ("greater than ", "above "),
    ("less than ", "below "),
    ("List should have ", "must have "),
    ("String should have ", "must have "),
    ("Dictionary should have ", "must have "),
    ("String should match pattern ", "must match "),
    (" after validation", ""),
)


class Fault(NamedTuple):
    """What is wrong first.

    Args:
        key: The key in question, such as `stages[2].kernels`; empty for the whole content.
        reason: What is wrong with it, with the value where that helps.
        kind: Pydantic's name of the fault.
        parts: The key in its parts.
    """

    key: str
    reason: str
    kind: str
    parts: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}" if self.key else self.reason


def find_fault(error: ValidationError, content: object) -> Fault:
    """Return what is wrong first in the content that pydantic refused.

    A misspelt key is also a missing one: what is there helps more than what is not.
    """
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    kind, parts = first["type"], _find_keys(first["loc"], content)
    reason = _REASONS.get(kind) or _translate(first["msg"])
    if kind not in {"extra_forbidden", "missing"}:
        reason = f"{reason} (it is {_shorten(first['input'])})"
    return Fault(name_key(parts), reason, kind, parts)


def name_key(parts: Sequence[int | str]) -> str:
    """Return a key within a file as text."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


def _find_keys(parts: Sequence[int | str], content: object) -> tuple[int | str, ...]:
    """Return those parts that are keys or places of the content. The others are pydantic's names of its own types."""
    kept: list[int | str] = []
    place: Any = content
    for number, part in enumerate(parts):
        inner = _get(place, part)
        lacking = isinstance(place, Mapping) and number == len(parts) - 1
        if inner is not _NOTHING or lacking or isinstance(part, int):
            kept.append(part)
            place = inner
    return tuple(kept)


def _get(place: object, part: int | str) -> object:
    if isinstance(place, Mapping):
        return place.get(part, _NOTHING)
    if isinstance(place, list | tuple) and isinstance(part, int) and part < len(place):
        return place[part]
    return _NOTHING


def _translate(message: str) -> str:
    for theirs, ours in _WORDS:
        message = message.replace(theirs, ours)
    message = re.sub(r"\binstance of _\w+", "a table of keys", message)
    return message[:1].lower() + message[1:]


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
