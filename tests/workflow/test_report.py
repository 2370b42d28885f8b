"""The report, opened in a browser as a reader would: every picture and table is there, none is loaded."""

import base64
import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from browser import CHROMIUM, open_item, open_page, open_report

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on the PATH (on Debian: apt-get install chromium)"
)

CATEGORIES = {
    "1 Data": 12,
    "2 Models": 3,
    "3 Comparison": 7,
    "4 Forecast": 1,
    "5 Cache": 2,
    "6 Runtime": 3,
}
TABLES = {
    "leaderboard": ("3 Comparison", "2 Leaderboard as a table"),
    "leaderboard_by_class": ("3 Comparison", "3 Leaderboard by class of movies"),
    "forecast": ("4 Forecast", "1 Forecast as a table"),
    "cache": ("5 Cache", "2 Hit ratios as a table"),
    "runtimes": ("6 Runtime", "2 Time and memory as a table"),
    "software": ("6 Runtime", "3 Software versions"),
}
REJECTED = "12 Rows left out: 0"


@pytest.fixture(scope="module")
def faults() -> list[str]:
    """What went wrong in the browser, filled by the page."""
    return []


@pytest.fixture(scope="module")
def browser_page(faults: list[str]) -> Iterator[Page]:
    with open_page(1280, 800) as page:
        page.set_default_timeout(60_000)
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith(("data:", "blob:")) or asked.url.endswith("/report.html")
                else faults.append(asked.url)
            ),
        )
        yield page


@pytest.fixture
def page(browser_page: Page, finished: Path, faults: list[str]) -> Iterator[Page]:
    """The report's front page; whatever a test does there, no error and no request may come of it."""
    open_report(browser_page, finished / "results/demo/report.html")
    yield browser_page
    assert faults == []


def labels(page: Page) -> list[str]:
    # The front page has a table, too.
    return page.locator("tbody:not(.prose tbody) tr td:first-child").all_inner_texts()


def test_the_front_page_is_filled_from_the_run(page: Page, finished: Path) -> None:
    said = page.locator(".prose").inner_text()
    with (finished / "results/demo/leaderboard.csv").open(newline="") as file:
        board = list(csv.DictReader(file))
    with (finished / "results/demo/forecast.csv").open(newline="", encoding="utf-8") as file:
        forecaster = next(csv.DictReader(file))["model"]
    row = next(row for row in board if row["name"] == forecaster)
    assert "Popularity of movies in demo" in said
    assert "6,000 requests of" in said
    assert re.search(r"from 2016-01-\d\d to 2016-06-30 \(\d+ days, \d+ of them without a request\)", said)
    # The forecaster that the validation slots chose, whichever is the best of the test slots.
    assert f"{forecaster} makes the forecast" in said
    assert f"{forecaster} has a cross entropy of {float(row['cross_entropy']):.4g}" in said
    # It begins with three sentences and the numbers that matter.
    assert re.search(r"tested on the last \d+, which it had not seen\.", said)
    assert re.search(rf"with what {forecaster} expects most, would have served \d+\.\d % of the", said)
    cells = page.locator(".prose td").all_inner_texts()
    assert re.fullmatch(r"\d+\.\d % \(.+ to .+ %\)", cells[cells.index("… LRU") + 1])
    assert re.search(r"The mixture of averages, .*? is \d+ % averages over", said)
    assert "{" not in said
    top = page.locator(".prose .title").bounding_box()
    assert top is not None and top["y"] >= 0
    assert "problematic" not in page.locator(".prose").inner_html()


def test_the_front_pages_links_open_the_categories(page: Page) -> None:
    assert page.locator(".prose a").all_inner_texts() == list(CATEGORIES)
    page.locator(".prose a", has_text="2 Models").click()
    page.get_by_text("1 Loss by epoch").wait_for()


def test_every_picture_is_shown_in_its_category(page: Page, finished: Path) -> None:
    found = set()
    for category, count in CATEGORIES.items():
        open_report(page, finished / "results/demo/report.html")
        page.get_by_text(category, exact=True).first.click()
        items = labels(page)
        assert [int(re.sub(r"(\d+) \w.*", r"\1", item)) for item in items] == list(range(1, count + 1))
        assert (REJECTED in items) == (category == "1 Data")
        for label in set(items) - {REJECTED, *(label for _, label in TABLES.values())}:
            page.locator("tr", has=page.get_by_text(label, exact=True)).locator("a").first.click()
            shown = page.locator("img").last
            shown.wait_for()
            source = shown.get_attribute("src")
            assert source is not None
            assert shown.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 1200
            found.add(base64.b64decode(source.split(",")[1]))
    assert found == {path.read_bytes() for path in (finished / "results/demo/plots").glob("*.png")}


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_whole_and_sorted_by_a_click(page: Page, finished: Path, table: str) -> None:
    results = finished / "results/demo"
    sources = sorted(results.glob(f"{table}.csv")) or sorted((results / table).glob("*.csv"))
    expected = []
    for source in sources:
        with source.open(newline="") as file:
            expected += list(csv.DictReader(file))
    open_item(page, *TABLES[table])
    frame = page.frame_locator("iframe")
    assert frame.locator("tbody tr").count() == len(expected)
    for name in list(expected[0])[:2]:
        at = frame.locator("th").all_inner_texts().index(name)
        cells = frame.locator(f"tbody tr td:nth-child({at + 1})")
        assert cells.all_inner_texts() == [row[name] for row in expected]
        numeric = frame.locator("th").nth(at).get_attribute("class") == "number"
        key = float if numeric else str.casefold
        for reverse in (False, True):
            frame.locator("th").nth(at).locator("button").click()
            assert cells.all_inner_texts() == sorted(cells.all_inner_texts(), key=key, reverse=reverse)
        open_report(page, results / "report.html")
        open_item(page, *TABLES[table])


def test_each_item_has_a_caption(page: Page, finished: Path) -> None:
    for category in CATEGORIES:
        open_report(page, finished / "results/demo/report.html")
        page.get_by_text(category, exact=True).first.click()
        page.locator("tbody tr").first.locator("a").nth(1).click()
        assert len(page.locator(".prose-invert").inner_text()) > 40


def test_the_statistics_of_the_jobs_are_drawn(page: Page) -> None:
    page.get_by_text("Statistics", exact=True).click()
    page.locator(".vega-embed").first.wait_for()
