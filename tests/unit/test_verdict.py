"""The best forecast, and whether it is clearly better."""

import math

import pandas as pd
import pytest

from popularity.scoring.verdict import best_on_validation, judge, outcome


def scored(
    name: str, validation: float, test: float = 1, kind: str = "network", seed: int = 0, covered: float = 1
) -> pd.DataFrame:
    """Scores of a forecaster whose loss in each of two slots is given."""
    rows = pd.DataFrame(
        {"log_loss": [validation * covered, test * covered], "split": ["validation", "test"]}
    )
    return rows.assign(name=name, kind=kind, seed=seed, requests=1.0, covered=covered)


def test_the_best_forecast_is_chosen_by_validation_over_its_seeds() -> None:
    rows = [scored("lucky", 1, 9, seed=1), scored("lucky", 9, 1, seed=2)]
    rows += [scored("good", 3, 5, seed=1), scored("good", 4, 5, seed=2)]
    rows += [scored("late", 6, 0, seed=1), scored("late", 6, 0, seed=2)]
    assert best_on_validation(pd.concat(rows), ["lucky", "good", "late"]) == "good"


def test_a_forecast_of_one_seed_may_be_the_best() -> None:
    rows = [scored("once", 1), scored("twice", 2, seed=1), scored("twice", 2, seed=2)]
    assert best_on_validation(pd.concat(rows), ["once", "twice"]) == "once"
    # Nor is it the best as its losses are fewer.
    rows = [scored("once", 3), scored("twice", 2, seed=1), scored("twice", 2, seed=2)]
    assert best_on_validation(pd.concat(rows), ["once", "twice"]) == "twice"


def test_a_reference_is_never_the_best_nor_a_forecast_that_is_not_asked_for() -> None:
    rows = [scored("a", 2, kind="naive"), scored("b", 1), scored("all", 0, kind="reference")]
    assert best_on_validation(pd.concat(rows), ["a", "b", "all"]) == "b"
    assert best_on_validation(pd.concat(rows), ["a", "all"]) == "a"


def test_a_forecast_that_covers_fewer_movies_is_the_best_only_among_its_like() -> None:
    # By its losses alone, few would be the best in the forecast and the cache alike.
    rows = [scored("good", 3), scored("naive", 4, kind="naive"), scored("few", 0.5, covered=0.9)]
    rows += [scored("fewer_losses", 0.7, covered=0.9)]
    assert best_on_validation(pd.concat(rows), ["good", "naive", "few"]) == "good"
    assert best_on_validation(pd.concat(rows), ["few", "fewer_losses"]) == "few"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.9, 0.99, "better"),
        (0.9, 1.0, "level"),
        (1.01, 1.2, "worse"),
        (1.0, 1.2, "level"),
        (math.nan, math.nan, "level"),
    ],
)
def test_an_interval_on_one_side_is_an_outcome(low: float, high: float, expected: str) -> None:
    assert outcome(low, high, 1) == expected
    opposite = {"better": "worse", "worse": "better", "level": "level"}
    assert outcome(low, high, 1, more_is_better=True) == opposite[expected]


def board() -> pd.DataFrame:
    rows = [
        ("lucky", "network", 5.9, 6.4, 1.0, 0.98, 0.97, 0.99),
        ("few", "network", 5.0, 5.0, 0.8, 0.97, 0.96, 0.98),
        ("gru", "network", 6.0, 6.0, 1.0, 0.99, 0.985, 0.995),
        ("trees", "learned", 6.1, 6.1, 1.0, 1.0, 0.99, 1.01),
        ("other", "naive", 6.2, 6.2, 1.0, 1.02, 1.01, 1.03),
        ("average", "naive", 6.3, 6.1, 1.0, 1.0, 1.0, 1.0),
        ("oracle", "reference", 3.0, 3.0, 1.0, 0.5, 0.5, 0.5),
    ]
    columns = ["name", "kind", "cross_entropy", "validation_cross_entropy", "covered_share"]
    return pd.DataFrame(rows, columns=[*columns, "cross_entropy_ratio", "ratio_low", "ratio_high"])


def test_the_model_that_the_validation_slots_choose_is_judged_by_its_ratio_to_the_naive_forecast() -> None:
    # Of those that cover all movies; what is the best of the test slots is so by chance, too.
    verdict = judge(board())
    assert verdict is not None
    assert (verdict.model["name"], verdict.naive["name"]) == ("gru", "average")
    assert (verdict.ratio, verdict.low, verdict.high) == (0.99, 0.985, 0.995)
    assert (verdict.outcome, verdict.change) == ("better", "1 %")
    named = judge(board(), "trees")
    assert named is not None
    assert (named.model["name"], named.outcome) == ("trees", "level")
    assert judge(board(), "none") is None


@pytest.mark.parametrize("kinds", [["network", "learned"], ["naive"]])
def test_there_is_no_verdict_without_a_model_or_a_naive_forecast(kinds: list[str]) -> None:
    table = board()
    assert judge(table[~table["kind"].isin(kinds)]) is None
    assert judge(table.drop(columns="ratio_low")) is None
