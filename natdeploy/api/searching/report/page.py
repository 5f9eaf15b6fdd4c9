"""The page of a report: its data, the script that draws them, the style and the charting library, in one file."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

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
    "architectures.js",
    "report.js",
)


def render_page(document: Mapping[str, Any]) -> str:
    """Return the page of a report as HTML.

    Args:
        document: What `make_document` returned.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_read("report.html")).render(
        title=", ".join(run["title"] for run in document["runs"]),
        style=_read("report.css"),
        plotly=_read("plotly-basic.min.js"),
        scripts="\n".join(map(_read, _SCRIPTS)),
        data=_embed(document),
    )


def _embed(document: Mapping[str, Any]) -> str:
    """Return the document as JSON that cannot end the script element around it, whatever names are in it."""
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@functools.cache
def _read(name: str) -> str:
    return (importlib.resources.files("natdeploy.api.searching.report") / "page" / name).read_text(encoding="utf-8")
