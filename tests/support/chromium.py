"""A headless Chromium that opens reports, and records what the page says and asks for."""

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclasses.dataclass
class Browser:
    """Opens pages in a browser.

    Args:
        browser: Playwright's browser.
        said: What the pages wrote to the console, and their errors.
        requested: The addresses that the pages asked for.
    """

    browser: Any
    said: list[str] = dataclasses.field(default_factory=list)
    requested: list[str] = dataclasses.field(default_factory=list)

    def open(self, path: Path, *, dark: bool = False) -> Any:
        """Open a file, and return playwright's page."""
        scheme = "dark" if dark else "light"
        context = self.browser.new_context(
            viewport={"width": 1200, "height": 900},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
        )
        # A busy machine may take long; only a page that never answers is a fault.
        context.set_default_timeout(300_000)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requested.append(request.url))
        page.goto(path.as_uri())
        return page

    def require_silence(self) -> None:
        """Check that no page said anything, or asked for anything but itself."""
        assert self.said == []
        assert all(address.startswith("file:") and address.endswith(".html") for address in self.requested)


@contextlib.contextmanager
def start_browser() -> Iterator[Browser]:
    """Start Chromium; the test is skipped where it is missing."""
    if PROGRAM is None:
        pytest.skip("needs Chromium to open the page: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium has no sandbox of its own for root, as whom tests run in containers.
        started = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"], timeout=300_000)
        yield Browser(started)
        started.close()
