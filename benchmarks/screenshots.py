"""Takes the two pictures of a report in the documentation: the front in light colours, a network in dark ones.

Run: python benchmarks/screenshots.py RUN [FOLDER]   (default: docs/figures)

It needs Debian's `chromium`.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright

WIDTH, MARGIN = 1200, 12


def main(run: Path, folder: Path) -> None:
    """Open the report of a run, and write the pictures."""
    report = (run / "report.html").resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        front = open_report(browser, report, dark=False)
        save(front, "header", "#front .split", folder / "report-front.png")
        network = open_report(browser, report, dark=True)
        network.click("text=Before it on the front")
        network.click("#selected button:has-text('Choice')")
        save(network, "#network-heading", "#network .bars", folder / "report-network.png")
        browser.close()


def open_report(browser: Browser, address: str, *, dark: bool) -> Page:
    """Return the page of a report."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    page.goto(address)
    return page


def save(page: Page, first: str, last: str, path: Path) -> None:
    """Save the part of a page from the element `first` to the element `last`, with at most 256 colours."""
    page.wait_for_timeout(500)
    top, bottom = (page.locator(place).bounding_box() for place in (first, last))
    assert top is not None
    assert bottom is not None
    start = max(0.0, top["y"] - MARGIN)
    end = bottom["y"] + bottom["height"] + MARGIN
    clip = FloatRect(x=0, y=start, width=WIDTH, height=end - start)
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
    few = shot.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("docs/figures"))
