"""Features: each beside its definition, and none sees the slot it is for or a later one."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from popularity import features, tables
from popularity.features import Features
from popularity.offsets import Average, Component, Following, Mixture
from popularity.series import Series
from small_forecasters import ewma
from small_logs import FIRST_SLOT, NOW, catalogue_of, log_of, other_futures, random_log, series_of

EVERY = [
    *features.STEP_FEATURES,
    *features.STATIC_FEATURES,
    *(f"{name}_{h}" for name in features.HALF_LIFE_FEATURES for h in (2, 30)),
    "seasons",
    *features.OFFSET_FEATURES,
]
MIX_SPEC = {"short": [1, 5], "long": [3, 40], "weights": [0.3, 0.8]}
MIX = Average((3.0, 40.0), (0.3, 0.7))
FOLLOWING = Mixture(
    (Component("counts", 3.0, 0, 0.6), Component("season", 2.0, 7, 0.4)), Following(1.0, 20.0)
)

# Slots 10 to 12 with requests, 13 without; movie 8 is first requested in slot 11.
HAND = pd.DataFrame(
    [(10, 7, 3, 4.0), (11, 7, 1, 2.0), (11, 8, 3, np.nan), (12, 8, 2, 5.0), (14, 7, 9, 1.0)],
    columns=["slot", "movieId", "label", "avg_rating"],
)


def one_average(half_life: float) -> Mixture:
    return Average((half_life,), (1.0,)).mixture(0.02)


def make(
    series: Series,
    names: list[str],
    slot: str = "day",
    gaps: str = "calendar",
    offset: Mixture | None = None,
    seasons: Sequence[int] = (),
    window: int = 3,
    years: list[float] | None = None,
    genres: np.ndarray | None = None,
) -> Features:
    release_years = np.array(years or [np.nan] * len(series.movie_ids))
    return Features(series, release_years, names, slot, window, gaps, offset, seasons, genres)


def catalogue_with_genres(log: pd.DataFrame) -> pa.Table:
    """A catalogue of dramas, of which every third by number is a comedy, too."""
    movies = catalogue_of(log)
    genres = ["Drama" if movie % 3 else "Comedy|Drama" for movie in movies["movieId"].to_pylist()]
    return movies.set_column(movies.schema.get_field_index("genre_names"), "genre_names", pa.array(genres))


def hand(name: str, before: int, **options: Any) -> list[list[float]]:
    """One feature of movies 7 and 8 before a slot of the log above."""
    names = [name] if name in features.STEP_FEATURES else ["label_n", name]
    made = make(series_of(HAND), names, **options)(np.array([0, 1]), np.array([before, before]))
    rows: list[list[float]] = (made["steps"][:, :, 0] if len(names) == 1 else made["static"]).tolist()
    return rows


def near(rows: Sequence[Sequence[float]]) -> list[Any]:
    return [pytest.approx(row, rel=1e-6, abs=1e-6) for row in rows]


def test_steps_by_hand() -> None:
    assert hand("label_n", 13) == near([[1, 1 / 4, 0], [0, 3 / 4, 1]])
    assert hand("log_count", 13) == near(np.log([[4, 2, 1], [1, 4, 3]]).tolist())
    assert hand("log_share", 13) == near(np.log([[3, 1.5, 1], [1, 2.5, 3]]).tolist())
    assert hand("log_total", 13) == near(np.log([[4, 5, 3], [4, 5, 3]]).tolist())
    # Slot 13 has no request and nothing is known of slot 9 and before.
    assert hand("label_n", 14) == near([[1 / 4, 0, 0], [3 / 4, 1, 0]])
    assert hand("log_total", 12, window=4) == near(np.log([[1, 1, 4, 5]] * 2).tolist())


def test_steps_over_the_observed_slots_by_hand() -> None:
    assert hand("log_count", 14, gaps="observed") == near(np.log([[1, 4, 2], [1, 4, 3]]).tolist())
    assert hand("label_n", 14, gaps="observed", window=2) == near([[1, 1 / 4], [3 / 4, 1]])
    assert hand("log_total", 14, gaps="observed") == near(np.log([[1, 4, 5], [1, 5, 3]]).tolist())


def test_static_features_by_hand() -> None:
    assert hand("log_requests", 12) == near([[math.log(5)], [math.log(4)]])
    assert hand("log_age", 14) == near([[math.log(5)], [math.log(4)]])
    assert hand("log_idle", 14) == near([[math.log(4)], [math.log(3)]])
    # 3 ratings of 4 and 1 of 2; no rating of movie 8 before slot 12, 2 of 5 after it.
    assert hand("mean_rating", 12) == near([[(14 + 17.5) / 9], [3.5]])
    assert hand("mean_rating", 13) == near([[(14 + 17.5) / 9], [(10 + 17.5) / 7]])
    # Movie 7: 3/4 and 1; movie 8: 3. Divided by the requests, 2 % spread, times 2 candidates.
    sums = np.array([3 * 0.5**2 + 1 * 0.5, 3 * 0.5 + 2])
    expected = np.log(2 * (0.98 * sums / sums.sum() + 0.01))
    assert hand("ewma_1", 13) == near(expected[:, None].tolist())


def test_features_of_rare_and_new_movies_by_hand() -> None:
    # Slot 14 has 9 requests; movie 7 has 13 by then, movie 8 has 5.
    assert hand("log_requests_capped", 15) == near([[math.log(14)], [math.log(6)]])
    many = make(series_of(HAND.assign(label=HAND["label"] * 7)), ["label_n", "log_requests_capped"])
    assert many(np.array([0]), np.array([12]))["static"].tolist() == near([[math.log(21)]])
    assert hand("requested_up_to_3", 11)[0] == [1]
    assert hand("requested_up_to_3", 12) == [[0], [1]]
    assert hand("requested_once", 12) == [[0], [0]]
    once = make(series_of(log_of((1, 7, 1), (2, 7, 1))), ["label_n", "requested_once"])
    assert once(np.array([0, 0]), np.array([2, 3]))["static"].tolist() == [[1], [0]]
    assert hand("first_seen_recently", 15) == [[1], [1]]
    assert hand("first_seen_recently", 16) == [[0], [1]]
    assert hand("log_idle_capped", 60) == near([[math.log(41)], [math.log(41)]])
    assert hand("log_idle_capped", 53) == near([[math.log(40)], [math.log(41)]])
    assert hand("log_slot_total", 13) == near([[math.log(3)]] * 2)
    assert hand("log_slot_total", 14) == [[0], [0]]


def test_decayed_counts_and_averages_of_shares_by_hand() -> None:
    # Before slot 14, which is 4, 3 and 2 slots after the requests: 13 counts in full.
    sevens, eights = 3 * 0.5**3 + 1 * 0.5**2, 3 * 0.5**2 + 2 * 0.5
    assert hand("decayed_count_1", 14) == near(np.log1p([[sevens], [eights]]).tolist())
    sums = np.array([1 * 0.5**3 + 1 / 4 * 0.5**2, 3 / 4 * 0.5**2 + 1 * 0.5])
    expected = np.log(2 * (0.98 * sums / (0.5**3 + 0.5**2 + 0.5) + 0.01))
    assert hand("ewma_share_1", 14) == near(expected[:, None].tolist())


def test_a_release_is_new_for_a_year_and_a_fifth() -> None:
    series = series_of(log_of(*((17_000, movie, 1) for movie in range(6))))
    names = ["label_n", "new_release", "new_release_idle"]
    made = make(series, names, years=[2015, 2016.7, 2017.2, math.nan, 2016.79, 2016.81])
    # Slot 17533 is New Year's Eve of 2017, and 533 slots after the requests.
    found = made(np.arange(6), np.full(6, 17_533))["static"]
    new, old = [1, math.log(41)], [0, 0]
    assert found.tolist() == near([old, old, new, old, old, new])


def test_genres_are_those_of_the_catalogue() -> None:
    movies = catalogue_with_genres(log_of(*((17_000, movie, 1) for movie in (1, 3, 5, 6))))
    assert features.genre_names(movies) == ["Comedy", "Drama"]
    series, names = series_of(log_of((1, 6, 2), (1, 5, 1), (2, 9, 1))), ["genres", "log_idle"]
    pairs = np.arange(3), np.full(3, 3)
    # Of movie 9 the catalogue knows nothing.
    found = Features.of_catalogue(series, movies, names, "day", 1, "calendar", None)(*pairs)["static"]
    assert found.tolist() == near([[0, 1, math.log(3)], [1, 1, math.log(3)], [0, 0, math.log(2)]])
    known = ["Action", "Comedy"]
    flags = features.genre_flags(movies, series.movie_ids, known)
    # A byte each: a catalogue may have millions of movies.
    assert flags.dtype == np.dtype(bool)
    assert flags.tolist() == [[False, False], [False, True], [False, False]]
    trained = Features.of_catalogue(series, movies, names, "day", 1, "calendar", None, (), known)
    assert trained(*pairs)["static"][:, :2].tolist() == [[0, 0], [0, 1], [0, 0]]


def test_of_many_genres_the_most_frequent_are_told() -> None:
    columns = [
        range(50),
        ["x"] * 50,
        ["x"] * 50,
        [f"G{i:02}|Drama" if i < 40 else "G39" for i in range(50)],
    ]
    columns += [[1] * 50, [None] * 50, [None] * 50]
    arrays = [pa.array(list(v), field.type) for v, field in zip(columns, tables.MOVIES, strict=True)]
    names = features.genre_names(pa.table(arrays, schema=tables.MOVIES))
    assert names == ["Drama", *(f"G{i:02}" for i in range(30)), "G39"]


def test_a_movie_before_its_first_request_has_nothing_to_tell() -> None:
    # Movie 8 is no candidate of slot 11.
    for name in ("log_requests", "log_age", "log_idle", "mean_rating", "ewma_1", "calendar"):
        assert set(hand(name, 11)[1]) == set(hand(name, 10)[0]) == set(hand(name, 3)[0]) == {0}
    early = make(series_of(HAND), ["label_n"], offset=one_average(2.0))(np.array([0, 1]), np.array([3, 11]))
    assert early["offset"].tolist() == near([[math.log(0.02)], [math.log(0.02)]])


@pytest.mark.parametrize(
    ("slot", "number", "turn"),
    [
        ("hour", 30, 6 / 24),
        ("day", 24, 3 / 7),
        # A year has 365.2425 days.
        ("week", 60, 60 * 7 / 365.2425),
        ("month", 27, 3 / 12),
        ("year", 40, 0),
    ],
)
def test_calendar_comes_round(slot: str, number: int, turn: float) -> None:
    angle = 2 * math.pi * turn
    place = hand("calendar", number, slot=slot)[0][:2]
    assert place == near([[math.sin(angle), math.cos(angle)]])[0]


def test_hours_have_a_weekday_in_the_calendar() -> None:
    # Slot 1 is the first hour of 1970, a Thursday; 24 hours later it is Friday.
    days = [hand("calendar", number, slot="hour")[0][2:] for number in (24, 25, 24 + 168)]
    assert [sum(flags) for flags in days] == [1, 1, 1]
    assert days[0] == days[2] != days[1]


def test_a_seasons_feature_compares_its_place_with_all_slots() -> None:
    # Movie 1 on even slots, movie 2 on odd ones, four requests each, for 40 slots.
    series = series_of(log_of(*((100 + at, 1 + at % 2, 4) for at in range(40))))
    compute = make(series, ["label_n", "season_2"], seasons=[2])
    even, odd = (compute(np.array([0, 1]), np.full(2, slot))["static"] for slot in (140, 141))
    assert even.shape == (2, len(features.SEASON_HALF_LIVES))
    assert (even[0] > 0.3).all()
    assert (even[1] < -0.3).all()
    assert (odd[0] < -0.3).all()
    # By hand, with the half-life of half a season: a request two slots ago counts in full, four slots
    # ago a quarter.
    same = sum(4 * 0.5 ** ((k - 1) / 0.5) for k in range(1, 21))
    # All slots count by a half-life of eight seasons.
    overall = 0.5 ** (np.arange(40) / (8 * 2))
    share = overall[1::2].sum() / overall.sum()
    assert even[0, 0] == pytest.approx(math.log((same + 1) / (share * same + 1)), rel=1e-5)


def test_seasons_are_those_that_the_log_holds() -> None:
    series = series_of(log_of((100, 1, 1), (130, 2, 1)))
    assert features.usable_seasons(series, [7, 24], ["season_10", "season_11", "ewma_3"]) == [7, 10]
    pair = np.array([0]), np.array([131])
    assert make(series, ["label_n", "seasons"], seasons=[7, 10])(*pair)["static"].shape == (1, 6)
    assert make(series, ["label_n", "season_7"], seasons=[7, 10])(*pair)["static"].shape == (1, 3)
    assert make(series, ["label_n", "season_24"], seasons=[7, 10])(*pair)["static"].shape == (1, 0)


def test_years_since_the_release_from_0_to_90_and_0_where_unknown() -> None:
    series = series_of(log_of(*((17_000, movie, 1) for movie in range(4))))
    made = make(series, ["label_n", "log_release_age"], years=[1990, math.nan, 2017, 1900])
    # The day before slot 17533 ends is 2018-01-01.
    values = np.expm1(made(np.arange(4), np.full(4, 17_533))["static"][:, 0])
    assert values == pytest.approx([28, 0, 1, 90], abs=0.01)


def test_offset_is_the_log_of_the_average_and_no_feature() -> None:
    series = series_of(random_log())
    movies = series.candidates(series.last_slot)
    slots = np.full(len(movies), series.last_slot)
    made = make(series, ["label_n", "ewma_3", "log_age"], offset=one_average(5.0))(movies, slots)
    shares = ewma(series, 5.0)(series.last_slot, movies)
    assert np.exp(made["offset"][:, 0]) == pytest.approx(shares, rel=1e-6)
    alone = make(series, ["label_n", "log_age", "ewma_3"])(movies, slots)
    assert made["static"].tolist() == alone["static"].tolist()
    assert alone["offset"].tolist() == [[0]] * len(movies)


def test_each_average_of_the_offset_is_compared_with_it() -> None:
    series = series_of(random_log())
    parts = (
        Component("counts", 3.0, 0, 0.6),
        Component("season", 2.0, 7, 0.3),
        Component("even", weight=0.1),
    )
    slots = np.array([series.first_slot + 12, series.first_slot + 30])
    movies = np.tile(series.candidates(int(slots[0])), 2)
    pairs = movies, np.repeat(slots, len(movies) // 2)
    for following in (None, Following(1.0, 20.0)):
        offset = Mixture(parts, following)
        made = make(series, ["label_n", "log_age", "offset_averages"], offset=offset)(*pairs)
        assert made["static"].shape == (len(movies), 1 + len(parts))
        for column, part in enumerate(parts, 1):
            alone = Mixture((replace(part, weight=1.0),))
            of_part = make(series, ["label_n"], offset=alone)(*pairs)["offset"]
            ratio = np.exp(of_part - made["offset"])[:, 0]
            expected = np.log((ratio + features.OFFSET_PULL) / (1 + features.OFFSET_PULL))
            np.testing.assert_allclose(made["static"][:, column], expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(made["static"][:, 1:], axis=0).min() > 0.1


def test_without_an_offset_there_are_no_averages_of_it() -> None:
    series = series_of(random_log())
    pair = np.array([0]), np.array([series.last_slot])
    assert make(series, ["label_n", "offset_averages"])(*pair)["static"].shape == (1, 0)


def test_averages_of_the_offset_are_moderate_where_it_forgot_a_movie() -> None:
    """Movie 7 has been idle for so long that its averages have vanished; 9 is no candidate yet."""
    series = series_of(log_of((1, 7, 1), (1, 8, 1), (5000, 8, 1), (5001, 9, 1)))
    offset = Mixture((Component("counts", 1.0, 0, 0.5), Component("counts", 3.0, 0, 0.5)))
    made = make(series, ["label_n", "offset_averages"], offset=offset)(np.arange(3), np.full(3, 5001))
    forgotten = math.log(features.OFFSET_PULL / (1 + features.OFFSET_PULL))
    assert made["static"].tolist() == near([[forgotten] * 2, [0, 0], [0, 0]])


def test_the_offset_of_a_forgotten_movie_is_the_log_of_a_millionth_of_an_even_share() -> None:
    series = series_of(log_of((1, 7, 1), (1, 8, 1), (90, 8, 1)))
    compute = make(series, ["label_n"], offset=Average((1.0,), (1.0,)).mixture(0.0))
    assert compute.has_offset
    assert not make(series, ["label_n"]).has_offset
    # Movie 7 has 2 ** -89 of the requests of movie 8.
    assert compute(np.array([0, 1]), np.array([91, 91]))["offset"].tolist() == near(
        [[math.log(1e-6 / 2)], [0]]
    )


def test_offset_may_be_a_mix_of_averages() -> None:
    series = series_of(random_log())
    movies = series.candidates(series.last_slot)
    slots = np.full(len(movies), series.last_slot)
    made = make(series, ["label_n", "ewma_9"], offset=MIX.mixture(0.02))(movies, slots)
    short, long = (ewma(series, h)(series.last_slot, movies) for h in MIX.half_lives)
    assert np.exp(made["offset"][:, 0]) == pytest.approx(0.3 * short + 0.7 * long, rel=1e-6)
    assert made["static"].tolist() == make(series, ["label_n", "ewma_9"])(movies, slots)["static"].tolist()
    catalogue = catalogue_of(random_log())
    offset = MIX.mixture(0.02)
    resolved = Features.of_catalogue(series, catalogue, ["label_n"], "day", 3, "calendar", offset)
    assert resolved(movies, slots)["offset"].tolist() == made["offset"].tolist()


def test_no_static_feature_gives_an_empty_array() -> None:
    made = make(series_of(HAND), ["label_n"])(np.array([0]), np.array([13]))
    assert {name: values.shape for name, values in made.items()} == {
        "steps": (1, 3, 1),
        "static": (1, 0),
        "offset": (1, 1),
    }
    assert {values.dtype for values in made.values()} == {np.dtype(np.float32)}


def test_release_years_come_from_the_catalogue() -> None:
    log = random_log()
    series, movies = series_of(log), catalogue_with_genres(log)
    made = Features.of_catalogue(series, movies, EVERY, "day", 3, "calendar", one_average(2.0))
    ids = series.movie_ids.tolist()
    years = [math.nan, *(1990 + i % 20 for i in ids[1:])]
    genres = np.array([[i % 3 == 0, True] for i in ids])
    same = make(series, EVERY, offset=one_average(2.0), years=years, genres=genres)
    pairs = np.arange(len(ids)), np.full(len(ids), series.last_slot + 1)
    for name, values in made(*pairs).items():
        assert values.tolist() == same(*pairs)[name].tolist()


@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied", "rated anew"])
@pytest.mark.parametrize("gaps", ["calendar", "observed"])
@pytest.mark.parametrize(
    "offset",
    [one_average(4.0), MIX.mixture(0.02), FOLLOWING],
    ids=["ewma", "ewma_mix", "mixture"],
)
def test_nothing_depends_on_the_slot_itself_or_later_ones(offset: Mixture, gaps: str, future: str) -> None:
    log = random_log(movies=15)
    known, changed = series_of(log), series_of(other_futures(log)[future])
    common = np.intersect1d(known.movie_ids, changed.movie_ids)
    made = []
    for series in (known, changed):
        years = (1950 + series.movie_ids % 60).tolist()
        genres = series.movie_ids[:, None] % [2, 3] == 0
        compute = make(
            series, EVERY, "day", gaps, offset, seasons=(5, 7), window=5, years=years, genres=genres
        )
        # Movies before their first request, too.
        both = np.flatnonzero(np.isin(series.movie_ids, common))
        pairs = [(slot, movie) for slot in range(FIRST_SLOT, NOW + 1) for movie in both]
        slots, movies = np.array(pairs).T
        rows = [slots, series.movie_ids[movies]]
        rows += [values.reshape(len(pairs), -1).T for values in compute(movies, slots).values()]
        made.append(np.vstack(rows))
    # Candidates, their order and every number are the same.
    assert np.array_equal(made[0], made[1])
