"""Shares of seasons that went like this one, against their definition."""

import functools
import math

import numpy as np
import pytest

from popularity import similar
from popularity.averages import AllTimeShares
from popularity.series import Series
from popularity.similar import SimilarSeasons
from popularity.slots import slot_of
from small_logs import FIRST_SLOT, NOW, log_of, other_futures, random_log, series_of

SEASON = 3
HALF_LIFE = 2.0
SERIES = series_of(random_log(80, seed=5))


def made(series: Series, season: int = SEASON, half_life: float = HALF_LIFE) -> SimilarSeasons:
    return SimilarSeasons(series, season, half_life, AllTimeShares(series))


@functools.cache
def labels(slot: int) -> list[float]:
    """Requests of every movie in a slot."""
    found: list[float] = SERIES.labels(np.arange(len(SERIES.movie_ids)), slot).tolist()
    return found


@functools.cache
def before(slot: int) -> list[float]:
    """All requests of every movie before a slot."""
    if slot == SERIES.first_slot:
        return [0.0] * len(SERIES.movie_ids)
    return [one + more for one, more in zip(before(slot - 1), labels(slot - 1), strict=True)]


@functools.cache
def likelihood(slot: int, ago: int) -> float:
    """How much likelier a season before makes the requests of a slot than all-time shares do."""
    there, known = labels(slot - ago * SEASON), before(slot)
    smoothing, total = similar.COMPARED_SMOOTHING, 0.0
    for movie, requests in enumerate(labels(slot)):
        if requests and known[movie]:
            share = known[movie] / sum(known)
            expected = (there[movie] + smoothing * share) / (sum(there) + smoothing)
            total += requests * math.log(expected / share)
    return total


def defined_weights(slot: int) -> list[float]:
    """The definition, slot by slot."""
    block = (slot - SERIES.first_slot) // similar.SLOTS_COMPARED
    first = SERIES.first_slot + max(block - 1, 0) * similar.SLOTS_COMPARED
    slots = range(first, slot)
    faded = [0.5 ** ((slot - 1 - s) / HALF_LIFE) for s in slots]
    requests = sum(f * sum(labels(s)) for f, s in zip(faded, slots, strict=True))
    odds = []
    beginning = SERIES.first_slot
    for ago in range(1, similar.SEASONS_COMPARED + 1):
        if slot - ago * SEASON < beginning:
            odds.append(0.0)
            continue
        known = [
            f * likelihood(s, ago)
            for f, s in zip(faded, slots, strict=True)
            if s - ago * SEASON >= beginning
        ]
        odds.append(math.exp(similar.CERTAINTY * sum(known) / (requests + similar.COMPARED_PULL)))
    return [value / max(sum(odds), 1e-300) for value in odds]


@pytest.mark.parametrize("compared", [100, 7])
@pytest.mark.parametrize("slot", [1, 2, 5, 20, 50, 79, 80, 81, 84, 120, 200])
def test_shares_are_those_of_the_definition(
    slot: int, compared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the log's first slots to those long after its end."""
    monkeypatch.setattr(similar, "SLOTS_COMPARED", compared)
    at = SERIES.first_slot + slot
    weights = defined_weights(at)
    shares = made(SERIES)
    np.testing.assert_allclose(shares.weights(np.array([at]))[0], weights, rtol=1e-6, atol=1e-9)
    movies = SERIES.candidates(at)
    back = [labels(at - SEASON * ago) for ago in range(1, len(weights) + 1)]
    total = sum(w * sum(there) for w, there in zip(weights, back, strict=True))
    all_time = AllTimeShares(SERIES)(movies, np.full(len(movies), at))
    expected = [
        (sum(w * there[movie] for w, there in zip(weights, back, strict=True)) + all_time[place])
        / (total + similar.PREDICTED_SMOOTHING)
        for place, movie in enumerate(movies.tolist())
    ]
    np.testing.assert_allclose(shares(movies, np.full(len(movies), at)), expected, rtol=1e-6)


def test_pairs_of_many_slots_are_those_of_each() -> None:
    draw = np.random.default_rng(3)
    slots = draw.integers(SERIES.first_slot + 1, SERIES.last_slot + 20, 200)
    movies = draw.integers(0, len(SERIES.movie_ids), 200)
    shares = made(SERIES)
    alone = [shares(movies[at : at + 1], slots[at : at + 1])[0] for at in range(200)]
    np.testing.assert_array_equal(shares(movies, slots), alone)


@pytest.mark.parametrize("most", [2, 100])
@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied"])
def test_the_future_changes_nothing(future: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where some of the slots' movies stand for all."""
    monkeypatch.setattr(similar, "MOVIES_COMPARED", most)
    log = random_log()
    shares = []
    for other in (log, other_futures(log)[future]):
        series = series_of(other)
        movies = series.candidates(NOW)
        shares.append((series.movie_ids[movies], made(series)(movies, np.full(len(movies), NOW))))
    np.testing.assert_array_equal(shares[0][0], shares[1][0])
    np.testing.assert_array_equal(shares[0][1], shares[1][1])


def test_a_day_that_begins_like_a_sunday_is_expected_to_go_on_like_one() -> None:
    """Slots of 6 hours: movie 1 on workdays, 2 on Sundays, and on a holiday in the middle of the week."""
    rows = []
    for day in range(28):
        movie = 2 if day % 7 == 6 or day == 24 else 1
        rows += [(FIRST_SLOT + 4 * day + part, movie, 30) for part in range(4)]
    series = series_of(log_of(*rows))
    shares = SimilarSeasons(series, 4, 3.0, AllTimeShares(series))
    holiday = FIRST_SLOT + 4 * 24
    movies = np.array([0, 1])
    assert shares(movies, np.full(2, holiday))[1] < 0.1
    assert shares(movies, np.full(2, holiday + 1))[1] > 0.9
    # The last slot of it tells of the next day what it can.
    assert shares(movies, np.full(2, holiday + 6))[0] > 0.9


def test_days_are_those_of_the_clock_also_when_it_changes() -> None:
    """A movie is requested at nine in the morning, always, while New York's clock is set back."""
    name = "hour America/New_York"
    begin = np.datetime64("2013-10-30T04:00:00").astype(np.int64)
    slots = slot_of(begin + 3600 * np.arange(24 * 12), name)
    # Nine is the 9th hour of the days before 3 November, and the 10th of those after.
    nine = [at for at in range(len(slots)) if (at - (at > 4 * 24)) % 24 == 9]
    rows = [(int(slot), 1 + (at in nine), 5) for at, slot in enumerate(slots.tolist())]
    series = series_of(log_of(*rows, (int(slots[0]), 2, 1)), name)
    shares = SimilarSeasons(series, 24, 3.0, AllTimeShares(series))
    for at in nine[4:]:
        assert shares(np.array([0, 1]), np.full(2, slots[at]))[1] > 0.75


@pytest.mark.parametrize("likelihood", [-12.0, 12.0])
def test_weights_add_up_to_1_however_badly_or_well_the_seasons_fit(
    likelihood: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = made(SERIES)
    means = np.full((similar.SLOTS_COMPARED, similar.SEASONS_COMPARED), likelihood)
    monkeypatch.setattr(shares, "_means", lambda block: means)
    weights = shares.weights(np.array([SERIES.last_slot]))[0]
    assert weights == pytest.approx(np.full(similar.SEASONS_COMPARED, 1 / similar.SEASONS_COMPARED))
