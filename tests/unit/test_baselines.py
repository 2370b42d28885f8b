"""Baselines: each beside its definition in plain Python, on a small log with empty slots."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from popularity.averages import DecayedShares
from popularity.forecasters.averages import average_forecaster
from popularity.forecasters.base import Forecaster, forecast_slots
from popularity.forecasters.intermittent import Kind, Smoothing, intermittent
from popularity.forecasters.mixture import tuned_offset
from popularity.offsets import Average
from popularity.scoring.scores import score_slot
from popularity.series import Series
from small_forecasters import ewma as ewma_of
from small_forecasters import fixed, tuned
from small_logs import FIRST_SLOT, counts_of, log_of, random_log, series_of

LOG = random_log()
COUNTS = counts_of(LOG)
FIRST, LAST = FIRST_SLOT, int(LOG["slot"].max())
SLOTS = range(FIRST + 1, LAST + 1)


def count(slot: int, movie: int) -> int:
    return COUNTS.get((slot, movie), 0)


def requests(slot: int) -> int:
    return sum(number for (at, _), number in COUNTS.items() if at == slot)


def candidates(slot: int) -> list[int]:
    return sorted({movie for at, movie in COUNTS if at < slot})


def last_value(slot: int, movie: int) -> float:
    return count(slot - 1, movie) / max(requests(slot - 1), 1)


def moving_average(slot: int, movie: int) -> float:
    past = range(slot - 3, slot)
    return sum(count(at, movie) for at in past) / max(sum(map(requests, past)), 1)


def all_time_share(slot: int, movie: int) -> float:
    past = [at for at in range(FIRST, slot) if requests(at)]
    return sum(count(at, movie) / requests(at) for at in past) / len(past)


def all_time_count(slot: int, movie: int) -> float:
    past = range(FIRST, slot)
    return sum(count(at, movie) for at in past) / sum(map(requests, past))


def ewma(slot: int, movie: int) -> float:
    weights = {at: 0.5 ** ((slot - 1 - at) / 5) for at in range(FIRST, slot)}
    share = sum(weight * count(at, movie) for at, weight in weights.items()) / sum(
        weight * requests(at) for at, weight in weights.items()
    )
    return float(0.98 * share + 0.02 / len(candidates(slot)))


def plain_ewma(slot: int, movie: int) -> float:
    return (ewma(slot, movie) - 0.02 / len(candidates(slot))) / 0.98


def mean_of(half_life: float, slot: int, movie: int) -> float:
    weights = {at: 0.5 ** ((slot - 1 - at) / half_life) for at in range(FIRST, slot)}
    share = sum(weight * count(at, movie) for at, weight in weights.items())
    return float(share / sum(weight * requests(at) for at, weight in weights.items()))


def ewma_mix(slot: int, movie: int) -> float:
    shares = 0.3 * mean_of(2, slot, movie) + 0.7 * mean_of(20, slot, movie)
    return 0.98 * shares + 0.02 / len(candidates(slot))


def seasonal_naive(slot: int, movie: int) -> float:
    return count(slot - 7, movie) / max(requests(slot - 7), 1)


def smoothed(values: list[float], constant: float) -> float:
    level = values[0]
    for value in values[1:]:
        level = constant * value + (1 - constant) * level
    return level


def normalised(slot: int, movie: int, demand: Callable[[list[int]], float]) -> float:
    """A movie's demand over all candidates', each of its counts from the log's first slot on."""
    demands = {other: demand([count(at, other) for at in range(FIRST, slot)]) for other in candidates(slot)}
    return demands[movie] / sum(demands.values())


def croston(slot: int, movie: int) -> float:
    def demand(counts: list[int]) -> float:
        at = [-1, *(i for i, number in enumerate(counts) if number)]
        sizes = smoothed([float(counts[i]) for i in at[1:]], 0.2)
        return sizes / smoothed([float(b - a) for a, b in itertools.pairwise(at)], 0.2)

    return normalised(slot, movie, demand)


