"""The leaderboard: ratios to the best naive forecast and to the mix, classes of movies, and folds."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from compare_models import compare_best, compare_by_class, compare_models
from popularity.forecasters.base import forecast_slots
from popularity.scoring.classes import CLASSES
from popularity.scoring.scores import (
    COMPARED_SCORES,
    score_forecasts,
    score_ratio,
    summarise,
    summarise_classes,
)
from popularity.series import Series, split_slots
from popularity.settings.slots import FoldSplit
from small_forecasters import tuned
from small_logs import random_log, series_of

SERIES = series_of(random_log(80, movies=30, seed=4))
MIX: dict[str, Any] = {"method": "ewma_mix", "short": [2], "long": [20], "weights": [0.5]}
SPECS: dict[str, dict[str, Any]] = {
    "ewma_mix": MIX,
    "lfu": {"method": "all_time_count"},
    "last_value": {"method": "last_value"},
    "knows": {"method": "oracle"},
}


def scored(series: Series, fold: int = 0, names: tuple[str, ...] = tuple(SPECS)) -> pd.DataFrame:
    """Scores of baselines, and of a network with two seeds that is the mix a bit changed."""
    parts = split_slots(series, FoldSplit(0.15, 0.15, fold))
    tables = []
    for part in ("validation", "test"):
        slots = series.requested_slots(parts[part])
        for name in names:
            forecaster = tuned(series, parts["validation"], **SPECS[name])[0]
            kind = "reference" if name == "knows" else "naive"
            table = score_forecasts(series, forecast_slots(forecaster, series, slots), parts["training"])
            tables.append(table.assign(name=name, kind=kind, seed=0, split=part))
        for seed in (1, 2):
            mix = tuned(series, parts["validation"], **MIX)[0]
            draw = np.random.default_rng(seed)
            forecasts = [
                (slot, movies, shares * draw.uniform(0.5, 1.5, len(shares)))
                for slot, movies, shares in forecast_slots(mix, series, slots)
            ]
            table = score_forecasts(series, forecasts, parts["training"])
            tables.append(table.assign(name="net", kind="network", seed=seed, split=part))
    return pd.concat(tables)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return scored(SERIES)


def of(rows: pd.DataFrame, name: str) -> list[pd.DataFrame]:
    tested = rows[(rows["name"] == name) & (rows["split"] == "test")]
    return [table for _, table in tested.groupby("seed")]


def test_ratios_are_to_the_best_naive_forecast_and_to_the_mix(rows: pd.DataFrame) -> None:
    board = compare_models(rows).set_index("name")
    validation = board.loc[board["kind"] == "naive", "validation_cross_entropy"]
    best = str(validation.idxmin())
    for suffix, rival in (("", best), ("_to_mix", "ewma_mix")):
        for score in COMPARED_SCORES:
            column = f"{score}_ratio{suffix}"
            bounds = [f"{column}_low", f"{column}_high"]
            if column == "cross_entropy_ratio":
                bounds = ["ratio_low", "ratio_high"]
            for name in board.index:
                expected = score_ratio(of(rows, name), of(rows, rival)[0], score)
                assert tuple(board[[column, *bounds]].loc[name]) == pytest.approx(expected)
            assert tuple(board[[column, *bounds]].loc[rival]) == (1, 1, 1)
    assert board["cross_entropy_ratio_to_mix"]["net"] > 1
    assert board.index[-1] == "knows"


def test_without_a_mix_there_is_no_ratio_to_it() -> None:
    board = compare_models(scored(SERIES, names=("lfu", "last_value")))
    assert board.filter(like="_to_mix").isna().all(axis=None)
    assert board["cross_entropy_ratio"].notna().all()


def test_a_leaderboard_of_several_folds_is_of_all_their_test_slots(rows: pd.DataFrame) -> None:
    both = pd.concat([rows, scored(SERIES, fold=1), scored(SERIES, fold=2)])
    board = compare_models(both).set_index("name")
    for name in SPECS:
        (table,) = of(both, name)
        assert table["slot"].is_unique
        assert len(table) > 2.5 * len(of(rows, name)[0])
        assert board.loc[name, "rmse"] == pytest.approx(summarise(table)["rmse"])
    assert board.loc["net", "seeds"] == 2


def test_scores_by_class_are_means_over_seeds(rows: pd.DataFrame) -> None:
    without = rows[rows["name"] != "lfu"]
    # A forecaster whose scores know no classes.
    plain = rows[rows["name"] == "lfu"].drop(columns=[f"requests_{name}" for name in CLASSES])
    table = compare_by_class(pd.concat([without, plain])).set_index(["name", "class"])
    assert set(table.index.get_level_values("name")) == {"ewma_mix", "last_value", "knows", "net"}
    seeds = [summarise_classes(seed).set_index("class") for seed in of(rows, "net")]
    for name in CLASSES:
        for score in ("cross_entropy", "rmse", "hit_ratio_5", "request_share"):
            expected = np.mean([seed.loc[name, score] for seed in seeds])
            assert table.loc[("net", name), score] == pytest.approx(expected)
    assert table["request_share"][("net", "never")] > 0
    assert table["rmse"]["knows"].dropna().tolist() == pytest.approx([0] * len(CLASSES))


def test_the_best_of_each_kind_by_validation_are_compared_for_each_class(rows: pd.DataFrame) -> None:
    trees = rows[rows["name"] == "lfu"].assign(name="trees", kind="learned", seed=3)
    epoch = rows[rows["name"] == "knows"].assign(name="net_2", kind="network")
    # An earlier epoch's row is no network that forecasts, whatever its scores.
    both = pd.concat([rows, trees, epoch])
    best = compare_best(both, ["net"])
    validation = compare_models(rows).set_index("name")["validation_cross_entropy"]
    naive = str(validation[["ewma_mix", "lfu", "last_value"]].idxmin())
    pairs = best[["name", "kind", "rival", "rival_kind"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [
        ["net", "network", naive, "naive"],
        ["net", "network", "trees", "learned"],
        ["trees", "learned", naive, "naive"],
    ]
    for (name, rival), table in best.groupby(["name", "rival"]):
        assert table["movies"].tolist() == ["all", *CLASSES]
        found = table.set_index("movies")
        assert found["request_share"].iloc[1:].sum() == pytest.approx(found["request_share"]["all"])
        ours, theirs = of(both, str(name)), of(both, str(rival))
        expected = score_ratio(ours, theirs[0])
        assert tuple(found.loc["all", ["ratio", "low", "high"]]) == pytest.approx(expected)
        for movies in CLASSES:
            mean = np.mean([seed[f"log_loss_{movies}"].sum() for seed in ours])
            ratio = mean / theirs[0][f"log_loss_{movies}"].sum()
            made, low, high = (float(found[column][movies]) for column in ("ratio", "low", "high"))
            assert made == pytest.approx(ratio)
            assert low <= made <= high


def test_a_network_of_fewer_movies_is_compared_over_those_that_both_cover(rows: pd.DataFrame) -> None:
    common = {
        f"common_{part}": rows[part] for part in ("log_loss", "covered", "squared_error", "candidates")
    }
    some = rows.assign(**common)
    few = some["name"] == "net"
    some["covered"] = some["covered"].where(~few, 0.5 * some["covered"])
    best = compare_best(some, ["net"])
    assert best["movies"].tolist() == ["common"]
    naive = of(some, best["rival"].iloc[0])[0]
    expected = score_ratio(of(rows, "net"), naive)
    assert tuple(best.loc[0, ["ratio", "low", "high"]]) == pytest.approx(expected)
