"""Learned baselines: what they are fitted on, that they learn, and that they see no later slot."""

import json
import math
import runpy
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

import evaluate_learned
from popularity import tables
from popularity.features import Features
from popularity.forecasters import averages, regressions, trees
from popularity.forecasters.base import FittingData, Forecaster, LearnedMethod, forecast_slots, method_of
from popularity.forecasters.fitted import FittedBaseline
from popularity.forecasters.mixture import mixture_forecaster
from popularity.forecasters.rows import FittingTable, draw_rows, exponential_forecaster
from popularity.program import Fault
from popularity.scoring.scores import score_forecasts, summarise
from popularity.series import Series, read_series
from popularity.settings.baselines import Baseline
from popularity.settings.fields import as_json
from small_forecasters import ewma, fixed, offset_on
from small_logs import FIRST_SLOT, catalogue_of, log_of, random_log, series_of, write_sequences

LOG = random_log(60, movies=25, seed=5)
LAST = int(LOG["slot"].max())
SLOTS = {
    "training": range(FIRST_SLOT, FIRST_SLOT + 42),
    "validation": range(FIRST_SLOT + 42, FIRST_SLOT + 51),
    "test": range(FIRST_SLOT + 51, LAST + 1),
}
MIX: dict[str, Any] = {"method": "ewma_mix", "short": [1, 5], "long": [3, 40], "weights": [0.3, 0.8]}
SPECS: dict[str, dict[str, Any]] = {
    "ridge": {"method": "ridge", "lags": 5, "penalties": [0.1, 10]},
    "glm": {
        "method": "poisson_glm",
        "features": ["ewma_2", "ewma_20", "log_idle", "genres"],
        "offset": "none",
        "penalties": [0.001, 1],
    },
    "glm_offset": {
        "method": "poisson_glm",
        "features": ["log_requests", "log_idle"],
        "offset": "ewma_mix",
        "penalties": [0.01],
    },
    "trees": {"method": "lightgbm", "features": ["ewma_2", "ewma_20", "log_idle"], "offset": "none"},
    "trees_offset": {"method": "lightgbm", "features": ["log_idle", "log_age"], "offset": "ewma_mix"},
}


