"""The programs from training to forecast, on a small log: what they write and how they fail."""

import json
import math
import os
import re
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import compare_models
from popularity import tables
from popularity.features import genre_names
from popularity.forecasters.base import forecast_slots
from popularity.forecasters.network import inference, saved
from popularity.offsets import Average
from popularity.scoring import intervals
from popularity.scoring.scores import COMPARED_SCORES, SCORES
from popularity.settings.fields import as_json, parse
from popularity.settings.model import TrainingSettings
from small_forecasters import ewma
from small_logs import FIRST_SLOT, catalogue_of, log_of, random_log, series_of, write_sequences
from small_models import BASELINES, MODELS, SPLIT, call, command, modules, settings_of, training

LOG = random_log(60, movies=25, seed=5)
LAST = int(LOG["slot"].max())
LENGTH = round(0.15 * (LAST - FIRST_SLOT + 1))
TESTED = range(LAST - LENGTH + 1, LAST + 1)
VALIDATED = range(TESTED.start - LENGTH, TESTED.start)
COUNTS = LOG[LOG["slot"] < VALIDATED.start].groupby("movieId")["label"].sum()
#: The most requested movies of the training slots.
TOP = sorted(COUNTS.sort_values(ascending=False, kind="stable").index[:8].tolist())
#: The model that is read at two epochs, and its rows.
JOINT = ["joint", "joint_1", "joint_3"]
RUNS = [("course", 1), ("joint", 1), ("soft", 1), ("soft", 2)]
METHODS = modules("averages", "references", "regressions", "simple")
#: A baseline that is fitted, with one seed.
FITTED = {"method": "ridge", "lags": 3, "penalties": [10], "training_rows": 400}


def forecasting(folder: Path, out: Path, runs: list[tuple[str, int]] = RUNS) -> list[object]:
    options: list[object] = ["--movies", folder / "movies.parquet", "--forecast", out]
    options += ["--check", out.with_name("forecast_check.json")]
    options += ["--sequences", folder / "4.parquet", "--slot", "day"]
    options += ["--baselines", json.dumps(BASELINES), "--methods", *METHODS]
    options += ["--split", json.dumps(SPLIT)]
    options += ["--scores", folder / "scores.parquet", "--metrics", folder / "metrics.json"]
    return [*options, "--runs", *(folder / name / str(seed) for name, seed in runs)]


pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the programs make of the log."""
    folder = tmp_path_factory.mktemp("results")
    tables.write(folder / "movies.parquet", catalogue_of(LOG))
    for window in (3, 4):
        write_sequences(folder / f"{window}.parquet", LOG, window)
    for name, seed in RUNS:
        out = folder / name / str(seed)
        call("train_model", *training(folder, name, seed, out))
        options = ["--sequences", folder / f"{MODELS[name]['window']}.parquet"]
        options += ["--movies", folder / "movies.parquet", "--run", out]
        options += ["--predictions", out / "predictions.parquet"]
        options += ["--scores", out / "scores.parquet", "--metrics", out / "metrics.json"]
        call("evaluate_model", *options, "--common", 8)
    options = ["--sequences", folder / "4.parquet", "--baselines", json.dumps(BASELINES)]
    options += ["--methods", *modules("averages", "references", "simple")]
    options += ["--split", json.dumps(SPLIT), "--scores", folder / "scores.parquet", "--common", 8]
    call("evaluate_baselines", *options, "--slot", "day", "--metrics", folder / "metrics.json")
    out = folder / "ridge" / "1"
    settings = json.dumps({"baseline": FITTED, "offset": None, "slot": "day", "split": SPLIT})
    options = ["--sequences", folder / "4.parquet", "--movies", folder / "movies.parquet"]
    options += ["--methods", *METHODS, "--name", "ridge", "--settings", settings, "--seed", 1]
    options += ["--scores", out / "scores.parquet", "--metrics", out / "metrics.json"]
    options += ["--predictions", out / "predictions.parquet", "--fitted", out / "fitted.json"]
    call("evaluate_learned", *options, "--common", 8)
    scores = [folder / name / str(seed) / "scores.parquet" for name, seed in RUNS]
    options = ["--scores", folder / "scores.parquet", *scores]
    options += ["--leaderboard", folder / "leaderboard.csv", "--by-class", folder / "by_class.csv"]
    options += ["--networks", *MODELS, "--best", folder / "best.csv"]
    call("compare_models", *options)
    call("forecast_next_slot", *forecasting(folder, folder / "forecast.csv"))
    return folder


def metrics(folder: Path, name: str, seed: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(
        (folder / name / str(seed) / "metrics.json").read_text()
    )
    return found


def test_training_writes_history_and_resolved_settings(folder: Path) -> None:
    for name, seed in RUNS:
        history = pd.read_csv(folder / name / str(seed) / "history.csv")
        columns = ["epoch", "loss", "val_loss", "val_cross_entropy", "val_rmse", "seconds"]
        assert history.columns.tolist() == columns
        assert history["epoch"].tolist() == list(range(1, MODELS[name]["epochs"] + 1))
        run = saved.TrainedModel.open(folder / name / str(seed))
        model = inference.load_network(folder / name / str(seed) / "model.keras")
        tuned = json.loads((folder / "metrics.json").read_text())["average"]["half_life"]
        asked = saved.Asked(name, seed, parse(TrainingSettings, settings_of(name)))
        found = saved.Found(
            validated_to=VALIDATED.stop - 1,
            offset=None if name == "course" else Average((tuned,), (1.0,)).mixture(0.02),
            covered_movies=tuple(map(str, TOP)) if name == "joint" else None,
            genre_names=tuple(genre_names(catalogue_of(LOG))) if name == "soft" else None,
            seasons=(7,) if name == "soft" else (),
            best_epoch=int(history["val_loss"].argmin()) + 1,
            parameters=sum(weight.size for weight in model.get_weights()),
            correction=run.found.correction,
        )
        assert 0 <= run.found.correction <= 1
        assert (run.name, run.asked, run.found) == (name, asked, found)
        record = json.loads((folder / name / str(seed) / "run.json").read_text())
        assert record["settings"] == {**as_json(asked), **as_json(found)}
        assert record["environment"]["KERAS_HOME"] == os.devnull
        read = dict(run.snapshots())
        assert list(read) == MODELS[name].get("score_at_epochs", [])
    # Of the last epoch, where training does not stop early.
    assert all(map(np.array_equal, read_at_end(folder), last_weights(folder)))


def read_at_end(folder: Path) -> list[np.ndarray]:
    return dict(saved.read_snapshots(folder / "joint" / "1" / "snapshots.npz"))[3]


def last_weights(folder: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = inference.load_network(folder / "joint" / "1" / "model.keras").get_weights()
    return weights


def test_another_process_trains_the_same_weights(folder: Path, tmp_path: Path) -> None:
    ended = command("train_model", *training(folder, "soft", 1, tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "soft: epoch 3 of 3, loss " in ended.stderr
    paths = [tmp_path, folder / "soft" / "1", folder / "soft" / "2"]
    again, one, other = (inference.load_network(path / "model.keras").get_weights() for path in paths)
    assert all(map(np.array_equal, again, one))
    assert not all(map(np.array_equal, again, other))
    history = [pd.read_csv(path / "history.csv").drop(columns="seconds") for path in paths]
    assert history[0].equals(history[1])


@pytest.mark.parametrize(("name", "seed"), RUNS)
def test_predictions_are_of_every_candidate_of_the_test_slots(folder: Path, name: str, seed: int) -> None:
    table = pq.read_table(folder / name / str(seed) / "predictions.parquet")
    assert table.schema == tables.PREDICTIONS
    rows = table.to_pandas()
    requests = LOG.groupby("slot")["label"].sum()
    tested = [slot for slot in requests.index if slot in TESTED]
    first = LOG.groupby("movieId")["slot"].min()
    if name == "joint":
        first = first[TOP]
    expected = [(slot, movie) for slot in tested for movie in first.index[first < slot]]
    assert list(zip(rows["slot"], rows["movieId"], strict=True)) == expected
    counts = LOG.set_index(["slot", "movieId"])["label"].reindex(expected, fill_value=0)
    assert rows["label_n"].tolist() == (counts / requests[rows["slot"]].to_numpy()).tolist()
    if name == "soft":
        assert rows.groupby("slot")["predicted"].sum().tolist() == pytest.approx(
            [1] * len(tested), abs=1e-9
        )


def rescored(rows: pd.DataFrame) -> dict[str, float]:
    """Scores of predictions from their definitions, in pandas."""
    requests = LOG.groupby("slot")["label"].sum()
    rows = rows.assign(count=(rows["label_n"] * rows["slot"].map(requests)).round())
    by_slot = rows.groupby("slot")
    positive = rows["predicted"].clip(lower=0)
    even = 1 / by_slot["movieId"].transform("size")
    # Where nothing positive is predicted, all movies are as likely.
    share = (positive / positive.groupby(rows["slot"]).transform("sum")).fillna(even)
    q = 0.999 * share + 0.001 * even
    error = rows["predicted"] - rows["label_n"]
    tested = requests[rows["slot"].unique()].sum()
    scores = {
        "cross_entropy": -(rows["count"] * np.log(q)).sum() / rows["count"].sum(),
        "rmse": math.sqrt((error**2).mean()),
        "mae": error.abs().mean(),
        "unseen_share": 1 - rows["count"].sum() / tested,
    }
    ranked = rows.sort_values("predicted", ascending=False, kind="stable")
    for percent in (1, 5, 10):
        hits = sum(
            group["count"].head(math.ceil(percent * len(group) / 100)).sum()
            for _, group in ranked.groupby("slot")
        )
        scores[f"hit_ratio_{percent}"] = hits / tested
    gains, named = [], []
    for _, group in ranked.groupby("slot"):
        true = group["count"].sort_values(ascending=False).to_numpy()[:20]
        discounts = 1 / np.log2(np.arange(2, len(true) + 2))
        gains.append(group["count"].to_numpy()[:20] @ discounts / (true @ discounts))
        named.append((group["count"].head(20) >= true[-1]).mean())
    return scores | {"ndcg_20": np.mean(gains), "top_20_accuracy": np.mean(named)}


@pytest.mark.parametrize("seed", [1, 2])
def test_scores_are_those_of_the_predictions(folder: Path, seed: int) -> None:
    rows = pd.read_parquet(folder / "soft" / str(seed) / "predictions.parquet")
    # No equal predictions, so that there is one order alone to score.
    assert not rows.duplicated(["slot", "predicted"]).any()
    tested = metrics(folder, "soft", seed)["test"]
    for score, value in rescored(rows).items():
        assert tested[score] == pytest.approx(value, rel=1e-9), score
    assert tested["slots"] == rows["slot"].nunique()


@pytest.mark.parametrize("name", ["course", "ridge"])
def test_errors_of_predicted_shares_are_those_of_the_predictions(folder: Path, name: str) -> None:
    again = rescored(pd.read_parquet(folder / name / "1" / "predictions.parquet"))
    tested = metrics(folder, name, 1)["test"]
    for score in ("cross_entropy", "rmse", "mae", "unseen_share"):
        assert tested[score] == pytest.approx(again[score], rel=1e-9)


def test_scores_have_a_row_for_each_slot_and_part(folder: Path) -> None:
    requests = LOG.groupby("slot")["label"].sum()
    parts = {"test": TESTED, "validation": VALIDATED}
    tables_of = [folder / name / str(seed) / "scores.parquet" for name, seed in RUNS]
    for path in [*tables_of, folder / "scores.parquet"]:
        for _, rows in pd.read_parquet(path).groupby(["name", "seed", "split"]):
            part = parts[rows["split"].iloc[0]]
            assert rows["slot"].tolist() == [slot for slot in requests.index if slot in part]
            assert rows["requests"].tolist() == requests[rows["slot"]].tolist()


def test_baselines_are_scored_beside_each_other(folder: Path) -> None:
    found = json.loads((folder / "metrics.json").read_text())
    assert {name: entry["kind"] for name, entry in found.items()} == {
        "all_zero": "naive",
        "average": "naive",
        "count": "naive",
        "knows_all": "reference",
    }
    assert found["average"]["half_life"] in BASELINES["average"]["half_lives"]
    assert set(pd.read_parquet(folder / "scores.parquet")["seed"]) == {0}
    tested = {name: entry["test"] for name, entry in found.items()}
    assert tested["knows_all"]["rmse"] == tested["knows_all"]["mae"] == 0
    assert tested["knows_all"]["ndcg_20"] == pytest.approx(1)
    predictions = pd.read_parquet(folder / "soft" / "1" / "predictions.parquet")
    assert tested["all_zero"]["mae"] == pytest.approx(predictions["label_n"].mean())


# 40 parts of some 6 validation and 6 test slots: most have none.
@pytest.mark.parametrize("shards", [3, 40])
@pytest.mark.parametrize("name", MODELS)
def test_parts_of_an_evaluation_give_the_same_bytes_together(
    name: str, shards: int, folder: Path, tmp_path: Path
) -> None:
    run = folder / name / "1"
    sequences = ["--sequences", folder / f"{MODELS[name]['window']}.parquet"]

    def outputs(at: Path) -> list[object]:
        made = ["--predictions", at / "predictions.parquet", "--scores", at / "scores.parquet"]
        return [*made, "--metrics", at / "metrics.json", "--run", run]

    parts = [tmp_path / str(shard) for shard in range(shards)]
    for shard, part in enumerate(parts):
        options = [*sequences, "--movies", folder / "movies.parquet", *outputs(part), "--common", 8]
        call("evaluate_model", *options, "--shard", f"{shard}/{shards}")
    call("gather_evaluation", *sequences, "--shards", *parts, *outputs(tmp_path))
    for file in ("predictions.parquet", "scores.parquet", "metrics.json"):
        assert (tmp_path / file).read_bytes() == (run / file).read_bytes(), file
    # They share the slots.
    shared = [pq.read_metadata(part / "predictions.parquet").num_rows for part in parts]
    assert sum(rows > 0 for rows in shared) > 2
    assert sum(shared) == pq.read_metadata(run / "predictions.parquet").num_rows


def test_leaderboard_has_a_row_for_each_model_and_baseline_the_best_first(folder: Path) -> None:
    board = pd.read_csv(folder / "leaderboard.csv")
    assert board.columns.tolist() == [
        *("name", "kind", "seeds"),
        *SCORES,
        *(f"{score}_std" for score in SCORES),
        *("validation_cross_entropy", "validation_slots", "covered_share"),
        *(f"common_{score}" for score in COMPARED_SCORES),
        *("cross_entropy_ratio", "ratio_low", "ratio_high"),
        *(f"{score}_ratio{end}" for score in list(COMPARED_SCORES)[1:] for end in ("", "_low", "_high")),
        *(f"{score}_ratio_to_mix{end}" for score in COMPARED_SCORES for end in ("", "_low", "_high")),
    ]
    assert sorted(board["name"]) == sorted([*BASELINES, *MODELS, *JOINT[1:]])
    # First those that cover all movies, then those of fewer, references last.
    assert set(board["name"].iloc[5:8]) == set(JOINT)
    assert board["name"].iloc[-1] == "knows_all"
    for group in (board.iloc[:5], board.iloc[5:8]):
        assert group["cross_entropy"].is_monotonic_increasing
    assert set(board["validation_slots"]) == {LOG.loc[LOG["slot"].isin(VALIDATED), "slot"].nunique()}
    board = board.set_index("name")
    requests = LOG[LOG["slot"].isin(TESTED)].groupby("movieId")["label"].sum()
    share = requests.reindex(TOP, fill_value=0).sum() / requests.sum()
    assert board.loc[JOINT, "covered_share"].tolist() == pytest.approx([share] * 3)
    assert board["covered_share"].drop(JOINT).nunique() == 1
    assert 0 < share < board["covered_share"]["soft"]
    assert board["kind"].to_dict() == {
        **dict.fromkeys(("all_zero", "average", "count"), "naive"),
        **dict.fromkeys([*MODELS, *JOINT], "network"),
        "knows_all": "reference",
    }
    assert board["seeds"].to_dict() == {**dict.fromkeys([*BASELINES, "course", *JOINT], 1), "soft": 2}


def test_leaderboard_gives_mean_and_spread_over_seeds(folder: Path) -> None:
    board = pd.read_csv(folder / "leaderboard.csv").set_index("name")
    first, second = (metrics(folder, "soft", seed) for seed in (1, 2))
    for score in SCORES:
        values = [first["test"][score], second["test"][score]]
        assert board.loc["soft", score] == pytest.approx(np.mean(values))
        assert board.loc["soft", f"{score}_std"] == pytest.approx(np.std(values, ddof=1))
        assert board.loc["course", score] == pytest.approx(metrics(folder, "course", 1)["test"][score])
        assert math.isnan(board[f"{score}_std"]["course"])
    validation = [run["validation"]["cross_entropy"] for run in (first, second)]
    assert board.loc["soft", "validation_cross_entropy"] == pytest.approx(np.mean(validation))
    naive = board[board["kind"] == "naive"]
    best = str(naive["validation_cross_entropy"].idxmin())
    assert [board[name][best] for name in ("cross_entropy_ratio", "ratio_low", "ratio_high")] == [1, 1, 1]
    ratio = board["cross_entropy"] / board["cross_entropy"][best]
    # Models of fewer movies are compared over these alone.
    common = board["common_cross_entropy"] / board["common_cross_entropy"][best]
    ratio[JOINT] = common[JOINT]
    assert board["cross_entropy_ratio"].tolist() == pytest.approx(ratio.tolist())
    assert (board["ratio_low"] <= board["cross_entropy_ratio"]).all()
    assert (board["ratio_high"] >= board["cross_entropy_ratio"]).all()


def made_up(
    name: str, kind: str, validation: list[float], test: list[float], seed: int = 0
) -> pd.DataFrame:
    """Scores of a forecaster whose losses in single slots are given."""
    losses = np.array([*validation, *test])
    sums = dict.fromkeys(("requests", "covered", "candidates"), 1.0)
    parts = ["validation"] * len(validation) + ["test"] * len(test)
    rows = pd.DataFrame({"slot": np.arange(len(losses)), "log_loss": losses, "split": parts})
    zeros = ["squared_error", "absolute_error", "ndcg_20", "top_20_accuracy"]
    zeros += ["hits_1", "hits_5", "hits_10"]
    return rows.assign(**sums, **dict.fromkeys(zeros, 0.0), name=name, kind=kind, seed=seed)


def test_models_are_compared_with_the_naive_forecast_that_validates_best() -> None:
    rows = [made_up("a", "naive", [2, 2], [6, 6]), made_up("b", "naive", [3, 3], [1, 1])]
    rows += [made_up("net", "network", [1, 1], [3, 3], 1), made_up("net", "network", [1, 1], [4, 4], 2)]
    rows += [made_up("all", "reference", [0, 0], [0.5, 0.5])]
    board = compare_models.compare_models(pd.concat(rows[::-1])).set_index("name")
    assert board["cross_entropy"].to_dict() == {"b": 1, "net": 3.5, "a": 6, "all": 0.5}
    assert board.index.tolist() == ["b", "net", "a", "all"]
    assert board["cross_entropy_ratio"].tolist() == pytest.approx([1 / 6, 3.5 / 6, 1, 0.5 / 6])
    assert board["validation_cross_entropy"].tolist() == [3, 1, 2, 0]


def test_earlier_epochs_are_scored_as_models_of_their_own(folder: Path) -> None:
    scored = pd.read_parquet(folder / "joint" / "1" / "scores.parquet").groupby("name")
    assert set(scored.groups) == {"joint", "joint_1", "joint_3"}
    last, first, third = (
        scored.get_group(name).drop(columns="name").reset_index(drop=True)
        for name in ("joint", "joint_1", "joint_3")
    )
    pd.testing.assert_frame_equal(last, third)
    assert not np.allclose(last["log_loss"], first["log_loss"])
    assert last["slot"].equals(first["slot"])


def test_forecast_ranks_every_movie_for_the_slot_after_the_log(folder: Path) -> None:
    forecast = pd.read_csv(folder / "forecast.csv")
    columns = ["rank", "movieId", "item", "title", "genres", "predicted_share", "expected_requests"]
    columns += ["requests_low", "requests_high", "last_share", "last_share_2", "last_share_3"]
    assert forecast.columns.tolist() == [*columns, "slot", "slot_start", "model"]
    assert sorted(forecast["movieId"]) == sorted(set(LOG["movieId"]))
    assert forecast["rank"].tolist() == list(range(1, len(forecast) + 1))
    assert forecast["predicted_share"].is_monotonic_decreasing
    assert forecast["predicted_share"].sum() == pytest.approx(1)
    assert forecast["title"].tolist() == [f"Movie {movie}" for movie in forecast["movieId"]]
    assert set(forecast["genres"]) == {"Drama"}
    assert set(forecast["slot"]) == {LAST + 1}
    # Slot k of days is the k-th day since 1970, the first being 1.
    assert set(forecast["slot_start"]) == {str(np.datetime64("1970-01-01T00:00:00") + LAST * 86_400)}
    for back, column in enumerate(("last_share", "last_share_2", "last_share_3")):
        last = LOG[LOG["slot"] == LAST - back].set_index("movieId")["label"]
        shares = last.reindex(forecast["movieId"], fill_value=0) / (last.sum() or np.nan)
        assert forecast[column].tolist() == pytest.approx(shares.tolist(), nan_ok=True)
    # By one rule for all: the lowest loss of the validation slots, of those that cover all movies.
    losses = {name: metrics(folder, name, 1)["validation"]["cross_entropy"] for name in ("soft", "course")}
    naive = json.loads((folder / "metrics.json").read_text())
    losses |= {
        name: found["validation"]["cross_entropy"]
        for name, found in naive.items()
        if found["kind"] == "naive"
    }
    losses["soft"] = fmean(metrics(folder, "soft", seed)["validation"]["cross_entropy"] for seed in (1, 2))
    assert set(forecast["model"]) == {min(losses, key=lambda name: losses[name])}


@pytest.mark.parametrize("name", ["ridge", "average", "soft"])
def test_any_forecaster_can_forecast(folder: Path, tmp_path: Path, name: str) -> None:
    """A fitted baseline and a naive forecast as a network: the slot after the log, and further ones."""
    options = forecasting(folder, tmp_path / "forecast.csv", [*RUNS, ("ridge", 1)])
    call("forecast_next_slot", *options, "--model", name, "--slots", 2, "--futures", 3)
    forecast = pd.read_csv(tmp_path / "forecast.csv")
    assert set(forecast["model"]) == {name}
    for slot in (LAST + 1, LAST + 2):
        rows = forecast[forecast["slot"] == slot]
        assert rows["predicted_share"].sum() == pytest.approx(1)
        assert (rows["requests_high"] >= rows["requests_low"]).all()
    if name == "average":
        found = json.loads((folder / "metrics.json").read_text())[name]
        series = series_of(LOG)
        shares = ewma(series, found["half_life"])(LAST + 1, series.candidates(LAST + 1))
        first = forecast[forecast["slot"] == LAST + 1].sort_values("movieId")
        assert first["predicted_share"].tolist() == pytest.approx(shares.tolist())
        check = intervals.IntervalCheck(series, VALIDATED)
        slots = series.requested_slots(VALIDATED)
        assert len(
            list(check.watch(forecast_slots(ewma(series, found["half_life"]), series, slots), "validation"))
        )
        total = intervals.expected_totals(intervals.known_totals(series), check.total_half_life)[-1]
        assert first["expected_requests"].sum() == pytest.approx(total)
        expected = first["expected_requests"].to_numpy()
        low, high = intervals.bounds(expected, check.dispersion, 0.8)
        assert first["requests_low"].tolist() == low.tolist()
        assert first["requests_high"].tolist() == high.tolist()
        tested = series.requested_slots(TESTED)
        assert len(
            list(check.watch(forecast_slots(ewma(series, found["half_life"]), series, tested), "test"))
        )
        assert json.loads((tmp_path / "forecast_check.json").read_text()) == {
            "model": name,
            **check.summary(),
        }


def test_the_check_of_the_forecast_is_that_of_its_forecaster(folder: Path, tmp_path: Path) -> None:
    call("forecast_next_slot", *forecasting(folder, tmp_path / "forecast.csv"), "--model", "soft")
    check = json.loads((tmp_path / "forecast_check.json").read_text())
    seeds = [metrics(folder, "soft", seed)["intervals"] for seed in (1, 2)]
    assert check == {"model": "soft", **intervals.pooled(seeds)}
    assert check["pairs"] == sum(seed["pairs"] for seed in seeds)


def test_forecast_of_a_model_by_name_is_the_mean_of_its_seeds(folder: Path, tmp_path: Path) -> None:
    shares = {}
    for seeds in ([1], [2], [1, 2]):
        runs = [("soft", seed) for seed in seeds]
        options = forecasting(folder, tmp_path / "forecast.csv", [*runs, ("course", 1)])
        call("forecast_next_slot", *options, "--model", "soft")
        forecast = pd.read_csv(tmp_path / "forecast.csv").set_index("movieId").sort_index()
        shares[tuple(seeds)] = forecast["predicted_share"]
    mean = np.sqrt(shares[1,] * shares[2,])
    assert shares[1, 2].tolist() == pytest.approx((mean / mean.sum()).tolist())
    call("forecast_next_slot", *forecasting(folder, tmp_path / "forecast.csv"), "--model", "course")
    assert set(pd.read_csv(tmp_path / "forecast.csv")["model"]) == {"course"}


def test_forecast_tells_the_requests_to_expect_and_how_sure_they_are(folder: Path, tmp_path: Path) -> None:
    forecast = pd.read_csv(folder / "forecast.csv")
    checks = [metrics(folder, "soft", seed)["intervals"] for seed in (1, 2)]
    totals = intervals.known_totals(series_of(LOG))
    total = intervals.expected_totals(totals, checks[0]["total_half_life"])[-1]
    assert forecast["expected_requests"].tolist() == pytest.approx(
        (total * forecast["predicted_share"]).tolist()
    )
    dispersion = fmean(check["dispersion"] for check in checks)
    low, high = intervals.bounds(forecast["expected_requests"].to_numpy(), dispersion, 0.8)
    assert forecast["requests_low"].tolist() == low.tolist()
    assert forecast["requests_high"].tolist() == high.tolist()
    assert (forecast["requests_high"] > forecast["requests_low"]).any()
    for check in checks:
        assert check["interval"] == 0.8
        assert 0 < check["pairs_expected_1"] < check["pairs"]
        assert 0.5 < check["coverage_expected_1"] <= 1
        assert check["expected_coverage"] >= 0.8


def test_further_slots_are_forecast_from_drawn_futures(folder: Path, tmp_path: Path) -> None:
    options = [*forecasting(folder, tmp_path / "forecast.csv"), "--slots", 3, "--futures", 4]
    call("forecast_next_slot", *options)
    several = pd.read_csv(tmp_path / "forecast.csv")
    call("forecast_next_slot", *options[:-4], "--forecast", tmp_path / "one.csv")
    one = pd.read_csv(tmp_path / "one.csv")
    assert several["slot"].unique().tolist() == [LAST + 1, LAST + 2, LAST + 3]
    pd.testing.assert_frame_equal(several[several["slot"] == LAST + 1], one)
    for _, rows in several.groupby("slot"):
        assert rows["rank"].tolist() == list(range(1, len(one) + 1))
        assert rows["predicted_share"].sum() == pytest.approx(1)
        assert sorted(rows["movieId"]) == sorted(one["movieId"])


def test_an_unknown_model_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    options = [*forecasting(folder, tmp_path / "forecast.csv"), "--model", "lstn"]
    ended = command("forecast_next_slot", *options)
    assert ended.returncode == 1
    # TensorFlow says what it likes before.
    line = ended.stderr.splitlines()[-1]
    assert line == "error: forecast.model in config.yaml: no model or baseline is named lstn"
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_log_too_short_to_split_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    write_sequences(tmp_path / "sequences.parquet", log_of((1, 7, 1), (2, 7, 1), (3, 7, 1)), 1)
    options: list[object] = ["--baselines", json.dumps(BASELINES), "--split", json.dumps(SPLIT)]
    options += ["--scores", tmp_path / "scores.parquet", "--metrics", tmp_path / "metrics.json"]
    options += ["--methods", *modules("averages", "references", "simple"), "--slot", "day"]
    ended = command("evaluate_baselines", "--sequences", tmp_path / "sequences.parquet", *options)
    assert ended.returncode == 1
    assert ended.stderr == (
        "error: the log has 3 slots, and no request in the 0 of them that are validation slots; use "
        "shorter slots or another split (slot and split in config.yaml)\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["sequences.parquet"]


def test_a_model_without_windows_to_learn_from_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    # Every slot has a new movie, so there is no candidate with a request.
    new = log_of(*((slot, slot, 1) for slot in range(1, 21)))
    write_sequences(tmp_path / "4.parquet", new, 4)
    tables.write(tmp_path / "movies.parquet", catalogue_of(new))
    with pytest.raises(SystemExit) as ended:
        call("train_model", *training(tmp_path, "soft", 1, tmp_path / "out"))
    assert str(ended.value.code).startswith(f"error: {tmp_path / '4.parquet'}: no window in the training ")
    assert not (tmp_path / "out").exists()


def test_a_training_that_diverges_is_told_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS["course"], "optimizer", "sgd")
    monkeypatch.setitem(MODELS["course"], "loss", "mse")
    monkeypatch.setitem(MODELS["course"], "learning_rate", 1e9)
    monkeypatch.setitem(MODELS["course"], "clipnorm", None)
    with pytest.raises(SystemExit) as ended:
        call("train_model", *training(folder, "course", 1, tmp_path / "out"))
    told = str(ended.value.code)
    assert re.match(r"error: models\.course: the training of seed 1 diverged in epoch \d+ \(loss", told)
    assert not (tmp_path / "out").exists()


def test_a_window_as_long_as_the_training_slots_is_told_in_one_line(folder: Path, tmp_path: Path) -> None:
    options = training(folder, "course", 1, tmp_path / "out")
    at = options.index("--settings") + 1
    settings = json.loads(str(options[at]))
    settings["model"]["window"] = 400
    options[at] = json.dumps(settings)
    with pytest.raises(SystemExit) as ended:
        call("train_model", *options)
    assert str(ended.value.code).startswith(
        "error: models.course.window: found 400; allowed: less than the "
    )
    assert not (tmp_path / "out").exists()