def tsb(slot: int, movie: int) -> float:
    def demand(counts: list[int]) -> float:
        sizes = smoothed([float(number) for number in counts if number], 0.3)
        return sizes * smoothed([float(number > 0) for number in counts], 0.1)

    return normalised(slot, movie, demand)


def two_sided_ewma(slot: int, movie: int) -> float:
    def rate(other: int) -> float:
        past = sum(0.5 ** ((slot - 1 - at) / 5) * count(at, other) for at in range(FIRST, slot))
        later = range(slot + 1, LAST + 1)
        return float(past + sum(0.5 ** ((at - slot - 1) / 5) * count(at, other) for at in later))

    known = candidates(slot)
    return 0.98 * rate(movie) / sum(map(rate, known)) + 0.02 / len(known)


def oracle(slot: int, movie: int) -> float:
    return count(slot, movie) / requests(slot)


DEFINITIONS: dict[str, tuple[dict[str, Any], Callable[[int, int], float]]] = {
    "all_zero": ({}, lambda slot, movie: 0.0),
    "last_value": ({}, last_value),
    "moving_average": ({"slots": 3}, moving_average),
    "all_time_share": ({}, all_time_share),
    "all_time_count": ({}, all_time_count),
    "ewma": ({"half_lives": [5]}, ewma),
    "seasonal_naive": ({"season": 7}, seasonal_naive),
    "croston": ({"smoothing": [0.2]}, croston),
    "tsb": ({"smoothing": [0.3], "rate_smoothing": [0.1]}, tsb),
    "two_sided_ewma": ({"half_lives": [5]}, two_sided_ewma),
    "plain ewma": ({"method": "ewma", "half_lives": [5], "uniform_share": 0}, plain_ewma),
    "ewma_mix": ({"short": [2], "long": [20], "weights": [0.3]}, ewma_mix),
    "uneven ewma_mix": (
        {"method": "ewma_mix", "short": [2], "long": [20], "weights": [0.3], "uniform_share": 0.25},
        lambda slot, movie: (
            0.75 * (ewma_mix(slot, movie) - 0.02 / len(candidates(slot))) / 0.98
            + 0.25 / len(candidates(slot))
        ),
    ),
    "oracle": ({}, oracle),
}


def forecasts(method: str, series: Series) -> list[tuple[int, np.ndarray, np.ndarray]]:
    options = dict(DEFINITIONS[method][0])
    forecaster, _ = tuned(series, SLOTS, options.pop("method", method), **options)
    return list(forecast_slots(forecaster, series, series.requested_slots(SLOTS)))


@pytest.mark.parametrize("method", DEFINITIONS)
def test_method_is_its_definition(method: str) -> None:
    definition = DEFINITIONS[method][1]
    series = series_of(LOG)
    made = forecasts(method, series)
    assert [slot for slot, _, _ in made] == [slot for slot in SLOTS if requests(slot)]
    for slot, movies, shares in made:
        ids = series.movie_ids[movies].tolist()
        assert ids == candidates(slot)
        assert shares == pytest.approx([definition(slot, movie) for movie in ids], abs=1e-12)


@pytest.mark.parametrize(
    "method", ["all_time_share", "all_time_count", "ewma", "ewma_mix", "croston", "tsb"]
)
def test_shares_add_up_to_1(method: str) -> None:
    for _, _, shares in forecasts(method, series_of(LOG)):
        assert shares.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("method", ["last_value", "moving_average"])
def test_recent_shares_add_up_to_1_where_there_are_requests_and_to_0_elsewhere(method: str) -> None:
    sums = [shares.sum() for _, _, shares in forecasts(method, series_of(LOG))]
    assert sums == pytest.approx(np.round(sums), abs=1e-12)
    assert 1 in np.round(sums)
    empty = series_of(log_of((1, 7, 2), (9, 7, 2)))
    assert [
        shares.sum() for _, _, shares in forecast_slots(fixed(empty, "last_value"), empty, np.array([5]))
    ] == [0]


