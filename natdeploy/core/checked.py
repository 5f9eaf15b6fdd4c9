"""Checks values against the types that fields and parameters declare.

Settings that users make check their fields, and functions that users call their arguments: what is wrong is one error
that names it, instead of an `AttributeError` far below.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union

from natdeploy.core.ranges import Range
from natdeploy.errors import InputError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
_UNFIT = object()
_NOUNS = {
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
}
_NOUNS |= {Path: ("a path", "paths"), bool: ("True or False", "True or False")}


def check_fields(value: Any) -> None:  # noqa: ANN401
    """Check every field of a dataclass. Call this in `__post_init__`.

    Text becomes a path where a path is declared, and a path text; other sequences become tuples.

    Raises:
        InputError: A field has another type than it declares, or a number is out of its `Range`.
    """
    kind: Any = type(value)
    for name, hint in _get_field_hints(kind).items():
        given = getattr(value, name)
        found = convert(name.replace("_", "-"), given, hint)
        if found is not given:
            object.__setattr__(value, name, found)


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Have a function check its arguments, as `check_fields` checks fields.

    The function raises an `InputError` if an argument has another type than its parameter declares, or a number is out
    of its `Range`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        bound = signature.bind(*args, **kwargs)
        hints = get_parameter_hints(function)
        for name, value in bound.arguments.items():
            bound.arguments[name] = convert(name, value, hints[name])
        return function(*bound.args, **bound.kwargs)

    return call


def convert(name: str, value: Any, hint: Any) -> Any:  # noqa: ANN401
    """Return `value` as the type `hint`.

    Raises:
        InputError: It has another type, or is out of range. The message begins with `name`.
    """
    found = _fit(value, hint)
    if found is not _UNFIT:
        return found
    wanted = next(iter(_list_missed_ranges(value, hint)), None) or _describe(hint)
    if _holds_infinite(value):
        wanted = wanted.replace("a number", "a finite number").replace("numbers", "finite numbers")
    example = f", such as ({value!r},)" if isinstance(value, str) and _fit((value,), hint) is not _UNFIT else ""
    msg = f"{name} is {_shorten(value)}: it must be {wanted}{example}"
    raise InputError(msg)


@functools.cache
def get_parameter_hints(function: Callable[..., object]) -> Mapping[str, Any]:
    """Return the types of a function's parameters. That of the result may be unknown at run time."""
    declared = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
    holder = types.SimpleNamespace(__annotations__=declared)
    return typing.get_type_hints(holder, globalns=inspect.unwrap(function).__globals__, include_extras=True)


@functools.cache
def _get_field_hints(kind: type) -> Mapping[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _fit(value: Any, hint: Any) -> Any:  # noqa: ANN401
    """Return `value` as the type `hint`, or `_UNFIT`."""
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        found = _fit(value, arms[0])
        ranges = [extra for extra in arms[1:] if isinstance(extra, Range)]
        return found if found is _UNFIT or all(float(found) in allowed for allowed in ranges) else _UNFIT
    if origin in (Union, types.UnionType):
        fitting = [found for found in (_fit(value, arm) for arm in arms) if found is not _UNFIT]
        return next((found for found in fitting if found is value), fitting[0] if fitting else _UNFIT)
    if origin is Literal:
        return value if value in arms else _UNFIT
    if origin in (tuple, Sequence):
        return _fit_sequence(value, arms[0], as_tuple=origin is tuple)
    if origin is Mapping:
        return _fit_mapping(value, *arms)
    return _fit_plain(value, hint)


def _fit_plain(value: Any, hint: Any) -> Any:  # noqa: ANN401
    if hint is Path and isinstance(value, str | os.PathLike):
        return value if isinstance(value, Path) else Path(value) if os.fspath(value) else _UNFIT
    if hint is str and isinstance(value, Path):
        return str(value)
    if hint in (int, float):
        kind: type = numbers.Integral if hint is int else numbers.Real
        return value if isinstance(value, kind) and not isinstance(value, bool) and _is_usual(value) else _UNFIT
    if hint is Any or not isinstance(hint, type) or getattr(hint, "_is_protocol", False):
        return value
    return value if isinstance(value, hint) else _UNFIT


def _holds_infinite(value: Any) -> bool:  # noqa: ANN401
    if isinstance(value, Mapping):
        return any(map(_holds_infinite, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_holds_infinite, value))
    return isinstance(value, float) and not math.isfinite(value)


def _is_usual(number: Any) -> bool:  # noqa: ANN401
    """Tell whether a number is finite, and a whole one fits into 64 bits."""
    return -(2**63) <= int(number) < 2**63 if isinstance(number, numbers.Integral) else math.isfinite(number)


def _fit_sequence(value: Any, hint: Any, *, as_tuple: bool) -> Any:  # noqa: ANN401
    if isinstance(value, str) or not isinstance(value, Sequence):
        return _UNFIT
    found = [_fit(item, hint) for item in value]
    if any(item is _UNFIT for item in found):
        return _UNFIT
    same = all(one is other for one, other in zip(found, value, strict=True))
    return value if same and (isinstance(value, tuple) or not as_tuple) else tuple(found)


def _fit_mapping(value: Any, key: Any, inner: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, Mapping):
        return _UNFIT
    found = {_fit(name, key): _fit(item, inner) for name, item in value.items()}
    if _UNFIT in found or any(item is _UNFIT for item in found.values()):
        return _UNFIT
    same = all(name in value and found[name] is value[name] for name in found)
    return value if same else found


def _list_missed_ranges(value: Any, hint: Any) -> list[str]:  # noqa: ANN401
    """Return the ranges that a number of the right type is not in."""
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return [missed for arm in arms for missed in _list_missed_ranges(value, arm)]
    if origin is Annotated and _fit(value, arms[0]) is not _UNFIT:
        return [str(extra) for extra in arms[1:] if isinstance(extra, Range)]
    return []


def _describe(hint: Any, *, many: bool = False) -> str:  # noqa: ANN401
    origin, arms = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        ranges = [str(extra) for extra in arms[1:] if isinstance(extra, Range)]
        return ", ".join([_describe(arms[0], many=many), *ranges])
    if origin in (Union, types.UnionType, Literal):
        names = [repr(arm) if origin is Literal else _describe(arm, many=many) for arm in arms if arm is not type(None)]
        return " or ".join(names)
    if origin in (tuple, Sequence):
        return f"{'lists' if many else 'a list'} of {_describe(arms[0], many=True)}"
    if origin is Mapping:
        start = "mappings" if many else "a mapping"
        return f"{start} of {_describe(arms[0], many=True)} to {_describe(arms[1], many=True)}"
    if hint in _NOUNS:
        return _NOUNS[hint][many]
    return f"{'an' if hint.__name__[0] in 'AEIOU' else 'a'} {hint.__name__}"


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
