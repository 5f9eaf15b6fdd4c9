"""Parses YAML that others have written, with the line of every key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from natdeploy.documents import shorten_reason
from natdeploy.errors import InputError

# The C parser is ten times as fast; PyYAML may be built without it.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_DEPTH, _MOST_EVENTS, _MOST_BITS = 20, 200_000, 64


def compose_yaml(text: str, source: str, what: str = "") -> yaml.Node | None:
    """Return the tree of a YAML document; None if it is empty.

    A few lines can be nested so deeply, or refer to each other so often, that a parser crashes or fills the memory. So
    the parts are looked at one by one before they become a tree.

    Args:
        text: The document.
        source: Its file, for messages.
        what: What the document is, for messages, such as `the header is `.

    Raises:
        InputError: The text is not YAML, is nested deeply, refers to its own parts, names types, or has a key that is
            repeated or no text, or has many more parts than files in use. The message names source, line and reason.
    """
    try:
        _require_simple(text, source, what)
        root: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise _refuse(source, None if mark is None else mark.line, what, reason) from error
    _require_distinct_keys(root, source, what)
    return root


def construct_yaml(node: yaml.Node | None, source: str, what: str = "") -> object:
    """Return the content of a tree.

    Raises:
        InputError: A value is none, such as a date in month 13 or a whole number of thousands of digits. The message
            names source, line and reason.
    """
    if node is None:
        return None
    constructor = yaml.SafeLoader("")
    for scalar in _iterate_scalars(node):
        line = scalar.start_mark.line
        try:
            value = constructor.construct_object(scalar)
        except (ValueError, OverflowError) as error:
            raise _refuse(source, line, what, shorten_reason(error)) from error
        except yaml.MarkedYAMLError as error:
            raise _refuse(source, line, what, error.problem or str(error)) from error
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise _refuse(source, line, what, "a number is too large")
    return constructor.construct_document(node)


def iterate_pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the keys and values of a mapping; of another node nothing."""
    yield from node.value if isinstance(node, yaml.MappingNode) else ()


def find_line(node: yaml.Node | None, keys: Sequence[int | str]) -> int:
    """Return the line of the value that keys lead to, or of as far as they lead."""
    line = 1
    for key in keys:
        found = next((pair for pair in iterate_pairs(node) if pair[0].value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _iterate_scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    for part in node.value if isinstance(node, yaml.CollectionNode) else ():
        for inner in part if isinstance(part, tuple) else (part,):
            yield from _iterate_scalars(inner)


def _require_simple(text: str, source: str, what: str) -> None:
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        reason, tag = None, getattr(event, "tag", None)
        if depth > _MOST_DEPTH:
            reason = f"it is nested more than {_MOST_DEPTH} deep"
        elif number > _MOST_EVENTS:
            reason = f"it has more than {_MOST_EVENTS:,} parts"
        elif isinstance(event, yaml.AliasEvent):
            reason = "it refers to another part"
        elif tag is not None:
            reason = f"it names a type, {tag[:40]!r}"
        if reason is not None:
            raise _refuse(source, event.start_mark.line if event.start_mark else None, what, reason)


def _require_distinct_keys(node: yaml.Node | None, source: str, what: str) -> None:
    seen = set()
    for key, inner in iterate_pairs(node):
        line = key.start_mark.line
        if not isinstance(key, yaml.ScalarNode):
            raise _refuse(source, line, what, "a key must be text")
        if key.value in seen:
            raise _refuse(source, line, what, f"key {key.value!r} is repeated")
        seen.add(key.value)
        _require_distinct_keys(inner, source, what)
    for inner in node.value if isinstance(node, yaml.SequenceNode) else ():
        _require_distinct_keys(inner, source, what)


def _refuse(source: str, line: int | None, what: str, reason: str) -> InputError:
    place = source if line is None else f"{source}, line {line + 1}"
    return InputError(f"{place}: {what}not valid YAML: {reason}")
