"""The commands of a documentation page, as a reader would type them, and what the page shows of their output.

The lines of a fenced `bash` block are commands. A `text` block right behind it shows what the last one prints,
and `...` stands for lines that the page leaves out. A block with `title="NAME"` is the content of a file. A
comment before a block says what is special about its last command, `<!-- exits 4 -->`, or about all, `<!-- not
run: REASON -->`.
"""

from __future__ import annotations

import dataclasses
import re
import textwrap
from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]+)\n(?P<body>.*?)^ *```$(?:\n\n *```text\n(?P<shown>.*?)^ *```$)?",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_MARKER = re.compile(r"<!-- *(exits|not run:) *([^\n]*?) *-->\s*\Z")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command of a page.

    Args:
        text: What is typed.
        shown: Lines of output that the page shows.
        exit_code: The exit code that the page promises.
        not_run: Why a test does not run it; empty where it does.
        place: File and line, for messages.
    """

    text: str
    shown: tuple[str, ...]
    exit_code: int
    not_run: str
    place: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PageFile:
    """A file whose content a page shows.

    Args:
        name: Its name.
        content: Its content.
    """

    name: str
    content: str


def read_page(path: Path) -> list[Command | PageFile]:
    """Return the commands and files of a page, in order."""
    text = path.read_text(encoding="utf-8")
    found: list[Command | PageFile] = []
    for fence in _FENCE.finditer(text):
        body, info = textwrap.dedent(fence["body"]), fence["info"]
        title = _TITLE.search(info)
        if title:
            found.append(PageFile(name=title[1], content=body))
        elif info.split()[0] == "bash":
            place = f"{path.name}:{text.count(chr(10), 0, fence.start()) + 1}"
            shown = tuple(textwrap.dedent(fence["shown"] or "").splitlines())
            found += _commands(body, shown, _MARKER.search(text, 0, fence.start()), place)
    return found


def normalize(line: str) -> str:
    """Return a line of output without what differs from run to run: its numbers and the width of its columns."""
    return " ".join(_NUMBER.sub("N", line).split())


def first_missing(shown: tuple[str, ...], output: str) -> str | None:
    """Return the first line that a page shows and the output lacks at that place; None where it has all in order."""
    lines = iter([normalize(line) for line in output.splitlines()])
    return next((line for line in shown if line.strip() not in {"", "..."} and normalize(line) not in lines), None)


def _commands(body: str, shown: tuple[str, ...], marker: re.Match[str] | None, place: str) -> list[Command]:
    exit_code = int(marker[2]) if marker and marker[1] == "exits" else 0
    not_run = marker[2] if marker and marker[1] == "not run:" else ""
    *lines, last = body.replace("\\\n", " ").splitlines()
    before = [Command(text=line, shown=(), exit_code=0, not_run=not_run, place=place) for line in lines]
    return [*before, Command(text=last, shown=shown, exit_code=exit_code, not_run=not_run, place=place)]
