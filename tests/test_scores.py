"""Scores: of one slot, over slots, and how sure a difference is."""

import math

import numpy as np
import pandas as pd
import pytest
from small_logs import log_of, series_of

from popularity.scores import cross_entropy_ratio, score_forecasts, score_slot, summarise


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_one_slot_by_hand() -> None:
    # Of 5 requests one goes to a movie that is no candidate.
    scores = score_slot(array(0.5, 0.3, 0.2, 0), array(3, 0, 1, 0), 5)
    log_loss = -3 * math.log(0.999 * 0.5 + 0.00025) - math.log(0.999 * 0.2 + 0.00025)
    assert scores == pytest.approx(
        {
            "requests": 5,
            "covered": 4,
            "candidates": 4,
            "log_loss": log_loss,
            "squared_error": 0.1**2 + 0.3**2,
            "absolute_error": 0.1 + 0.3,
            "ndcg_20": (3 + 1 / math.log2(4)) / (3 + 1 / math.log2(3)),
            "top_20_accuracy": 1,
            "hits_1": 3,
            "hits_5": 3,
            "hits_10": 3,
        }
    )


def test_cross_entropy_takes_shares_that_do_not_add_up_to_1() -> None:
    shares, counts = array(0.5, 0.3, 0.2), array(3, 0, 1)
    expected = score_slot(shares, counts, 4)["log_loss"]
    assert score_slot(shares * 7, counts, 4)["log_loss"] == pytest.approx(expected)
    assert score_slot(array(0.5, -1, 0.5), array(1, 0, 1), 2)["log_loss"] == pytest.approx(
        -2 * math.log(0.999 * 0.5 + 0.001 / 3)
    )


def test_accuracy_counts_the_named_that_are_as_frequent_as_the_true_20th() -> None:
    counts = np.arange(40.0, 0, -1)
    assert score_slot(counts, counts, counts.sum())["top_20_accuracy"] == 1
    # Named are the true 1st to 15th and five that are not among the true 20.
    predicted = counts.copy()
    predicted[15:20], predicted[20:25] = 0, 100
    assert score_slot(predicted, counts, counts.sum())["top_20_accuracy"] == 0.75
    # The 21st to 23rd are requested as often as the 20th, and so as good as it.
    counts[20:23] = counts[19]
    assert score_slot(predicted, counts, counts.sum())["top_20_accuracy"] == 0.9


def test_ndcg_judges_the_first_20_alone() -> None:
    counts = np.zeros(30)
    counts[25] = 3
    assert score_slot(np.arange(30.0, 0, -1), counts, 3)["ndcg_20"] == 0
    assert score_slot(counts, counts, 3)["ndcg_20"] == 1


def test_equal_predictions_score_the_mean_over_their_orders() -> None:
    scores = score_slot(array(0.2, 0.6, 0.2), array(4, 1, 0), 5)
    # The two orders have the counts 1, 4, 0 and 1, 0, 4.
    gains = [1 + 4 / math.log2(3), 1 + 4 / math.log2(4)]
    assert scores["ndcg_20"] == pytest.approx(np.mean(gains) / (4 + 1 / math.log2(3)))
    many, counts = np.zeros(21), np.zeros(21)
    many[:2], counts[0] = 1, 10
    assert score_slot(many, counts, 10)["hits_1"] == 5


def test_an_all_zero_forecast_is_a_uniform_one_without_an_order() -> None:
    counts = np.zeros(40)
    counts[:10] = 4
    scores = score_slot(np.zeros(40), counts, 40)
    assert scores["log_loss"] == pytest.approx(40 * math.log(40))
    assert scores["squared_error"] == pytest.approx(10 * 0.1**2)
    assert [scores[f"hits_{p}"] for p in (1, 5, 10)] == [1, 2, 4]
    # All are requested at least as often as the true 20th, which is not requested.
    assert scores["top_20_accuracy"] == 1


