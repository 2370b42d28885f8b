"""The numbers that the report begins with, and what a mixture is made of in words."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pictures import board
from popularity import key_numbers
from popularity.key_numbers import Caches
from popularity.mixture_words import families, family_name
from popularity.offsets import Component, Following, Mixture
from popularity.scoring.verdict import judge
from popularity.settings.datasets import Words
from popularity.slots import Slot
from popularity.wording import Wording


def shown(text: str) -> str:
    return Wording()(text).replace("\\", "")


def cache_table(**changes: Any) -> pd.DataFrame:
    """cache.csv of two sizes, of which the smaller serves half as much."""
    served = {
        ("LRU", "reactive"): 0.2,
        ("S3-FIFO", "reactive"): 0.3,
        ("lstm", "network"): 0.5,
        ("ewma", "naive"): 0.4,
        ("ewma_plain", "naive"): 0.35,
        ("oracle", "reference"): 0.7,
        ("lstm + S3-FIFO 10 %", "mixture"): 0.45,
    }
    rows = [
        {
            "policy": policy,
            "kind": kind,
            "size": size,
            "bytes": None,
            "hit_ratio": ratio * part,
            "hit_ratio_low": ratio * part - 0.01,
            "hit_ratio_high": ratio * part + 0.02,
            "gain": (ratio - 0.4) * part,
            "gain_low": -0.05,
            "gain_high": 0.125,
            "gain_over": "ewma",
        }
        for (policy, kind), ratio in served.items()
        for size, part in ((0.01, 0.5), (0.04, 1.0))
    ]
    return pd.DataFrame(rows).assign(**changes)


def test_a_cache_is_told_beside_lru_at_the_size_nearest_to_a_twentieth() -> None:
    caches = Caches.of(cache_table(), "lstm")
    assert shown(caches.sentence("lstm", "day")) == (
        "A cache of 4 % of the movies, filled each day with what lstm expects most, would have served "
        "**50.0 %** of the requests of the test slots, and an LRU cache of the same size 20.0 %."
    )
    assert [(shown(what), value) for what, value in caches.numbers("day")] == [
        ("Requests that a cache of 4 % of the movies serves:", ""),
        ("… filled each day from the forecast (lstm)", "**50.0 %** (49.0 to 52.0 %)"),
        ("… filled from the best naive forecast (ewma)", "40.0 % (39.0 to 42.0 %)"),
        ("… LRU", "20.0 % (19.0 to 22.0 %)"),
        ("… the best that reacts to each request (S3-FIFO)", "30.0 % (29.0 to 32.0 %)"),
        ("… filled knowing the day's requests (oracle)", "70.0 % (69.0 to 72.0 %)"),
        ("… what the forecast gains over ewma, in percentage points", "+10.00 (−5.00 to +12.50)"),
    ]


def test_without_caches_that_react_the_best_naive_forecast_stands_beside_it() -> None:
    table = cache_table()
    caches = Caches.of(table[table["kind"] != "reactive"], "lstm")
    assert shown(caches.sentence("lstm", "day")).endswith("slots, and one filled by ewma 40.0 %.")
    assert not [what for what, _ in caches.numbers("day") if "LRU" in what or "reacts" in what]
    alone = Caches.of(table[table["policy"] == "lstm"], "lstm")
    assert shown(alone.sentence("lstm", "day")).endswith("of the requests of the test slots.")


def test_a_forecaster_that_fills_no_cache_is_left_out() -> None:
    for table in (cache_table(), cache_table(hit_ratio=np.nan)):
        caches = Caches.of(table, "gru")
        assert caches.sentence("gru", "day") == ""
        assert not [what for what, _ in caches.numbers("day") if "gains" in what]


def test_the_best_naive_forecast_gains_nothing_over_itself_and_lru_may_be_the_best() -> None:
    table = cache_table()
    table = table[table["policy"] != "S3-FIFO"]
    said = [shown(what) for what, _ in Caches.of(table, "ewma").numbers("day")]
    assert "… filled each day from the forecast (ewma)" in said
    assert not [what for what in said if "gains" in what or "naive" in what or "reacts" in what]


def test_a_cache_of_bytes_is_told_as_one() -> None:
    assert Caches.of(cache_table(bytes=1000.0), "lstm").share == "4 % of all bytes"


def test_how_sure_it_is_is_told_but_of_a_naive_forecast_beside_itself() -> None:
    found = judge(board(), "lstm")
    assert found is not None
    ((what, value),) = key_numbers.sure_numbers(found)
    assert shown(what) == "How sure: error (cross entropy) of lstm divided by that of ewma; 1 is a tie"
    assert value == "**0.9848** (0.9838 to 0.9858)"
    itself = judge(board(), "ewma")
    assert itself is not None
    assert key_numbers.sure_numbers(itself) == []


def test_the_intervals_that_held_are_told_of_movies_that_are_expected_first() -> None:
    check = {
        "interval": 0.9,
        "pairs": 2000,
        "coverage": 0.99,
        "expected_coverage": 0.98,
        "pairs_expected_1": 50,
        "coverage_expected_1": 0.86,
        "expected_coverage_expected_1": 0.92,
    }
    assert key_numbers.interval_numbers(check, "week") == [
        ("Forecasts whose 90 % interval held the requests that came:", ""),
        (
            "… of movies with at least one expected request a week, 50 forecasts (as requests are whole "
            "numbers, 92.0 % are to be expected)",
            "**86.0 %**",
        ),
        (
            "… of all movies, 2,000 forecasts (as requests are whole numbers, 98.0 % are to be expected)",
            "99.0 %",
        ),
    ]
    none = {**check, "pairs_expected_1": 0, "coverage_expected_1": None}
    assert [value for _, value in key_numbers.interval_numbers(none, "week")] == ["", "99.0 %"]


MIXTURE = Mixture(
    (
        Component("counts", 9.0, 0, 0.1),
        Component("season", 0.5, 24, 0.25),
        Component("season", 2.0, 168, 0.35),
        Component("season", 0.5, 168, 0.2),
        Component("shares", 1.0, 0, 0.05),
        Component("even", weight=0.05),
    )
)


def test_a_mixture_is_told_in_words_with_the_heaviest_part_first() -> None:
    told = Wording(Words("page", "view"))(key_numbers.mixture_told(MIXTURE, Slot("hour")))
    assert told == (
        "The mixture of averages, which models start from by default, is 55 % averages over the same hour "
        "of the week (half forgotten after 0.5 and 2 weeks), 25 % averages over the same hour of the day "
        "(half forgotten after 0.5 days), 10 % averages over all earlier hours, by their views (half "
        "forgotten after 9 hours), 5 % averages over all earlier hours, alike (half forgotten after 1 "
        "hour) and 5 % the same share for every page. These weights make the views of the validation slots "
        "most probable."
    )
    assert key_numbers.mixture_told(None, Slot("hour")) == ""
    follows = key_numbers.mixture_told(replace(MIXTURE, following=Following(3.0, 20.0)), Slot("hour"))
    assert follows.endswith(" They change with the last slots (half forgotten after 3 hours).")
    days = key_numbers.mixture_told(Mixture((Component("similar", 3.0, 24),)), Slot("hour"))
    assert (
        "100 % an average over the same hour of the day of the last days that went like this one." in days
    )
    alone = Mixture((Component("even"),))
    assert "is 100 % the same share for every movie." in key_numbers.mixture_told(alone, Slot("hour"))


@pytest.mark.parametrize(
    ("half_lives", "season", "name"),
    [
        ([1.0], 11, "averages over the same place in 11 days (half forgotten after 1 season)"),
        (
            [8.0, 0.5, 2.0],
            7,
            "averages over the same day of the week (half forgotten after 0.5, 2 and 8 weeks)",
        ),
    ],
)
def test_a_season_s_half_life_counts_seasons(half_lives: list[float], season: int, name: str) -> None:
    mixture = Mixture(tuple(Component("season", half_life, season, 0.5) for half_life in half_lives))
    (parts,) = families(mixture)
    assert family_name(parts, Slot("day")) == name
