"""Sums over one place of a season, against their definition."""

import numpy as np
import pytest

from popularity.seasons import SeasonalSums, covered_seasons
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
