"""The report's front page: texts of a log are shown as they are, and are never markup."""

import html
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from xml.etree import ElementTree

import jinja2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from docutils.core import publish_parts  # type: ignore[import-untyped]

import write_captions
import write_front_page
import write_table
from pictures import board
from popularity import tables
from popularity.log.facts import Facts
from popularity.markup import plain
from popularity.program import Fault
from popularity.settings.datasets import Words
from popularity.settings.slots import FoldSplit
from popularity.slots import Slot
from popularity.wording import Wording, own, plural
from workdir import ROOT

#: Titles that a log may hold, each with what would be seen of it if it were markup.
TITLES = [
    "Heat (1995)",
    "x\n\n.. raw:: html\n\n   <script>alert(1)</script>\n\ny",
    "x\r\n\r\n.. include:: /etc/passwd\r\n\r\ny",
    "x\u2028\u2028.. raw:: html\u2028\u2028   <b>y</b>\u2028\u2028z",
    "x\x0b\x0b.. csv-table::\x0b   :file: /etc/passwd\x0b\x0by",
    "x\x85\x85.. image:: http://example.org/seen.png\x85\x85y",
    "nul \x00 bell \x07 escape \x1b[31m",
    "javascript:alert(1)",
    "http://example.org/ and someone@example.org",
    "`text <javascript:alert(1)>`_ link_ `role`:raw: |x| [1]_ *a* **b** ``c`` \\ _`d`",
    "<script>alert(1)</script> & &lt;",
    "$x_{1}$ {{ 7 * 7 }} {% include '/etc/passwd' %} %s %(a)s $(touch ran)",
    "\u202eright to left\u202c \u05d0\u05d1",
    "a" * 5000,
    "....",
    "::",
    "===",
    "- * + # 1. a) | >>> -- __",
]


def published(page: str) -> ElementTree.Element:
    """What Snakemake's report makes of a page."""
    text = jinja2.Environment().from_string(page).render(snakemake=None, categories={}, files=[])
    body = publish_parts(text, writer="html", settings_overrides={"report_level": 1})["html_body"]
    return ElementTree.fromstring(body)


@pytest.mark.parametrize("title", TITLES)
def test_a_title_is_shown_as_it_is_and_is_no_markup(title: str) -> None:
    forecast = pd.DataFrame(
        {
            "rank": [1],
            "title": [title],
            "predicted_share": [0.5],
            "slot_start": ["2016-01-01"],
            "model": ["m"],
        }
    )
    facts = write_front_page.forecast_facts(forecast)
    template = "Popularity\n===\n\n{forecaster} expects {expected}.\n"
    page = published(write_front_page.fill(template, facts, Wording(Words("movie", "view"))))
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", title).split())
    shown = line.replace("{", "(").replace("}", ")")
    assert {child.tag for child in page.iter()} <= {"main", "div", "h1", "p", "em"}
    (paragraph,) = page.iter("p")
    assert "".join(paragraph.itertext()) == f"m expects {shown} (50 % of the views)."


@pytest.mark.parametrize("title", TITLES)
def test_a_table_shows_its_texts_as_they_are(title: str) -> None:
    page = write_table.table_page(pd.DataFrame({"title": [title], title: [1]}), title, title, 10, Wording())
    body = page.partition("<script>\nconst body")[0]
    assert "<script>" not in body
    assert html.escape(title) in body


@pytest.mark.parametrize("name", TITLES)
def test_the_names_of_dataset_and_models_are_no_markup(name: str) -> None:
    page = write_front_page.fill("{name}\n===\n\n**{name}** is it.\n", {"name": plain(name)}, Wording())
    assert {child.tag for child in published(page).iter()} <= {"main", "div", "h1", "p", "strong"}


def test_slots_shorter_than_a_day_are_told_by_the_minute_and_on_their_clock() -> None:
    labelled = pa.table({"slot": [1, 2, 20], "movieId": [7, 8, 7], "label": [1, 1, 1]})
    split = FoldSplit(validation=0.2, test=0.2)
    facts = write_front_page.log_facts(labelled, None, Slot("15min America/New_York"), split)
    assert (facts["first_day"], facts["last_day"]) == ("1969-12-31 19:00", "1969-12-31 23:59")
    facts = write_front_page.log_facts(labelled, None, Slot("day"), split)
    assert (facts["first_day"], facts["last_day"]) == ("1970-01-01", "1970-01-20")
    said = write_front_page.reading([FACTS], "America/New_York")
    assert "Slots are on the clock of America/New_York." in Wording()(said).replace("\\", "")


def test_the_page_says_what_was_read() -> None:
    parts = [
        Facts(files=["a.csv", "b.csv"], times="whole seconds", ignored=["note"], excluded=2, guests=1),
        Facts(files=["b.csv", "c_1.csv"], excluded=3, far=["c_1.csv: line 7: 2100-01-01"], uncatalogued=4),
    ]
    parts[0].left_aside = ["a_small.csv"]
    page = Wording()(write_front_page.reading(parts)).replace("\\", "")
    assert page == (
        "Requests were read from a.csv, b.csv, c_1.csv, times taken for whole seconds. Not read, though "
        "named alike: a_small.csv. Columns that were not read: note. "
        "5 rows left out by the conditions (``where``). "
        "1 rows without a user. 4 movies that the catalogue lacks, shown by their id. Far from nearly all "
        "other requests in time: c_1.csv: line 7: 2100-01-01."
    )


FACTS = Facts(files=["movies.csv"], times="dates", uncatalogued=3)


