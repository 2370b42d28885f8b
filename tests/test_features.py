"""Features: each beside its definition, and none sees the slot it is for or a later one."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from small_logs import FIRST_SLOT, catalogue_of, log_of, random_log, series_of

from popularity import baselines, features, settings
from popularity.features import Features
from popularity.samples import draw_windows
from popularity.windows import Series

SCHEMA = Path(settings.__file__).parents[2] / "schemas" / "config.schema.yaml"
EVERY = [
    *features.STEP_FEATURES,
    *(name for name in features.STATIC_FEATURES if name != "ewma_H"),
    "ewma_2",
    "ewma_30",
]

# Slots 10 to 12 with requests, 13 without; movie 8 is first requested in slot 11.
HAND = pd.DataFrame(
    [(10, 7, 3, 4.0), (11, 7, 1, 2.0), (11, 8, 3, np.nan), (12, 8, 2, 5.0), (14, 7, 9, 1.0)],
    columns=["slot", "movieId", "label", "avg_rating"],
)


def make(
    series: Series,
    names: list[str],
    slot: str = "day",
    gaps: str = "calendar",
    offset_half_life: float | None = None,
    window: int = 3,
    years: list[float] | None = None,
) -> Features:
    release_years = np.array(years or [np.nan] * len(series.movie_ids))
    return Features(series, release_years, names, slot, window, gaps, offset_half_life)


def hand(name: str, before: int, **options) -> list:
    """One feature of movies 7 and 8 before a slot of the log above."""
    names = [name] if name in features.STEP_FEATURES else ["label_n", name]
    made = make(series_of(HAND), names, **options)(np.array([0, 1]), np.array([before, before]))
    return (made["steps"][:, :, 0] if len(names) == 1 else made["static"]).tolist()


def near(rows: list) -> list:
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


@pytest.mark.parametrize(
    ("slot", "number", "turn"),
    [("hour", 30, 6 / 24), ("day", 24, 3 / 7), ("month", 27, 3 / 12), ("year", 40, 0)],
)
def test_calendar_comes_round(slot: str, number: int, turn: float) -> None:
    angle = 2 * math.pi * turn
    assert hand("calendar", number, slot=slot)[0] == near([[math.sin(angle), math.cos(angle)]])[0]


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
    made = make(series, ["label_n", "ewma_3", "log_age"], offset_half_life=5.0)(movies, slots)
    shares = baselines.ewma(series, 5.0)(series.last_slot, movies)
    assert np.exp(made["offset"][:, 0]) == pytest.approx(shares, rel=1e-6)
    alone = make(series, ["label_n", "log_age", "ewma_3"])(movies, slots)
    assert made["static"].tolist() == alone["static"].tolist()
    assert alone["offset"].tolist() == [[0]] * len(movies)


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
    series, chosen = series_of(log), {"features": EVERY, "slot": "day", "window": 3, "gaps": "calendar"}
    made = Features.of_settings(series, catalogue_of(log), {**chosen, "offset_half_life": 2.0})
    ids = series.movie_ids.tolist()
    same = make(series, EVERY, offset_half_life=2.0, years=[math.nan, *(1990 + i % 20 for i in ids[1:])])
    pairs = np.arange(len(ids)), np.full(len(ids), series.last_slot + 1)
    for name, values in made(*pairs).items():
        assert values.tolist() == same(*pairs)[name].tolist()


NOW = FIRST_SLOT + 25


def other_futures(log: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Logs that differ from slot NOW on: in what is requested, how much, and until when."""
    future = log["slot"] >= NOW
    new = pd.DataFrame({"slot": [NOW, NOW + 400], "movieId": [12, 3], "label": 50, "avg_rating": 1.0})
    return {
        "none": log[~future],
        "more": pd.concat([log, new]),
        "less": log[~future | (log.index % 3 == 0)],
        "multiplied": log.assign(label=log["label"].where(~future, log["label"] * 100)),
        "rated anew": log.assign(avg_rating=log["avg_rating"].where(~future, 0.5)),
    }


@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied", "rated anew"])
@pytest.mark.parametrize("gaps", ["calendar", "observed"])
def test_nothing_depends_on_the_slot_itself_or_later_ones(gaps: str, future: str) -> None:
    log = random_log(movies=15)
    known, changed = series_of(log), series_of(other_futures(log)[future])
    made = []
    for series in (known, changed):
        years = (1950 + series.movie_ids % 60).tolist()
        compute = make(series, EVERY, gaps=gaps, offset_half_life=4.0, window=5, years=years)
        pairs = [
            (slot, movie) for slot in range(FIRST_SLOT + 1, NOW + 1) for movie in series.candidates(slot)
        ]
        slots, movies = np.array(pairs).T
        rows = [slots, series.movie_ids[movies]]
        rows += [values.reshape(len(pairs), -1).T for values in compute(movies, slots).values()]
        made.append(np.vstack(rows))
    # Candidates, their order and every number are the same.
    assert np.array_equal(*made)


@pytest.mark.parametrize("future", ["none", "more", "less", "multiplied"])
def test_no_forecast_or_tuned_value_depends_on_later_slots(future: str) -> None:
    log = random_log(movies=15)
    made = []
    for series in (series_of(log), series_of(other_futures(log)[future])):
        half_life = baselines.tuned_half_life(series, [1, 3, 9, 40], range(NOW - 8, NOW))
        forecasters = [method(series) for name, method in baselines.METHODS.items() if name != "oracle"]
        forecasters += [baselines.ewma(series, half_life), baselines.moving_average(series, 4)]
        movies = series.candidates(NOW)
        made.append([half_life, *(forecaster(NOW, movies).tolist() for forecaster in forecasters)])
        drawn = draw_windows(series, range(FIRST_SLOT, NOW), 3, "calendar", 50, np.random.default_rng(1))
        made[-1] += [drawn.slot.tolist(), series.movie_ids[drawn.movie].tolist(), drawn.label_n.tolist()]
    assert made[0] == made[1]


def test_schema_settings_and_code_name_the_same_features() -> None:
    schema = yaml.safe_load(SCHEMA.read_text())["$defs"]["model"]["properties"]["features"]
    static = [name.replace("_H", "_[0-9]+") for name in features.STATIC_FEATURES]
    named = schema["items"]["pattern"].removeprefix("^(").removesuffix(")$").split("|")
    assert sorted(named) == sorted([*features.STEP_FEATURES, *static])
    assert tuple(settings.STEP_FEATURES) == tuple(features.STEP_FEATURES)