@pytest.mark.parametrize(
    "method", ["all_time_share", "all_time_count", "ewma", "ewma_mix", "croston", "tsb"]
)
def test_movies_with_the_same_requests_get_exactly_the_same_share(method: str) -> None:
    twin = LOG[LOG["movieId"] == 17].assign(movieId=98)
    for _, movies, shares in forecasts(method, twins := series_of(pd.concat([LOG, twin]))):
        by_id = dict(zip(twins.movie_ids[movies].tolist(), shares.tolist(), strict=True))
        assert by_id.get(17) == by_id.get(98)


def test_average_outlives_a_long_silence() -> None:
    series = series_of(log_of((1, 7, 3), (1, 8, 1), (5000, 7, 1)))
    shares = ewma_of(series, 0.5)(5000, np.array([0, 1]))
    assert shares == pytest.approx([0.98 * 0.75 + 0.01, 0.98 * 0.25 + 0.01])


@pytest.mark.parametrize("method", ["ewma", "ewma_mix", "two_sided_ewma"])
def test_the_only_movie_has_all_of_an_average_and_of_its_even_share(method: str) -> None:
    series = series_of(log_of((1, 7, 3), (2, 7, 1), (4, 7, 2)))
    forecaster = tuned(series, range(2, 5), method, **DEFINITIONS[method][0])[0]
    assert forecaster(4, np.array([0])) == pytest.approx([1])


def test_averages_of_several_half_lives_are_those_of_each() -> None:
    series = series_of(LOG)
    movies = series.candidates(LAST)
    slots, sizes = np.full(len(movies), LAST), np.full(len(movies), float(len(movies)))
    together = DecayedShares(series, [1, 5.5, 300])(movies, slots, sizes)
    for at, half_life in enumerate([1, 5.5, 300]):
        assert together[:, at].tolist() == ewma_of(series, half_life)(LAST, movies).tolist()


HALF_LIVES = [0.5, 2, 6, 20, 500]


def tuned_half_life(series: Series, half_lives: list[float], slots: range) -> float:
    half_life: float = tuned(series, slots, "ewma", half_lives=half_lives)[1].half_life
    return half_life


def cross_entropy(series: Series, half_life: float, slots: range) -> float:
    return loss_of(ewma_of(series, half_life), series, slots)


def loss_of(forecaster: Forecaster, series: Series, slots: range) -> float:
    made = forecast_slots(forecaster, series, series.requested_slots(slots))
    return math.fsum(
        score_slot(shares, series.labels(movies, slot), 1)["log_loss"] for slot, movies, shares in made
    )


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_half_life_is_the_best_of_the_slots_it_is_tuned_on(seed: int) -> None:
    series = series_of(random_log(60, seed=seed))
    slots = range(FIRST + 30, FIRST + 45)
    losses = {half_life: cross_entropy(series, half_life, slots) for half_life in HALF_LIVES}
    assert tuned_half_life(series, HALF_LIVES, slots) == min(losses, key=losses.__getitem__)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mix_is_the_best_of_the_slots_it_is_tuned_on(seed: int) -> None:
    series = series_of(random_log(60, seed=seed))
    slots = range(FIRST + 30, FIRST + 45)
    losses = {}
    for short, long, weight in itertools.product([0.5, 2, 6], [2, 6, 500], [0.2, 0.7]):
        if short < long:
            average = Average((short, long), (weight, 1 - weight))
            losses[short, long, weight] = loss_of(average_forecaster(series, average), series, slots)
    options = {"short": [0.5, 2, 6], "long": [2, 6, 500], "weights": [0.2, 0.7]}
    _, chosen = tuned(series, slots, "ewma_mix", **options)
    assert (*chosen.half_lives, chosen.weights[0]) == min(losses, key=losses.__getitem__)
    assert sum(chosen.weights) == 1


