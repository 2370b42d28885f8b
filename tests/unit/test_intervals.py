"""Expected requests and their intervals against their definitions, and drawn futures."""

import math

import numpy as np
import pandas as pd
import pytest

import forecast_next_slot
from popularity.forecasters.base import forecast_slots
from popularity.scoring import intervals
from popularity.series import Series
from small_forecasters import ewma
from small_logs import FIRST_SLOT, log_of, random_log, series_of

LOG = random_log(60, movies=25, seed=5)
SERIES = series_of(LOG)
VALIDATION = range(FIRST_SLOT + 30, FIRST_SLOT + 45)
TEST = range(FIRST_SLOT + 45, SERIES.last_slot + 1)


def probability(requests: int, mean: float, dispersion: float) -> float:
    """Negative binomial, as a Poisson rate that is gamma distributed."""
    size = 1 / dispersion
    log = math.lgamma(size + requests) - math.lgamma(size) - math.lgamma(requests + 1)
    return math.exp(log + size * math.log(size / (size + mean)) + requests * math.log(mean / (size + mean)))


def plain_bounds(mean: float, dispersion: float, level: float) -> tuple[int, int]:
    below = 0.0
    ends: list[int] = []
    for requests in range(1000):
        below += probability(requests, mean, dispersion)
        ends += [requests] * sum(below >= edge for edge in ((1 - level) / 2, (1 + level) / 2)[len(ends) :])
        if len(ends) == 2:
            break
    return ends[0], ends[1]


def test_totals_are_of_movies_known_before_and_expected_by_their_average() -> None:
    first = LOG.groupby("movieId")["slot"].transform("min")
    known = LOG[LOG["slot"] > first].groupby("slot")["label"].sum()
    totals = intervals.known_totals(SERIES)
    assert totals.tolist() == [known.get(FIRST_SLOT + at, 0) for at in range(len(totals))]
    expected = intervals.expected_totals(totals, 5)
    assert expected[0] == 0
    for at in (1, 2, 30, len(totals)):
        weights = 0.5 ** ((at - 1 - np.arange(at)) / 5)
        assert expected[at] == pytest.approx(np.average(totals[:at], weights=weights))


def test_the_half_life_of_totals_suits_their_pace() -> None:
    draw = np.random.default_rng(1)
    level = np.repeat([100.0, 900.0, 200.0, 2000.0, 50.0, 700.0], 20)
    assert intervals.tuned_half_life(level, slice(1, None)) == 1
    steady = draw.poisson(300, 600).astype(float)
    assert intervals.tuned_half_life(steady, slice(300, None)) >= 60


@pytest.mark.parametrize("dispersion", [1e-6, 0.2, 3.0])
@pytest.mark.parametrize("level", [0.5, 0.8])
def test_bounds_are_the_quantiles_of_the_distribution(dispersion: float, level: float) -> None:
    means = np.array([0.0, 1e-9, 0.01, 0.1, 0.3, 1, 2.5, 40])
    plain = [(0, 0), *(plain_bounds(mean, dispersion, level) for mean in means[1:].tolist())]
    for given in (dispersion, np.full(len(means), dispersion)):
        low, high = intervals.bounds(means, given, level)
        assert list(zip(low, high, strict=True)) == plain


@pytest.mark.parametrize("dispersion", [1e-6, 0.02, 0.7, 50.0])
def test_bounds_of_one_dispersion_are_those_of_many(dispersion: float) -> None:
    # Up to means whose quantiles are not looked up.
    means = np.geomspace(1e-4, 30 * intervals.LOOKED_UP, 4000)
    each = intervals.bounds(means, np.full(len(means), dispersion), 0.8)
    for one, many in zip(intervals.bounds(means, dispersion, 0.8), each, strict=True):
        assert one.max() > intervals.LOOKED_UP or dispersion == 50
        np.testing.assert_array_equal(one, many)


def test_the_check_counts_what_the_intervals_hold() -> None:
    check = intervals.IntervalCheck(SERIES, VALIDATION, 0.8)
    parts = {"validation": VALIDATION, "test": TEST}
    made = {
        part: list(forecast_slots(ewma(SERIES, 7), SERIES, SERIES.requested_slots(slots)))
        for part, slots in parts.items()
    }
    for part, forecasts in made.items():
        watched = list(check.watch(forecasts, part))
        assert all(one[2] is other[2] for one, other in zip(watched, forecasts, strict=True))
    told = check.summary()

    totals = intervals.expected_totals(intervals.known_totals(SERIES), told["total_half_life"])
    rows = []
    for part, forecasts in made.items():
        for slot, movies, shares in forecasts:
            for movie, share in zip(movies.tolist(), (shares / shares.sum()).tolist(), strict=True):
                count = SERIES.labels(np.array([movie]), slot)[0]
                rows.append((part, totals[slot - FIRST_SLOT] * share, count))
    pairs = pd.DataFrame(rows, columns=["part", "mean", "count"])
    tuning, tested = (pairs[pairs["part"] == part] for part in parts)
    excess = (tuning["count"] - tuning["mean"]) ** 2 - tuning["mean"]
    dispersion = excess.sum() / (tuning["mean"] ** 2).sum()
    assert told["dispersion"] == pytest.approx(dispersion)
    assert dispersion > 0.01
    for suffix, some in (("", tested), ("_expected_1", tested[tested["mean"] >= 1])):
        ends = [plain_bounds(mean, dispersion, 0.8) for mean in some["mean"]]
        inside = [low <= count <= high for (low, high), count in zip(ends, some["count"], strict=True)]
        meant = [
            sum(probability(count, mean, dispersion) for count in range(low, high + 1))
            for (low, high), mean in zip(ends, some["mean"], strict=True)
        ]
        assert told[f"pairs{suffix}"] == len(some)
        assert told[f"coverage{suffix}"] == pytest.approx(np.mean(inside))
        assert told[f"expected_coverage{suffix}"] == pytest.approx(np.mean(meant))


