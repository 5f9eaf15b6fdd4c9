"""Reads what Python prints for a dictionary, without evaluating anything."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable
from typing import Any

from natdeploy.documents import find_repeated, require_plain, shorten_reason

_MOST_CHARACTERS = 100_000


def parse_python(text: str) -> Any:  # noqa: ANN401
    """Return dictionaries, lists, tuples (as lists), numbers and texts as Python prints them, also NumPy's numbers.

    Raises:
        ValueError: The text is something else, repeats a key, or is longer or nested more deeply than any architecture.
    """
    if len(text) > _MOST_CHARACTERS:
        msg = f"it is longer than {_MOST_CHARACTERS:,} characters"
        raise ValueError(msg)
    try:
        with warnings.catch_warnings():
            # Python has warnings about its own programs.
            warnings.simplefilter("ignore")
            return _convert(ast.parse(text.strip(), mode="eval").body)
    except (RecursionError, MemoryError) as error:
        msg = "not what Python prints: it is nested too deeply"
        raise ValueError(msg) from error
    except SyntaxError as error:
        msg = f"not what Python prints: {shorten_reason(error)}"
        raise ValueError(msg) from error


def _convert(node: ast.expr) -> Any:  # noqa: ANN401
    if isinstance(node, ast.Call):
        return _convert_call(node)
    if isinstance(node, ast.Dict):
        return _make_dictionary([_convert(key) if key else None for key in node.keys], map(_convert, node.values))
    if isinstance(node, ast.List | ast.Tuple):
        return [_convert(part) for part in node.elts]
    sign, inner = (-1, node.operand) if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else (1, node)
    value = inner.value if isinstance(inner, ast.Constant) else ...
    if isinstance(value, int | float) and not isinstance(value, bool):
        require_plain(value)
        return sign * value
    if inner is node and isinstance(value, str | bool | None):
        return value
    raise _refuse(node)


def _convert_call(node: ast.Call) -> Any:  # noqa: ANN401
    """Return a number of NumPy 2, which is printed as np.int64(3), an array, or an ordered dictionary."""
    name, given = ast.unparse(node.func), [_convert(part) for part in node.args]
    if len(given) == 1 and (re.fullmatch(r"np\.(u?int|float)\d+", name) or name == "array"):
        return given[0]
    if len(given) == 1 and name == "OrderedDict":
        pairs = given[0].items() if isinstance(given[0], dict) else given[0]
        if isinstance(given[0], dict | list) and all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
        ):
            # Before Python 3.12 it is printed as its pairs.
            return _make_dictionary([key for key, _ in pairs], [value for _, value in pairs])
    raise _refuse(node)


def _refuse(node: ast.expr) -> ValueError:
    return ValueError(f"{ast.unparse(node)[:60]!r} is no dictionary, list, number or text")


def _make_dictionary(keys: list[Any], values: Iterable[Any]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key in keys):
        msg = f"key {next(key for key in keys if not isinstance(key, str))!r} is no text"
        raise ValueError(msg)
    repeated = find_repeated(keys)
    if repeated is not None:
        msg = f"key {repeated!r} is repeated"
        raise ValueError(msg)
    return dict(zip(keys, values, strict=True))
