"""The worked examples of docs/extending: each page's code is run, contract suite and all."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "extending"
PARTS = [FOLDER / f"{part}.md" for part in ("space", "exporter", "runtime", "timer", "predictor")]
_CODE = re.compile(r"^```python[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def example_of(page):
    """Return the code of a page, on the lines on which it stands there."""
    text = page.read_text()
    (code,) = _CODE.finditer(text)
    return "\n" * text[: code.start(1)].count("\n") + code.group(1)


def defined_on(page):
    """Run the code of a page and return the tests that it defines, by name."""
    names = {"__name__": f"extending_{page.stem}"}
    exec(compile(example_of(page), str(page), "exec"), names)
    return {name: value for name, value in names.items() if name.startswith(("Test", "test_"))}


for _page in PARTS:
    globals().update(defined_on(_page))


@pytest.mark.parametrize("page", PARTS, ids=lambda page: page.stem)
def test_example_is_short_and_has_a_contract(page):
    """The code of a page has fewer than 60 lines and subclasses a contract suite that the page's table names."""
    code = example_of(page).strip()
    assert len(code.splitlines()) < 60
    (contract,) = re.findall(r"^class Test\w+\((\w+Contract)\)", code, re.MULTILINE)
    assert f".{contract}`" in (FOLDER / "index.md").read_text()
