"""The README: short enough to be read, and the same commands as the home page."""

import re
from pathlib import Path

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
    for kind in ("console", "python"):
        (home,) = re.findall(rf"^```{kind}\n(.*?)^```$", HOME, re.MULTILINE | re.DOTALL)
        own = re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        assert home in {own[0], "".join(own[:2])}