def test_a_shop_s_tables_and_captions_speak_of_its_products_and_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"movieId": [1], "title": ["The movie"], "expected_requests": 2.5, "movies": 3})
    page = write_table.table_page(
        table, "Movies to expect", "forecast.csv", 10, Wording(Words("product", "order"))
    )
    for said in ("<h1>Products to expect</h1>", ">productId<", ">expected_orders<", ">products<"):
        assert said in page
    assert "<td>The movie</td>" in page
    captions = [path for path in (ROOT / "report").glob("*.rst") if path.stem != "workflow"]
    words = ["--words", '{"item": "product", "request": "order"}', "--folder", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["write_captions", "--captions", *map(str, captions), *words])
    write_captions.main()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in captions}
    for path in tmp_path.iterdir():
        assert not re.search(r"movie|request(?!ed)", path.read_text(), re.IGNORECASE), path.name


def test_a_shop_s_page_speaks_of_its_products_and_orders() -> None:
    wording = Wording(Words("product", "order"))
    assert wording("Movies by request: {movies} movies, a movie's requests, requested, {requests}") == (
        "Products by order: {movies} products, a product's orders, requested, {requests}"
    )
    assert Wording()("a movie's requests") == "a movie's requests"
    assert wording("A request of a movie or an order") == "An order of a product or an order"
    assert Wording(Words("item", "view"))("a movie, a requested one") == "an item, a requested one"
    assert wording(f"{own('movies.csv')}: movies, movie-lens, all_movies, {own('Movie')}") == (
        "movies.csv: products, movie-lens, all_movies, Movie"
    )
    page = write_front_page.fill(
        "Popularity of movies in {dataset}\n==\n\n{reading}\n",
        {"dataset": plain("movies"), "reading": write_front_page.reading([FACTS])},
        wording,
    )
    assert page == (
        "Popularity of products in movies\n================================\n\nOrders were read from "
        "movies\\.csv, times taken for dates\\. 3 products that the catalogue lacks, shown by their id.\n"
    ).replace("dates\\.", "dates.")
    assert [plural(word) for word in ("product", "city", "day", "box", "class")] == [
        *("products", "cities", "days", "boxes", "classes"),
    ]


def shown(text: str) -> str:
    """What a reader sees of a text of the page."""
    return Wording()(text).replace("\\", "")


def best_table(*bounds: tuple[str, float, float, float]) -> pd.DataFrame:
    """best.csv of one pair: movies, ratio, low and high of each row."""
    rows = pd.DataFrame(bounds, columns=["movies", "ratio", "low", "high"])
    return rows.assign(name="lstm", kind="network", rival="ewma", rival_kind="naive")


@pytest.mark.parametrize(
    ("low", "high", "asked", "verdict"),
    [
        (0.98, 0.99, "best", "lstm makes the forecast, chosen on the validation slots: it beats ewma"),
        (0.98, 0.99, "lstm", "lstm makes the forecast, which the settings name: it beats ewma"),
        (0.98, 1.01, "best", "validation slots: on the test slots it is level with ewma"),
        (1.01, 1.02, "best", "but on the test slots ewma, the best naive forecast, is better"),
    ],
)
def test_the_page_begins_with_the_forecaster_and_what_the_test_slots_say_of_it(
    low: float, high: float, asked: str, verdict: str
) -> None:
    table = board()
    table.loc[0, ["ratio_low", "ratio_high"]] = low, high
    # The best of the test slots is another one, which is not what is chosen.
    table = pd.concat([table, table.iloc[[0]].assign(name="gru", cross_entropy=6.0)])
    facts = write_front_page.board_facts(table, best_table(("all", 0.98, low, high)), "lstm", asked)
    assert verdict in shown(facts["verdict"])
    assert shown(facts["scores"]).startswith("On the test slots **lstm** has a cross entropy of 6.5 nats")
    assert "gru" not in " ".join(facts.values())


def test_a_naive_forecast_may_make_the_forecast() -> None:
    facts = write_front_page.board_facts(board(), best_table(("all", 0.98, 0.97, 0.99)), "ewma", "best")
    assert shown(facts["verdict"]) == (
        "ewma makes the forecast, a naive forecast, chosen on the validation slots."
    )
    assert "ratio" not in facts["scores"]
    with pytest.raises(Fault, match="no row of gone"):
        write_front_page.board_facts(board(), best_table(("all", 0.98, 0.97, 0.99)), "gone", "best")


def test_the_page_compares_the_best_of_each_kind_for_each_class() -> None:
    best = best_table(
        ("all", 0.98, 0.97, 0.99), ("head", 1.01, 1.005, 1.02), ("new", np.nan, np.nan, np.nan)
    )
    said = shown(write_front_page.compared(best))
    assert said == (
        "lstm, the best network, is better than ewma, the best naive forecast: the ratio of their cross "
        "entropies is 0.9800 (0.9700 to 0.9900); by class of movies head 1.0100 (1.0050 to 1.0200), worse."
    )
    some = write_front_page.compared(best_table(("common", 1.0, 0.99, 1.01)))
    assert "is level with" in some
    assert "over the movies that both cover" in some


@pytest.mark.parametrize("least", [0, 5, 1 << 22])
def test_users_are_counted_once_however_many_parts_they_are_in(
    least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_front_page, "LEAST_USERS", least)
    users = np.random.default_rng(1).integers(0, 60, 400).astype(np.int32)
    columns = {
        field.name: users if field.name == "userId" else np.zeros(len(users), field.type.to_pandas_dtype())
        for field in tables.JOINED
    }
    parts = pa.table(columns, tables.JOINED).to_batches(max_chunksize=40)
    tables.write_batches(tmp_path / "joined.parquet", tables.JOINED, parts, group=40)
    for guests in (0, 3):
        facts = cast(Facts, SimpleNamespace(has_users=True, guests=guests))
        counted = write_front_page.count_users(tmp_path / "joined.parquet", facts)
        assert counted == len(np.unique(users)) - bool(guests)
