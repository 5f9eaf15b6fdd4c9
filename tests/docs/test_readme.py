"""The README: short enough to be read, and the same commands as the home page."""

import dataclasses
import re
from pathlib import Path
from unittest.mock import create_autospec

from natdeploy import api

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
HOME = (ROOT / "docs" / "index.md").read_text()
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")


def test_readme_is_short():
    """The README has at most 120 lines, and no paragraph over 900 characters."""
    assert len(README.splitlines()) <= 120
    assert max(map(len, README.split("\n\n"))) <= 900, max(README.split("\n\n"), key=len)


def test_links_of_the_readme_lead_somewhere():
    """Every file that README and CONTRIBUTING link to is there."""
    linked = {name for page in ("README.md", "CONTRIBUTING.md") for name in _LINK.findall((ROOT / page).read_text())}
    assert linked
    assert not [name for name in sorted(linked) if not (ROOT / name).exists()]


def test_home_page_has_the_same_first_result():
    """Set-up, commands and Python lines of the first result are the same in README and home page."""
    for kind in ("bash", "python"):
        (home,) = re.findall(rf"^```{kind}\n(.*?)^```$", HOME, re.MULTILINE | re.DOTALL)
        own = re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        assert home in {own[0], "".join(own[:2])}


def test_python_lines_fit_the_api(monkeypatch):
    """The Python lines call the API with arguments that it takes, and read fields that its results have."""
    names = [field.name for field in dataclasses.fields(api.SearchResult)]
    run = create_autospec(api.SearchResult, instance=True, **dict.fromkeys(names))
    search, export = create_autospec(api.search, return_value=run), create_autospec(api.export)
    monkeypatch.setattr(api, "search", search)
    monkeypatch.setattr(api, "export", export)
    (code,) = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    exec(code, {})
    search.assert_called_once()
    export.assert_called_once_with(run.subnet, ("onnx",))
