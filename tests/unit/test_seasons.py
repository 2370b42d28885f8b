"""Sums over one place of a season, against their definition."""

import numpy as np
import pytest

from popularity import seasons, states
from popularity.forecasters.base import NoParameters
from popularity.forecasters.seasonal import SeasonalNaive
from popularity.seasons import SeasonalSums, covered_seasons
from popularity.slots import slot_of, slot_start
from small_logs import log_of, other_futures, random_log, series_of

HALF_LIVES = (0.5, 3.0)
SEASON = 7
LOG = random_log(80, seed=5)
SERIES = series_of(LOG)


def defined(movie: int, slot: int, half_life: float) -> float:
    """The definition, slot by slot; movie -1 is all movies."""
    back = range(1, len(SERIES.totals) // SEASON + 3)
    counts = [
        float(SERIES.requests(np.array([slot - k * SEASON]))[0])
        if movie < 0
        else float(SERIES.labels(np.array([movie]), slot - k * SEASON)[0])
        for k in back
    ]
    return float(sum(0.5 ** ((k - 1) / half_life) * count for k, count in zip(back, counts, strict=True)))


# The log's first slots, where there is no season before, to slots after its end.
@pytest.mark.parametrize("slot", range(SERIES.first_slot, SERIES.last_slot + 2 * SEASON + 3, 3))
def test_sums_are_those_of_the_definition(slot: int) -> None:
    sums = SeasonalSums(SERIES, SEASON, HALF_LIVES)
    movies = np.arange(len(SERIES.movie_ids))
    slots = np.full(len(movies), slot)
    expected = [[defined(movie, slot, half_life) for half_life in HALF_LIVES] for movie in movies.tolist()]
    np.testing.assert_allclose(sums(movies, slots), expected, rtol=1e-6)
    totals = [defined(-1, slot, half_life) for half_life in HALF_LIVES]
    np.testing.assert_allclose(sums.totals(np.array([slot]))[0], totals, rtol=1e-12)


def test_pairs_of_many_slots_are_those_of_each() -> None:
    draw = np.random.default_rng(3)
    movies = draw.integers(0, len(SERIES.movie_ids), 200)
    slots = draw.integers(SERIES.first_slot, SERIES.last_slot + 20, 200)
    sums = SeasonalSums(SERIES, SEASON, HALF_LIVES)
    alone = [sums(movies[at : at + 1], slots[at : at + 1])[0] for at in range(200)]
    np.testing.assert_array_equal(sums(movies, slots), alone)


@pytest.mark.parametrize("places", [0, 1 << 25])
@pytest.mark.parametrize("chains", [0, 1 << 25])
@pytest.mark.parametrize("many", [0, 256])
def test_sums_do_not_depend_on_how_they_are_made_nor_on_what_was_asked_before(
    places: int, chains: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seasons, "MOST_PLACES", places)
    monkeypatch.setattr(seasons, "MOST_CHAINS", chains)
    monkeypatch.setattr(seasons, "MANY", many)
    monkeypatch.setattr(states, "EVERY", 3)
    sums = SeasonalSums(SERIES, SEASON, HALF_LIVES)
    movies = np.arange(len(SERIES.movie_ids))
    # Slot by slot, from season to season, over several of them, and back.
    rising = range(SERIES.first_slot, SERIES.last_slot + SEASON)
    far = SERIES.first_slot + SEASON * 9
    for slot in (*rising, SERIES.first_slot + 2, far, far - SEASON, far + SEASON):
        fresh = SeasonalSums(SERIES, SEASON, HALF_LIVES)
        slots = np.full(len(movies), slot)
        np.testing.assert_array_equal(sums(movies, slots), fresh(movies, slots))
        alone = [fresh(movies[[at, 0]], np.array([slot, slot + 1]))[0] for at in movies.tolist()]
        np.testing.assert_array_equal(sums(movies, slots), alone)


@pytest.mark.parametrize("future", other_futures(random_log(40)).values(), ids=lambda log: str(len(log)))
def test_the_future_changes_nothing(future: object) -> None:
    logs = other_futures(random_log(40))
    sums = []
    for log in (logs["none"], future):
        series = series_of(log)  # type: ignore[arg-type]
        movies = np.searchsorted(series.movie_ids, logs["none"]["movieId"].unique())
        at = np.full(len(movies), logs["none"]["slot"].max())
        made = SeasonalSums(series, 5, HALF_LIVES)
        sums.append((made(movies, at), made.totals(at)))
    np.testing.assert_array_equal(sums[0][0], sums[1][0])
    np.testing.assert_array_equal(sums[0][1], sums[1][1])


def test_a_season_is_covered_where_the_log_holds_three_of_it() -> None:
    series = series_of(log_of((100, 1, 1), (120, 2, 1)))
    assert covered_seasons(series, [2, 7, 8, 365]) == [2, 7]


NEW_YORK = "America/New_York"


def clock_log(first: str, days: int) -> tuple[str, list[str]]:
    """Name hours of New York's clock, and show each as its clock does, in the order they pass."""
    name = f"hour {NEW_YORK}"
    start = np.datetime64(first).astype(np.int64)
    slots = slot_of(start + 3600 * np.arange(24 * days), name)
    return name, [str(shown) for shown in slot_start(slots, name)]


# 10 March 2013 has 23 hours there, 3 November 25.
@pytest.mark.parametrize("first", ["2013-03-05T05:00:00", "2013-10-30T04:00:00"])
def test_hours_of_the_day_are_those_of_the_clock_also_when_it_changes(first: str) -> None:
    """A movie is requested at nine in the morning, always: nothing else is left of that place."""
    name, shown = clock_log(first, 12)
    begins = int(slot_of(np.array([np.datetime64(first).astype(np.int64)]), name)[0])
    rows = [(begins + at, 1 + (hour[11:13] == "09"), 5) for at, hour in enumerate(shown)]
    series = series_of(log_of(*rows, (begins, 2, 1)), name)
    sums = SeasonalSums(series, 24, [1.0])
    for at, hour in enumerate(shown):
        if at > 48 and hour[11:13] == "09":
            slots = np.array([begins + at] * 2)
            made = sums(np.array([0, 1]), slots)[:, 0]
            assert made[0] == 0
            assert made[1] == sums.totals(slots)[0, 0] > 5
            naive = SeasonalNaive(season=24).forecaster(series, NoParameters())
            assert naive(begins + at, np.array([0, 1])).tolist() == [0, 1]
    # Of the hour that is shown twice both count.
    twice = [at for at in range(1, len(shown)) if shown[at] == shown[at - 1]]
    for at in twice:
        decayed = sum(0.5**back for back in range(1, at // 24 + 1))
        assert sums.totals(np.array([begins + at + 24]))[0, 0] == pytest.approx(10 + 5 * decayed)
        both = sums.totals(np.array([begins + at - 1, begins + at]))
        assert both[0] == both[1]


def test_seasons_that_are_no_whole_days_count_slots_as_they_pass() -> None:
    name, _ = clock_log("2013-10-30T04:00:00", 1)
    begins = int(slot_of(np.array([np.datetime64("2013-10-30T04:00:00").astype(np.int64)]), name)[0])
    rows = [(begins + at, 1 + at % 2, 1) for at in range(240)]
    sums = SeasonalSums(series_of(log_of(*rows), name), 2, [1.0])
    for at in range(2, 240):
        assert sums(np.array([0, 1]), np.array([begins + at] * 2))[1 - at % 2, 0] == 0
