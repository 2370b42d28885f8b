"""Scores: of one slot, over slots, and how sure a difference is."""

import math
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from popularity.scoring.classes import CLASSES
from popularity.scoring.scores import (
    SCORES,
    SUMMED_SCORES,
    score_forecasts,
    score_ratio,
    score_slot,
    summarise,
    summarise_classes,
    summarise_common,
)
from small_logs import FIRST_SLOT, log_of, random_log, series_of


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


@pytest.mark.parametrize("distinct", [1, 3, 40, 10**6])
@pytest.mark.parametrize("size", [20, 21, 250, 401])
def test_scores_are_those_of_all_candidates_sorted(
    size: int, distinct: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = np.random.default_rng(size + distinct)
    shares = draw.integers(0, distinct, size) / 7
    shares[:3] = draw.choice([0.0, np.nan, shares.max()], 3)
    counts = draw.poisson(0.5, size).astype(float)
    classes = draw.integers(0, 4, size)
    found = score_slot(shares, counts, counts.sum(), classes)
    monkeypatch.setattr(
        "popularity.scoring.scores._leading", lambda values, _: np.argsort(-values, kind="stable")
    )
    np.testing.assert_equal(score_slot(shares, counts, counts.sum(), classes), found)


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
            "covered_share": 0.4,
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
    return pd.DataFrame({"log_loss": values, "covered": 1.0})


def test_ratio_to_itself_is_1() -> None:
    some = losses(3, 1, 2)
    assert score_ratio([some], some) == (1, 1, 1)
    assert score_ratio([some, some], some) == (1, 1, 1)


def test_ratio_is_below_1_where_a_forecast_is_better() -> None:
    draw = np.random.default_rng(1)
    reference = losses(*draw.uniform(5, 7, 50))
    better = losses(*(reference["log_loss"] * draw.uniform(0.8, 0.95, 50)))
    ratio, low, high = score_ratio([better], reference)
    assert ratio == pytest.approx(better["log_loss"].sum() / reference["log_loss"].sum())
    assert 0.8 < low < ratio < high < 0.95
    inverse, low, high = score_ratio([reference], better)
    assert inverse == pytest.approx(1 / ratio)
    assert 1 < low < inverse < high


def test_ratio_takes_the_mean_over_seeds_and_the_same_draws_each_time() -> None:
    first, second, reference = losses(1, 2, 3), losses(3, 2, 1), losses(1, 3, 2)
    result = score_ratio([first, second], reference)
    assert result == score_ratio([losses(2, 2, 2)], reference)
    assert result == score_ratio([first, second], reference)
    assert result[1:] != score_ratio([first, second], reference, seed=1, draws=7)[1:]


def random_slots(seed: int, slots: int = 12) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(slots):
        counts = draw.poisson(1.0, 30).astype(float)
        rows.append(score_slot(draw.dirichlet(np.ones(30)), counts, counts.sum() + 2))
    return pd.DataFrame(rows)


@pytest.mark.parametrize("score", SUMMED_SCORES)
def test_a_ratio_is_that_of_the_summarised_scores_and_so_is_each_draw(score: str) -> None:
    seeds, reference = [random_slots(1), random_slots(2)], random_slots(3)

    def ratio(chosen: np.ndarray) -> float:
        ours = fmean(summarise(table.iloc[chosen])[score] for table in seeds)
        return ours / summarise(reference.iloc[chosen])[score]

    found, low, high = score_ratio(seeds, reference, score, draws=400, seed=5)
    assert found == pytest.approx(ratio(np.arange(12)))
    counts = np.random.default_rng(5).multinomial(12, np.full(12, 1 / 12), size=400)
    drawn = [ratio(np.repeat(np.arange(12), row)) for row in counts]
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))


def test_a_forecast_that_is_no_number_has_no_ratio() -> None:
    reference = random_slots(1)
    bad = reference.assign(squared_error=reference["squared_error"].where(reference.index > 0))
    assert all(math.isnan(value) for value in score_ratio([bad], reference, "rmse"))


def test_class_sums_by_hand() -> None:
    classes = np.array([0, 3, 2, 2])
    scores = score_slot(array(0.5, 0.3, 0.2, 0), array(3, 0, 1, 0), 5, classes)
    assert scores["requests_head"] == 3
    assert scores["requests_tail"] == 1
    assert [scores[f"candidates_{name}"] for name in CLASSES] == [1, 0, 2, 1]
    assert scores["log_loss_head"] == pytest.approx(-3 * math.log(0.999 * 0.5 + 0.00025))
    assert scores["squared_error_new"] == pytest.approx(0.09)
    assert [scores[f"hits_{name}"] for name in CLASSES] == [3, 0, 0, 0]
    tied = score_slot(array(0.2, 0.4, 0.2), array(4, 1, 2), 7, np.array([0, 1, 2]))
    assert tied["hits_middle"] == 1
    # A cache of 2 of 40: the first and one of two alike.
    shares, counts = np.zeros(40), np.zeros(40)
    shares[:3], counts[:3] = [0.6, 0.2, 0.2], [5, 4, 2]
    many = score_slot(shares, counts, 11, np.array([0, 1, 2] + [3] * 37))
    assert [many[f"hits_{name}"] for name in CLASSES] == [5, 2, 1, 0]


