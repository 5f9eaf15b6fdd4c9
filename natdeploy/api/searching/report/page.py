"""The page of a report: its data, the script that draws them, the style and the charting library, in one file."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from natdeploy.documents import parse_json
from natdeploy.errors import InputError
from natdeploy.readers import REPORT_BYTES, read_text

FORMAT = "natdeploy.report/1"
# A run may have evaluated ten thousands of architectures.
_MOST_VALUES = 5_000_000
_DATA = re.compile(r'<script type="application/json" id="report-data" data-sha256="(\w+)">(.*?)</script>', re.DOTALL)

# In this order: each script may use what the ones before it define.
_SCRIPTS = (
    "selection.js",
    "format.js",
    "elements.js",
    "charts.js",
    "selected.js",
    "front.js",
    "objectives.js",
    "network.js",
    "evidence.js",
    "what_if.js",
    "comparison.js",
    "architectures.js",
    "report.js",
)


def render_page(document: Mapping[str, Any]) -> str:
    """Return the page of a report as HTML.

    Args:
        document: What `make_document` returned.
    """
    import jinja2

    data = _embed(document)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_read("report.html")).render(
        title=_make_title([run["title"] for run in document["runs"]]),
        style=_read("report.css"),
        plotly=_read("plotly-basic.min.js"),
        scripts="\n".join(map(_read, _SCRIPTS)),
        data=data,
        sha256=_compute_sha256(data),
    )


def read_document(path: Path) -> dict[str, Any]:
    """Return the data in a page that `render_page` made.

    Raises:
        InputError: The file is missing, was edited, or is no report of this version.
    """
    if not os.path.lexists(path):
        msg = f"{path}: no such file: the run has no report"
        raise InputError(msg, hint="a search writes it at its end; natdeploy report RUN writes it again")
    found = _DATA.search(read_text(path, REPORT_BYTES))
    try:
        document = parse_json(found[2], most_values=_MOST_VALUES) if found else None
    except ValueError:
        document = None
    hint = f"write it again with: natdeploy report {shlex.quote(str(path.parent))}"
    if found is None or not isinstance(document, dict) or document.get("format") != FORMAT or not document.get("runs"):
        msg = f"{path}: not a report of this version of natdeploy"
        raise InputError(msg, hint=hint)
    if _compute_sha256(found[2]) != found[1]:
        msg = f"{path}: its data has been edited"
        raise InputError(msg, hint=hint)
    return document


def _compute_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _make_title(titles: Sequence[str]) -> str:
    return titles[0] if len(titles) == 1 else f"Comparison of {len(titles)} runs"


def _embed(document: Mapping[str, Any]) -> str:
    """Return the document as JSON that cannot end the script element around it, whatever names are in it."""
    try:
        text = _dump(document)
    except ValueError:
        # A correlation that is not defined, say. A long search must not end without its report for it.
        text = _dump(_without_infinities(document))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _without_infinities(value: object) -> object:
    """Return a document with null in place of every number that is not finite; the page shows a dash there."""
    if isinstance(value, Mapping):
        return {key: _without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache
def _read(name: str) -> str:
    return (importlib.resources.files("natdeploy.api.searching.report") / "page" / name).read_text(encoding="utf-8")