@pytest.fixture(autouse=True, scope="module")
def few_rows_suffice() -> Any:
    """Let trees split the few rows there are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(trees.TREES, "min_data_in_leaf", 10)
        yield


def build(log: pd.DataFrame, name: str, seed: int = 1) -> tuple[Series, Forecaster, Any]:
    series = series_of(log)
    offset = None
    if SPECS[name].get("offset") == "ewma_mix":
        offset = offset_on(series, SLOTS["validation"], **MIX)
    training, validation = SLOTS["training"], SLOTS["validation"]
    data = FittingData(series, catalogue_of(LOG), "day", training, validation, offset, (), seed, 1)
    method = method_of(Baseline.from_json({**SPECS[name], "training_rows": 800}), LearnedMethod)
    fitted = method.fit(data)
    return series, method.forecaster(data, fitted), fitted.chosen


def score(series: Series, forecaster: Forecaster, part: str) -> dict[str, float]:
    slots = series.requested_slots(SLOTS[part])
    return summarise(score_forecasts(series, forecast_slots(forecaster, series, slots)))


def cells(series: Series, slots: range) -> dict[tuple[int, int], float]:
    return {
        (slot, movie): label
        for slot in series.requested_slots(slots).tolist()
        for movie, label in zip(
            series.candidates(slot).tolist(),
            series.labels(series.candidates(slot), slot).tolist(),
            strict=True,
        )
    }


@pytest.mark.parametrize("count", [50, 300, 500, 5000])
def test_rows_are_pairs_of_a_slot_and_a_candidate_and_stand_for_all_of_them(count: int) -> None:
    series = series_of(LOG)
    rows = draw_rows(series, SLOTS["training"], count, np.random.default_rng(1))
    every = cells(series, SLOTS["training"])
    drawn = list(zip(rows.slot.tolist(), rows.movie.tolist(), strict=True))
    assert len(set(drawn)) == len(drawn) <= max(count, 1)
    assert rows.label.tolist() == [every[pair] for pair in drawn]
    requested = rows.label > 0
    positives = sum(label > 0 for label in every.values())
    assert requested.sum() == min(positives, count // 2)
    assert rows.weight[requested].sum() == pytest.approx(positives)
    assert rows.weight[~requested].sum() == pytest.approx(len(every) - positives)


def test_drawn_rows_of_a_slot_without_requests_are_none() -> None:
    series = series_of(log_of((1, 7, 2), (3, 7, 2), (3, 8, 1), (9, 7, 4)))
    rows = draw_rows(series, range(1, 9), 100, np.random.default_rng(1))
    assert list(zip(rows.slot.tolist(), rows.movie.tolist(), rows.label, strict=True)) == [(3, 0, 2)]
    assert not len(draw_rows(series, range(4, 9), 100, np.random.default_rng(1)).slot)


@pytest.mark.parametrize("name", SPECS)
def test_forecasts_are_shares_better_than_an_even_one(name: str) -> None:
    series, forecaster, _ = build(LOG, name)
    movies = series.candidates(LAST)
    shares = forecaster(LAST, movies)
    assert (shares >= 0).all()
    assert 0.5 < shares.sum() < 2 if name == "ridge" else shares.sum() == pytest.approx(1)
    even = score(series, fixed(series, "all_zero"), "test")
    assert score(series, forecaster, "test")["cross_entropy"] < even["cross_entropy"] - 0.1


def test_a_pattern_that_no_average_knows_is_learned() -> None:
    # Every movie is requested in each second slot; an average takes all for equally frequent.
    log = log_of(*((FIRST_SLOT + slot, movie, 4) for slot in range(60) for movie in range(slot % 2, 20, 2)))
    series = series_of(log)
    average = ewma(series, 20.0)
    for name in ("ridge", "trees_offset"):
        _, forecaster, _ = build(log, name)
        gain = (
            score(series, average, "test")["cross_entropy"]
            - score(series, forecaster, "test")["cross_entropy"]
        )
        assert gain > 0.3, name


def test_without_a_tree_the_forecast_is_the_offset() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "MOST_ROUNDS", 1)
        patch.setitem(trees.TREES, "learning_rate", 1e-12)
        series, forecaster, chosen = build(LOG, "trees_offset")
    assert chosen == {"rounds": 1}
    average = offset_on(series, SLOTS["validation"], **MIX)
    assert average is not None
    movies = series.candidates(LAST)
    expected = mixture_forecaster(series, average)(LAST, movies)
    assert forecaster(LAST, movies) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_is_the_best_of_the_validation_rows() -> None:
    pattern = log_of(
        *((FIRST_SLOT + slot, movie, 4) for slot in range(60) for movie in range(slot % 2, 20, 2))
    )
    # From slot 42 on the movies are requested at random: what was learned before is best forgotten.
    draw = np.random.default_rng(1)
    changed = (
        pattern.assign(
            movieId=np.where(
                pattern["slot"] < SLOTS["validation"].start,
                pattern["movieId"],
                draw.integers(0, 20, len(pattern)),
            )
        )
        .groupby(["slot", "movieId"], as_index=False)
        .agg({"label": "sum", "avg_rating": "mean"})
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS["ridge"], "penalties", [1e-6, 1e9])
        assert build(pattern, "ridge")[2] == {"penalty": 1e-6}
        assert build(changed, "ridge")[2] == {"penalty": 1e9}


def test_a_row_of_a_poisson_regression_counts_as_often_as_its_weight_says() -> None:
    draw = np.random.default_rng(1)
    columns, base = draw.normal(3, 2, (90, 2)), draw.normal(-3, 0.5, 90)
    requests, weight = draw.integers(20, 90, 90).astype(float), draw.integers(1, 5, 90).astype(float)
    label = draw.poisson(requests * np.exp(base + 0.3 * columns[:, 0])).astype(float)
    # The heavier a row, the further it is from the others.
    columns[:, 1] += 3 * weight
    rows = np.repeat(np.arange(90), weight.astype(int))
    weighted = FittingTable(columns, base, requests, label, weight)
    parts = (part[rows] for part in (columns, base, requests, label, np.ones(90)))
    repeated = FittingTable(*parts)
    scores = []
    for table in (weighted, repeated):
        fitted = regressions._fit_poisson(table, table, [0.5, 1e6])
        assert fitted.chosen == {"penalty": 0.5}
        scores.append(regressions.Line.of(fitted)(columns))
    assert scores[0] == pytest.approx(scores[1], rel=1e-6)
    assert regressions.poisson_loss(weighted, scores[0]) == pytest.approx(
        regressions.poisson_loss(repeated, scores[0][rows])
    )


@pytest.mark.parametrize("size", [900.0, -900.0])
def test_scores_of_any_size_give_shares(size: float) -> None:
    series = series_of(log_of((1, 7, 1), (1, 8, 3), (2, 7, 1)))
    features = Features(series, np.full(2, np.nan), ["label_n"], "day", 1, "calendar", None)
    shares = exponential_forecaster(features, lambda columns: np.array([size, size + math.log(3)]))
    assert shares(3, np.arange(2)) == pytest.approx([0.25, 0.75])


def test_busy_slots_count_more_in_a_ridge_regression_and_in_its_choice_of_a_penalty() -> None:
    # Busy slots repeat the shares of the slot before, and as many quiet ones turn them round.
    rows, first = [], 0
    for slot in range(60):
        many = 10 if slot % 2 else 1
        first = first if slot % 2 else 1 - first
        rows += [(FIRST_SLOT + slot, first, 3 * many), (FIRST_SLOT + slot, 1 - first, many)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SPECS, "ridge", {"method": "ridge", "lags": 1, "penalties": [1e-6, 1e9]})
        series, forecaster, chosen = build(log_of(*rows), "ridge")
    assert chosen == {"penalty": 1e-6}
    # By the weights 10 and 1 the slope is 9 / 11, and without them 0.
    before = series.shares(np.arange(2), LAST - 1)
    assert forecaster(LAST, np.arange(2)) == pytest.approx(0.5 + (before - 0.5) * 9 / 11, abs=0.01)


@pytest.mark.parametrize("name", SPECS)
def test_the_same_seed_gives_the_same_forecast_and_another_seed_another(name: str) -> None:
    made = []
    for seed in (1, 1, 2):
        series, forecaster, _ = build(LOG, name, seed)
        made.append(forecaster(LAST, series.candidates(LAST)).tolist())
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.mark.parametrize("name", SPECS)
def test_no_forecast_depends_on_its_slot_or_later_ones(name: str) -> None:
    now = SLOTS["test"].start
    future = LOG["slot"] >= now
    logs = [
        LOG,
        LOG.assign(label=LOG["label"].where(~future, LOG["label"] * 100)),
        LOG[~future | (LOG.index % 3 == 0)],
        pd.concat([LOG, pd.DataFrame({"slot": [now], "movieId": [3], "label": 50, "avg_rating": 1.0})]),
    ]
    made = []
    for log in logs:
        series, forecaster, chosen = build(log, name)
        movies = series.candidates(now)
        made.append([chosen, series.movie_ids[movies].tolist(), forecaster(now, movies).tolist()])
    assert made[1:] == made[:1] * 3


def test_the_program_scores_both_parts(tmp_path: Path) -> None:
    write_sequences(tmp_path / "sequences.parquet", LOG, 4)
    tables.write(tmp_path / "movies.parquet", catalogue_of(LOG))
    spec = {"baseline": {**SPECS["glm_offset"], "training_rows": 800}, "slot": "day", "offset": MIX}
    spec["split"] = {"validation": 0.15, "test": 0.15}
    options = ["--sequences", tmp_path / "sequences.parquet", "--movies", tmp_path / "movies.parquet"]
    modules = [Path(module.__file__ or "") for module in (averages, regressions)]
    options += ["--methods", *modules, "--name", "glm", "--settings", json.dumps(spec), "--seed", 3]
    options += ["--scores", tmp_path / "scores.parquet", "--metrics", tmp_path / "metrics.json"]
    options += ["--predictions", tmp_path / "predictions.parquet", "--fitted", tmp_path / "fitted.json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluate_learned", *map(str, options)])
        runpy.run_path(evaluate_learned.__file__, run_name="__main__")
    scored = pd.read_parquet(tmp_path / "scores.parquet")
    assert set(scored["split"]) == {"validation", "test"}
    assert scored[["name", "kind", "seed"]].drop_duplicates().values.tolist() == [["glm", "learned", 3]]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    series = read_series(tmp_path / "sequences.parquet", "day")
    parts = {"validation": range(FIRST_SLOT + 42, FIRST_SLOT + 51)}
    assert metrics["offset_weights"] == as_json(offset_on(series, parts["validation"], **MIX))
    tested = summarise(scored[scored["split"] == "test"])
    assert metrics["test"]["cross_entropy"] == pytest.approx(tested["cross_entropy"])
    assert metrics["penalty"] == 0.01
    assert metrics["intervals"]["dispersion"] > 0
    # What is kept forecasts the log anew, as it was predicted.
    kept = FittedBaseline.open(tmp_path)
    assert (kept.name, kept.seed) == ("glm", 3)
    forecaster = kept.kept.forecaster(series, catalogue_of(LOG), 1)
    predicted = pd.read_parquet(tmp_path / "predictions.parquet")
    requested = series.requested_slots(SLOTS["test"])
    assert predicted["slot"].unique().tolist() == requested.tolist()
    for slot, rows in predicted.groupby("slot"):
        movies = series.candidates(int(str(slot)))
        assert rows["movieId"].tolist() == series.movie_ids[movies].tolist()
        assert rows["predicted"].tolist() == forecaster(int(str(slot)), movies).tolist()
    (tmp_path / "fitted.json").write_text('{"name": 1}')
    with pytest.raises(Fault, match=r"fitted\.json: no baseline that evaluate_learned fitted"):
        FittedBaseline.open(tmp_path)


def test_what_the_offset_tells_already_is_no_pattern_to_learn() -> None:
    # Movies keep their shares, which the average tells: a count without its exposure would tell them twice.
    draw = np.random.default_rng(2)
    rates = np.repeat([1.0, 4.0, 16.0, 64.0], 5)
    log = log_of(
        *(
            (FIRST_SLOT + slot, movie, count)
            for slot in range(60)
            for movie, count in enumerate(draw.poisson(rates) if slot else rates.astype(int))
            if count
        )
    )
    for name in ("glm_offset", "trees_offset"):
        series, forecaster, _ = build(log, name)
        shares = forecaster(LAST, series.candidates(LAST))
        assert shares == pytest.approx(rates / rates.sum(), rel=0.4), name


def test_no_share_is_negative_where_a_line_would_go_below_0() -> None:
    # Each second slot has requests for the one half or the other, by chance some more.
    draw = np.random.default_rng(1)
    log = log_of(
        *(
            (FIRST_SLOT + slot, movie, int(draw.integers(1, 30)))
            for slot in range(60)
            for movie in range(slot % 2, 20, 2)
        )
    )
    series, forecaster, _ = build(log, "ridge")
    shares = np.concatenate([forecaster(slot, series.candidates(slot)) for slot in SLOTS["test"]])
    assert shares.min() == 0
    assert (shares == 0).sum() > 1


@pytest.mark.parametrize("name", ["trees", "trees_offset"])
def test_trees_are_grown_with_the_seed_and_threads_that_are_given(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    train = lightgbm.train

    def watched(parameters: dict[str, Any], *rest: Any, **others: Any) -> lightgbm.Booster:
        seen.append(parameters)
        return train(parameters, *rest, **others)

    monkeypatch.setattr("lightgbm.train", watched)
    build(LOG, name, seed=5)
    assert [(one["seed"], one["num_threads"]) for one in seen] == [(5, 1)]
    assert all(one["deterministic"] for one in seen)
