"""Reading YAML latency tables with the line of every key, so that messages name it and repeated keys are found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from natdeploy.errors import InputError
from natdeploy.io.yaml_documents import compose_yaml, iterate_pairs
from natdeploy.readers import read_text


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class YamlRow:
    """A key of the file with its numbers.

    Args:
        place: File and line, for messages.
        key: The key.
        values: Its numbers by name, which may be negative, infinite or NaN.
    """

    place: str
    key: str
    values: Mapping[str, float]


def read_rows(path: Path) -> list[YamlRow]:
    """Read a file that maps each key to a mapping of names to numbers.

    Raises:
        InputError: The file cannot be read or has another structure, a key is repeated, or a value is not a number;
            the message names file, line and reason.
    """
    root = compose_yaml(read_text(path), str(path))
    rows = [
        YamlRow(place=place, key=key, values={name: _number(node, at, name) for at, name, node in _pairs(value, place)})
        for place, key, value in _pairs(root, str(path))
    ]
    if not rows:
        msg = f"{path}: the table has no rows"
        raise InputError(msg)
    return rows


def _pairs(node: yaml.Node | None, place: str) -> Iterator[tuple[str, str, yaml.Node]]:
    """Yield place, key and value of each pair of a mapping."""
    if not isinstance(node, yaml.MappingNode):
        msg = f"{place}: not a mapping of keys to numbers"
        raise InputError(msg)
    source = place.rpartition(", line ")[0] or place
    for key, value in iterate_pairs(node):
        yield f"{source}, line {key.start_mark.line + 1}", key.value, value


def _number(node: yaml.Node, place: str, name: str) -> float:
    text = node.value if isinstance(node, yaml.ScalarNode) else None
    try:
        return float(str(text).replace(".nan", "nan").replace(".inf", "inf"))
    except ValueError as error:
        msg = f"{place}: {name} is {text if text is not None else 'a list or mapping'!r}, not a number"
        raise InputError(msg) from error
