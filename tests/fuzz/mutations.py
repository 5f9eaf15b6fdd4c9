"""Hypothesis strategies that damage a file: in its bytes, in its structure, and in its meaning."""

from __future__ import annotations

import copy
import csv
import datetime as dt
import io
import json
import math
import tomllib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import tomli_w
import yaml
from hypothesis import strategies as st

_TOKENS = [
    *(b"\0", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3\x28", b"\xe2\x80\xa8", b"\x1b[2J", b'"', b"'", b"#"),
    *(b"[" * 3000, b"{" * 3000, b'{"a":' * 300, b"]", b"}", b",", b":", b"=", b".", b"a." * 300, b"- " * 300),
    *(b"nan", b"inf", b"-1", b"0", b"1e999", b"-0.0", b"9" * 30, b"9" * 5000, b"0x10", b"1_000", b"true", b"null"),
    *(b"&a [*a]", b"*a", b"<<: 1", b"!!python/name:os.system", b"2024-99-99", b"1:1:1", b"../../x", b"a" * 200_000),
]
_DEEP: Any = []
for _ in range(200):
    _DEEP = [_DEEP]
_VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, 1e-320, 1e308, math.nan, math.inf, -math.inf, 2**31, 2**63, 10**30, 10**4200),
    *("", " ", "0", "nan", "a\0b", "\x1b]0;x\x07", "../../x", "/dev/zero", "é\u202e\u2028", "x" * 5000, "9" * 5000),
    *([], {}, [[]], [None], {"": 0}, {"a": {"b": []}}, _DEEP, [0] * 3000, {str(name): name for name in range(300)}),
    *(dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
]
_FACTORS = [-1, 0, 0.1, 10, 1000, 1e-9, 1e12, 1.5]
Format = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]


@st.composite
def damage_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a file with a few bytes changed, removed, moved, repeated or put in, or cut off."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([1, 2, 5, 30, 400, 10**9])))
        span, before, after = content[start:end], content[:start], content[end:]
        put = draw(
            st.sampled_from([b"", span[::-1], span * 2, span * 50, content[:50]])
            | st.sampled_from(_TOKENS)
            | st.binary(min_size=1, max_size=4)
        )
        content = before + put[:300_000] + (after if draw(st.booleans()) else content[start:])
    return content


@st.composite
def damage_tree(draw: st.DrawFn, tree: Any) -> Any:
    """Draw parsed content with some of its parts replaced, removed, renamed, nested, exchanged or scaled."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_list_places(tree))
        if not places:
            return draw(st.sampled_from(_VALUES))
        holder, key = draw(st.sampled_from(places))
        _change(draw, holder, key, places)
    return tree


def _list_places(tree: Any) -> Any:
    """Yield each place of a tree, as the list or dictionary that it is in and its index or key."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _list_places(tree[key])


def _change(draw: st.DrawFn, holder: Any, key: Any, places: list[Any]) -> None:
    value, how = holder[key], draw(st.integers(0, 9))
    other_holder, other_key = draw(st.sampled_from(places))
    try:
        other = other_holder[other_key]
    except (LookupError, TypeError):
        other = None
    if how < 3 and isinstance(value, int | float) and abs(value) < 1e300:
        holder[key] = value * draw(st.sampled_from(_FACTORS)) + draw(st.sampled_from([0, 0, 1, -1, 0.5]))
    elif how == 3:
        del holder[key]
    elif how == 4:
        holder[key] = copy.deepcopy(other)
    elif how == 5:
        holder[key] = [value] * draw(st.sampled_from([1, 2, 500]))
    elif how == 6 and isinstance(holder, dict):
        holder[draw(st.sampled_from(["", "format", "x", f"{key}s", str(other_key)]))] = holder.pop(key)
    elif how == 7:
        holder[key] = str(value) if not isinstance(value, str) else value.upper()
    else:
        holder[key] = copy.deepcopy(draw(st.sampled_from(_VALUES)))


def damage(content: bytes, kind: str) -> st.SearchStrategy[bytes]:
    """Return damaged files.

    Args:
        content: The whole file.
        kind: Its format: a key of `FORMATS`, or anything else for a file without a structure that is known.
    """
    if kind not in FORMATS:
        return damage_bytes(content)
    parse, write = FORMATS[kind]
    trees = damage_tree(parse(content)).map(lambda tree: _write_anyway(write, tree))
    return trees | trees | damage_bytes(content) | trees.flatmap(damage_bytes)


def _write_anyway(write: Callable[[Any], bytes], tree: Any) -> bytes:
    try:
        return write(tree)
    except (TypeError, ValueError, AttributeError, LookupError, RecursionError, OverflowError, yaml.YAMLError):
        # The format has no such value.
        return repr(tree).encode(errors="replace")[:1000]


def _write_json(tree: Any) -> bytes:
    return json.dumps(tree, default=str).encode()


def _read_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def _write_csv(rows: Any) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(row if isinstance(row, list) else [row] for row in rows)
    return out.getvalue().encode()


def _read_table(content: bytes) -> dict[str, Any]:
    lines = content.decode().splitlines(keepends=True)
    header = "".join(line[2:] for line in lines if line.startswith("#"))
    rows = "".join(line for line in lines if not line.startswith("#"))
    return {"header": yaml.safe_load(header), "rows": _read_csv(rows.encode())}


def _write_table(tree: Any) -> bytes:
    header = "".join(f"# {line}\n" for line in _write_yaml(tree["header"]).decode().splitlines())
    return header.encode() + _write_csv(tree["rows"])


def _write_yaml(tree: Any) -> bytes:
    return yaml.dump(tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False).encode()


def _read_zip(content: bytes) -> dict[str, str]:
    """Return the entries of an archive as text, a character a byte, so that they are damaged like other texts."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {entry.filename: archive.read(entry).decode("latin-1") for entry in archive.infolist()}


def _write_zip(tree: Mapping[str, Any]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in tree.items():
            archive.writestr(str(name) or "x", str(text).encode("latin-1", errors="replace"))
    return out.getvalue()


def _read_safetensors(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    return {"header": json.loads(content[8 : 8 + length]), "data": content[8 + length :].decode("latin-1")}


def _write_safetensors(tree: Mapping[str, Any]) -> bytes:
    header = _write_json(tree["header"])
    return len(header).to_bytes(8, "little") + header + str(tree["data"]).encode("latin-1", errors="replace")


FORMATS: dict[str, Format] = {
    "json": (json.loads, _write_json),
    "jsonl": (
        lambda content: [json.loads(line) for line in content.splitlines()],
        lambda tree: b"".join(_write_json(line) + b"\n" for line in tree),
    ),
    "toml": (lambda content: tomllib.loads(content.decode()), lambda tree: tomli_w.dumps(tree).encode()),
    "yaml": (yaml.safe_load, _write_yaml),
    "csv": (_read_csv, _write_csv),
    "table": (_read_table, _write_table),
    "zip": (_read_zip, _write_zip),
    "safetensors": (_read_safetensors, _write_safetensors),
}