def test_classes_add_up_to_the_scores_of_all() -> None:
    log = random_log(70, movies=30)
    series = series_of(log)
    slots = series.requested_slots(range(FIRST_SLOT + 40, FIRST_SLOT + 70))
    draw = np.random.default_rng(1)
    forecasts = [
        (slot, series.candidates(slot), draw.integers(0, 4, len(series.candidates(slot))) / 9)
        for slot in slots.tolist()
    ]
    table = score_forecasts(series, forecasts, range(FIRST_SLOT, FIRST_SLOT + 40))
    plain = score_forecasts(series, forecasts)
    assert table[plain.columns].equals(plain)
    summary, classes = summarise(table), summarise_classes(table).set_index("class")
    assert classes.index.tolist() == [*CLASSES, "never"]
    assert classes["request_share"].sum() == pytest.approx(1)
    assert classes.loc["never", "request_share"] == pytest.approx(summary["unseen_share"])
    assert classes["candidate_share"].sum() == pytest.approx(1)
    assert classes["cross_entropy_part"].sum() == pytest.approx(summary["cross_entropy"])
    assert classes["hit_ratio_5_part"].sum() == pytest.approx(summary["hit_ratio_5"])
    squares = (classes["rmse"] ** 2 * classes["candidate_share"]).sum()
    assert math.sqrt(squares) == pytest.approx(summary["rmse"])
    assert (classes["request_share"].drop("never") > 0).all()


def test_a_movie_is_new_for_28_slots() -> None:
    series = series_of(log_of((1, 7, 5), (1, 8, 5), (10, 9, 1), *((slot, 7, 1) for slot in (37, 38))))
    table = score_forecasts(
        series, [(slot, series.candidates(slot), array(1, 1, 1)) for slot in (37, 38)], range(1, 9)
    )
    assert table["candidates_new"].tolist() == [1, 0]
    assert table["candidates_head"].tolist() == [1, 1]


def test_scores_of_a_class_are_over_its_own_requests_and_candidates() -> None:
    parts = {"requests": (6, 3, 0, 1), "candidates": (2, 4, 5, 0), "log_loss": (3.0, 6.0, 0.0, 4.0)}
    parts |= {"squared_error": (0.5, 0.04, 0.2, 0.0), "hits": (3, 1, 0, 1)}
    row = {
        f"{part}_{name}": float(v)
        for part, of in parts.items()
        for name, v in zip(CLASSES, of, strict=True)
    }
    slots = pd.DataFrame([row | {"requests": 16.0, "candidates": 11.0, "covered": 10.0}] * 2)
    found = summarise_classes(slots).set_index("class")
    assert found["request_share"].tolist() == [6 / 16, 3 / 16, 0, 1 / 16, 1 - 10 / 16]
    assert found["candidate_share"].tolist() == [2 / 11, 4 / 11, 5 / 11, 0, 0]
    assert found["cross_entropy"].tolist() == pytest.approx([0.5, 2, math.nan, 4, math.nan], nan_ok=True)
    assert found["cross_entropy_part"].tolist() == pytest.approx([0.3, 0.6, 0, 0.4, math.nan], nan_ok=True)
    assert found["rmse"].tolist() == pytest.approx([0.5, 0.1, 0.2, math.nan, math.nan], nan_ok=True)
    assert found["hit_ratio_5"].tolist() == pytest.approx([0.5, 1 / 3, math.nan, 1, math.nan], nan_ok=True)
    assert found["hit_ratio_5_part"].tolist() == pytest.approx([3 / 16, 1 / 16, 0, 1 / 16, 0])
    # A forecast that is no number in one slot has no score.
    slots.loc[1, "log_loss_head"] = math.nan
    assert math.isnan(summarise_classes(slots).set_index("class")["cross_entropy"].to_dict()["head"])


def test_scores_over_common_movies_by_hand() -> None:
    sums = {"log_loss": (2.0, 4.0), "covered": (1.0, 3.0), "squared_error": (0.25, 0.75)}
    sums |= {"candidates": (10.0, 15.0), "hits_5": (1.0, 2.0), "requests": (4.0, 6.0)}
    slots = pd.DataFrame({f"common_{part}": values for part, values in sums.items()})
    expected = {"common_cross_entropy": 1.5, "common_rmse": 0.2, "common_hit_ratio_5": 0.3}
    assert summarise_common(slots) == pytest.approx(expected)
    # A forecast that is no number in one slot has no score.
    slots.loc[1, "common_log_loss"] = math.nan
    assert summarise_common(slots) == pytest.approx(
        expected | {"common_cross_entropy": math.nan}, nan_ok=True
    )


def test_of_errors_less_is_better_and_of_hits_more() -> None:
    less = {"cross_entropy", "rmse", "mae"}
    assert {score for score, more in SCORES.items() if not more} == less


def test_two_forecasts_without_a_loss_are_level() -> None:
    assert score_ratio([losses(0, 0)], losses(0, 0)) == (1, 1, 1)


def test_common_movies_are_scored_on_their_own() -> None:
    series = series_of(log_of((1, 7, 5), (1, 8, 3), (1, 9, 1), (2, 7, 4), (2, 8, 0), (2, 9, 4)))
    forecast = (2, np.array([0, 1, 2]), array(0.6, 0.3, 0.1))
    (row,) = score_forecasts(series, [forecast], range(1, 2), common=2).to_dict("records")
    alone = score_slot(array(0.6, 0.3), array(4, 0), 8)
    assert row["common_covered"] == 4
    found = {part: row[f"common_{part}"] for part in ("log_loss", "squared_error", "candidates", "hits_5")}
    assert found == {part: alone[part] for part in found}
