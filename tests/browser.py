"""A headless Chromium that opens a report; run by itself, it takes the README's picture of one."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

#: Nothing of its own to ask the network for, and no profile of anyone's.
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUM = shutil.which("chromium")


@contextlib.contextmanager
def open_page(width: int, height: int) -> Iterator[Page]:
    """Open an empty page of this size in pixels in the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser.new_page(viewport={"width": width, "height": height})
        browser.close()


def open_report(page: Page, report: Path) -> None:
    """Load a report, and wait for its front page."""
    page.goto(report.resolve().as_uri())
    page.locator(".prose .title").wait_for()


def open_item(page: Page, category: str, label: str) -> None:
    """Open an item of a category, from the report's front page."""
    page.get_by_text(category, exact=True).first.click()
    page.locator("tr", has=page.get_by_text(label, exact=True)).locator("a").first.click()


if __name__ == "__main__":
    report, picture = map(Path, sys.argv[1:])
    with open_page(1280, 720) as page:
        open_report(page, report)
        open_item(page, "3 Comparison", "1 Leaderboard")
        page.locator("img").last.wait_for()
        page.screenshot(path=picture)