def test_cache_sizes_are_rounded_up() -> None:
    counts = np.zeros(101)
    counts[[1, 5, 10]] = 1, 10, 100
    scores = score_slot(np.arange(101.0, 0, -1), counts, 111)
    assert [scores[f"hits_{p}"] for p in (1, 5, 10)] == [1, 11, 111]
    exact = score_slot(np.arange(100.0, 0, -1), counts[:100], 111)
    assert [exact[f"hits_{p}"] for p in (1, 5, 10)] == [0, 1, 11]


@pytest.mark.parametrize("size", [0, 3])
def test_a_slot_without_a_requested_candidate(size: int) -> None:
    scores = score_slot(np.full(size, 0.2), np.zeros(size), 7)
    assert (scores["requests"], scores["covered"], scores["candidates"]) == (7, 0, size)
    assert scores["log_loss"] == 0
    assert math.isnan(scores["ndcg_20"])
    assert scores["absolute_error"] == pytest.approx(0.2 * size)
    assert scores["hits_10"] == 0


def test_two_slots_add_up_to_scores_by_hand() -> None:
    first = score_slot(array(0.5, 0.5), array(3, 1), 5)
    second = score_slot(array(0.1, 0.2, 0.7), array(0, 0, 0), 5)
    summary = summarise(pd.DataFrame([{"slot": 8, **first}, {"slot": 9, **second}]))
    assert summary == pytest.approx(
        {
            "slots": 2,
            "requests": 10,
            "unseen_share": 0.6,
            "cross_entropy": math.log(2),
            "rmse": math.sqrt((0.1**2 + 0.3**2 + 0.1**2 + 0.2**2 + 0.7**2) / 5),
            "mae": (0.1 + 0.3 + 0.1 + 0.2 + 0.7) / 5,
            # The second slot has no order to judge.
            "ndcg_20": 2 * (1 + 1 / math.log2(3)) / (3 + 1 / math.log2(3)),
            "top_20_accuracy": 1,
            "hit_ratio_1": 0.2,
            "hit_ratio_5": 0.2,
            "hit_ratio_10": 0.2,
        }
    )


def test_a_forecast_that_is_no_number_has_no_error() -> None:
    rows = [score_slot(array(0.5, bad), array(1, 1), 2) for bad in (0.5, math.nan)]
    summary = summarise(pd.DataFrame(rows))
    assert math.isnan(summary["rmse"])
    assert math.isnan(summary["mae"])


def test_requests_of_unseen_movies_are_missed_requests() -> None:
    series = series_of(log_of((1, 7, 3), (2, 7, 2), (2, 8, 6)))
    table = score_forecasts(series, [(2, series.candidates(2), array(1))])
    assert table[["slot", "requests", "covered", "candidates"]].values.tolist() == [[2, 8, 2, 1]]
    summary = summarise(table)
    assert summary["hit_ratio_10"] == 0.25
    assert summary["unseen_share"] == 0.75
    assert summary["rmse"] == 0.75


def losses(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"log_loss": values})


def test_ratio_to_itself_is_1() -> None:
    some = losses(3, 1, 2)
    assert cross_entropy_ratio([some], some) == (1, 1, 1)
    assert cross_entropy_ratio([some, some], some) == (1, 1, 1)


def test_ratio_is_below_1_where_a_forecast_is_better() -> None:
    draw = np.random.default_rng(1)
    reference = losses(*draw.uniform(5, 7, 50))
    better = losses(*(reference["log_loss"] * draw.uniform(0.8, 0.95, 50)))
    ratio, low, high = cross_entropy_ratio([better], reference)
    assert ratio == pytest.approx(better["log_loss"].sum() / reference["log_loss"].sum())
    assert 0.8 < low < ratio < high < 0.95
    inverse, low, high = cross_entropy_ratio([reference], better)
    assert inverse == pytest.approx(1 / ratio)
    assert 1 < low < inverse < high


def test_ratio_takes_the_mean_over_seeds_and_the_same_draws_each_time() -> None:
    first, second, reference = losses(1, 2, 3), losses(3, 2, 1), losses(1, 3, 2)
    result = cross_entropy_ratio([first, second], reference)
    assert result == cross_entropy_ratio([losses(2, 2, 2)], reference)
    assert result == cross_entropy_ratio([first, second], reference)
    assert result[1:] != cross_entropy_ratio([first, second], reference, seed=1, draws=7)[1:]
