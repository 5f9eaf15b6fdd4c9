"""A browser for the tests of the report."""

from collections.abc import Iterator

import pytest

from tests.support.chromium import Browser, start_browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of a file of tests."""
    with start_browser() as started:
        yield started


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser, whose pages must neither say nor ask for anything but themselves."""
    yield chromium
    chromium.require_silence()