def test_the_half_life_of_totals_is_chosen_on_the_validation_slots() -> None:
    # The total jumps up and down before the validation slots and after them, but not within.
    draw = np.random.default_rng(1)
    paces = (np.repeat([100.0, 900.0], 20), np.full(200, 300.0), np.repeat([900.0, 50.0, 700.0], 20))
    counts = draw.poisson(np.concatenate(paces)).tolist()
    series = series_of(
        log_of(*((slot, movie, count) for slot, count in enumerate(counts) for movie in (1, 2)))
    )
    totals = intervals.known_totals(series)
    chosen = {
        validation: intervals.IntervalCheck(series, validation, 0.8).total_half_life
        for validation in (range(20, 40), range(140, 240), range(240, 300))
    }
    for validation, half_life in chosen.items():
        assert half_life == intervals.tuned_half_life(totals, slice(validation.start, validation.stop))
    assert chosen[range(140, 240)] > chosen[range(240, 300)] == 1


def test_no_pair_has_no_coverage() -> None:
    told = intervals.IntervalCheck(SERIES, VALIDATION, 0.8).summary()
    assert told["pairs"] == 0
    assert told["coverage"] is None


def test_shares_become_a_distribution() -> None:
    assert intervals.expected_requests(np.array([2.0, -1.0, 6.0]), 40).tolist() == [10, 0, 30]
    assert intervals.expected_requests(np.array([0.0, -1.0]), 40).tolist() == [20, 20]


def test_a_log_goes_on_by_a_slot() -> None:
    slot = SERIES.last_slot + 1
    movies = np.array([0, 3, 7, len(SERIES.movie_ids) - 1])
    labels = np.array([2, 0, 5, 1])
    more = pd.DataFrame({"slot": slot, "movieId": SERIES.movie_ids[movies], "label": labels})
    whole = series_of(pd.concat([LOG, more[more["label"] > 0]]))
    found = SERIES.extended(slot, movies, labels)
    for name in ("movie_ids", "starts", "slot", "label", "label_n", "avg_rating", "totals"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert found.last_slot == slot


def test_futures_differ_more_the_further_they_are() -> None:
    slots, futures, seen = 4, 60, []

    def predict(series: Series, slot: int) -> np.ndarray:
        seen.append((slot, series.last_slot))
        return ewma(series, 7)(slot, series.candidates(slot))

    def forecast() -> tuple[np.ndarray, ...]:
        draw = np.random.default_rng(3)
        return forecast_next_slot.forecast_slots(SERIES, predict, slots, futures, 10, 0.2, draw)

    shares, expected, dispersion = forecast()
    assert len(seen) == 1 + futures * (slots - 1)
    assert {slot - last for slot, last in seen} == {1}
    assert shares.sum(axis=1) == pytest.approx(np.ones(slots))
    # An average stays where it is when it is fed with what it expects.
    assert expected.sum(axis=1) == pytest.approx(np.full(slots, expected[0].sum()), rel=0.1)
    assert dispersion[0].tolist() == pytest.approx([0.2] * len(dispersion[0]))
    assert (np.diff(dispersion.mean(axis=1)) > 0).all()
    for first, second in zip(forecast(), (shares, expected, dispersion), strict=True):
        np.testing.assert_array_equal(first, second)


def test_checks_of_seeds_count_as_one_by_their_pairs() -> None:
    def check(dispersion: float, pairs: int, coverage: float | None) -> dict[str, float | int | None]:
        return {
            "interval": 0.8,
            "total_half_life": 5.0,
            "dispersion": dispersion,
            "pairs": 100,
            "coverage": 0.9,
            "expected_coverage": 0.8,
            "pairs_expected_1": pairs,
            "coverage_expected_1": coverage,
            "expected_coverage_expected_1": coverage,
        }

    assert intervals.pooled([check(0.1, 30, 0.9)]) == check(0.1, 30, 0.9)
    both = intervals.pooled([check(0.1, 30, 0.9), check(0.3, 10, 0.5)])
    assert both["dispersion"] == pytest.approx(0.2)
    assert (both["pairs"], both["coverage"]) == (200, pytest.approx(0.9))
    assert (both["pairs_expected_1"], both["coverage_expected_1"]) == (40, pytest.approx(0.8))
    assert intervals.pooled([check(0.1, 0, None), check(0.1, 10, 0.5)])["coverage_expected_1"] == 0.5
    assert intervals.pooled([check(0.1, 0, None)] * 2)["coverage_expected_1"] is None