def test_the_shorter_average_of_a_mix_is_shorter() -> None:
    # A steady log, for which a half-life of 20 slots would be better than any that is allowed beside 2.
    draw = np.random.default_rng(1)
    log = log_of(
        *((slot, movie, int(draw.poisson(movie)) + 1) for slot in range(40) for movie in (1, 2, 9))
    )
    _, chosen = tuned(series_of(log), range(20, 40), "ewma_mix", short=[1, 2, 20], long=[2], weights=[0.9])
    assert chosen.half_lives == (1, 2)


def test_an_average_is_tuned_with_the_even_share_that_it_has() -> None:
    # A log on which that share decides which average is best.
    series = series_of(random_log(60, seed=9))
    slots = range(FIRST + 30, FIRST + 45)
    found = []
    for share in (0.0, 0.3, 0.8):
        made = {half_life: ewma_of(series, half_life, share) for half_life in HALF_LIVES}
        losses = {half_life: loss_of(forecaster, series, slots) for half_life, forecaster in made.items()}
        _, chosen = tuned(series, slots, "ewma", half_lives=HALF_LIVES, uniform_share=share)
        found.append(chosen.half_life)
        assert found[-1] == min(losses, key=losses.__getitem__)
    assert found == [6, 20, 500]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("method", ["croston", "tsb"])
def test_smoothing_is_the_best_of_the_slots_it_is_tuned_on(method: Kind, seed: int) -> None:
    series = series_of(random_log(60, seed=seed))
    slots = range(FIRST + 30, FIRST + 45)
    smoothing, rates = [0.02, 0.1, 0.5], [0.05, 0.3]
    options = {"smoothing": smoothing}
    pairs = [(constant, constant) for constant in smoothing]
    if method == "tsb":
        options["rate_smoothing"] = rates
        pairs = list(itertools.product(smoothing, rates))
    constants = [Smoothing(*pair) for pair in pairs]
    losses = {pair: loss_of(intermittent(series, method, pair), series, slots) for pair in constants}
    assert tuned(series, slots, method, **options)[1] == min(losses, key=losses.__getitem__)


def test_rates_of_intermittent_demand_outlive_a_long_silence() -> None:
    series = series_of(log_of((1, 7, 3), (1, 8, 1), (9000, 7, 1)))
    shares = intermittent(series, "tsb", Smoothing(0.1, 0.5))(9000, np.array([0, 1]))
    assert shares == pytest.approx([0.75, 0.25])


def test_tuning_outlives_a_long_silence() -> None:
    log = log_of((1, 7, 9), (1, 8, 1), (5000, 7, 8), (5000, 8, 1), (5001, 7, 9), (5001, 8, 1))
    assert tuned_half_life(series_of(log), [0.5, 0.6], range(4000, 5001)) == 0.5


def test_nothing_is_tuned_for_no_offset() -> None:
    assert tuned_offset(None, series_of(LOG), SLOTS) is None


def test_tuning_tells_a_changing_log_from_a_steady_one() -> None:
    steady = log_of(*((slot, movie, movie) for slot in range(40) for movie in (1, 2, 9)))
    draw = np.random.default_rng(1)
    noisy = steady.assign(label=draw.poisson(steady["label"]) + 1)
    moving = log_of(*((slot, 1 + (slot // 8 + k) % 3, 50**k) for slot in range(40) for k in range(3)))
    found = [tuned_half_life(series_of(log), HALF_LIVES, range(20, 40)) for log in (noisy, moving)]
    assert found == [500, 0.5]


def test_tuning_does_not_look_at_later_slots() -> None:
    slots = range(FIRST + 15, FIRST + 25)
    later = LOG["slot"] >= slots.stop
    chosen = tuned_half_life(series_of(LOG), HALF_LIVES, slots)
    for other in (LOG[~later], LOG.assign(label=LOG["label"].where(~later, 1000))):
        assert tuned_half_life(series_of(other), HALF_LIVES, slots) == chosen
