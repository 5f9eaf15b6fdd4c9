"""What reaches a terminal is text: names from files and headers cannot move its cursor, recolour or flood it."""

from __future__ import annotations

import re

_MOST_CHARACTERS = 700
_LAST_CHARACTERS = 200
# Control characters, separators of lines, marks that turn the direction of writing, and bytes that were no text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
_CUT = " [...] "


def to_line(text: str) -> str:
    """Return text as one line whose every character is printed: others appear as Python's escapes."""
    return _UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], text)


def to_short_line(text: str) -> str:
    """Return text as such a line, and of a very long one the beginning and the end."""
    line = to_line(text)
    if len(line) <= _MOST_CHARACTERS:
        return line
    return line[: _MOST_CHARACTERS - _LAST_CHARACTERS - len(_CUT)] + _CUT + line[-_LAST_CHARACTERS:]
