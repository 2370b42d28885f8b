"""The whole graph, run by Snakemake as a user would."""

import csv
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from popularity import tables
from popularity.scoring.scores import SCORES
from workdir import ROOT, SMALL, copy_workflow, snakemake

SHARED = ROOT.parent / "shared" / "data"


def test_everything_is_made(finished: Path) -> None:
    results = finished / "results" / "demo"
    for name, schema in {
        "joined": tables.JOINED,
        "movies": tables.MOVIES,
        "labelled": tables.LABELLED,
        "sorted": tables.LABELLED,
        "sequences/calendar-5": tables.SEQUENCES,
        "models/lstm/seed-1/predictions": tables.PREDICTIONS,
    }.items():
        assert pq.read_schema(results / f"{name}.parquet").equals(schema), name
    assert pq.read_metadata(results / "joined.parquet").num_rows == 6000
    pictures = {path.stem for path in (results / "plots").glob("*.png")}
    assert pictures == {path.stem for path in (results / "plots").glob("*.svg")}
    assert len(pictures) == 21
    # Nothing is swept.
    assert "sweeps" not in pictures
    assert not list(results.rglob("*.partial*"))


def test_the_leaderboard_has_a_row_for_every_model_and_baseline(finished: Path) -> None:
    board = pd.read_csv(finished / "results/demo/leaderboard.csv")
    expected = ["name", "kind", "seeds", *SCORES, *(f"{score}_std" for score in SCORES)]
    assert list(board.columns[: len(expected)]) == expected
    kinds = dict(zip(board["name"], board["kind"], strict=True))
    networks = {"lstm", "course_lstm", "course_lstm_1"}  # the last is read after one epoch
    assert {name for name, kind in kinds.items() if kind == "network"} == networks
    assert {name for name, kind in kinds.items() if kind == "learned"} == {"lightgbm_offset"}
    assert {name for name, kind in kinds.items() if kind == "reference"} == {"oracle", "two_sided_ewma"}
    assert {"ewma", "ewma_mix", "lfu", "moving_average_28", "seasonal_naive", "tsb"} <= set(kinds)
    assert kinds["ewma"] == "naive"
    competing = board["kind"] != "reference"
    assert competing.iloc[:-2].all()
    assert board.loc[competing, "cross_entropy"].is_monotonic_increasing


def test_a_filled_cache_hits_what_the_leaderboard_says(finished: Path) -> None:
    cache = pd.read_csv(finished / "results/demo/cache.csv")
    board = pd.read_csv(finished / "results/demo/leaderboard.csv").set_index("name")
    for percent in (1, 5, 10):
        found = cache[cache["size"] == percent / 100].set_index("policy")["hit_ratio"]
        for name in board.index.intersection(found.index):
            assert found[name] == pytest.approx(board.loc[name, f"hit_ratio_{percent}"], rel=1e-9)
    assert {"lstm", "ewma", "oracle"} <= set(board.index) & set(cache["policy"])
    assert {"LRU", "Belady"} <= set(cache["policy"])


def test_runs_are_compared_and_another_has_to_be_given(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(finished, folder, symlinks=True)
    ended = snakemake(folder, "compare")
    assert ended.returncode != 0
    assert "snakemake compare --config compare=FOLDER" in ended.stdout + ended.stderr
    shutil.copytree(folder / "results/demo", folder / "before")
    ended = snakemake(folder, "compare", "--config", "compare=before")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "No setting differs." in ended.stdout + ended.stderr
    assert (pd.read_csv(folder / "results/demo/comparison.csv")["difference"] == 0).all()


def test_the_forecast_is_of_the_slot_after_the_log(finished: Path) -> None:
    forecast = pd.read_csv(finished / "results/demo/forecast.csv")
    assert set(forecast["slot_start"]) == {"2016-07-01T00:00:00"}
    assert forecast["rank"].tolist() == list(range(1, len(forecast) + 1))
    assert forecast["predicted_share"].sum() == pytest.approx(1)
    assert forecast["title"].notna().all()


def test_the_end_of_a_run_prints_the_leaderboard_and_where_the_report_is(finished: Path) -> None:
    printed = (finished / "printed.txt").read_text()
    assert re.search(r"^name +kind +cross_entropy +rmse", printed, re.MULTILINE)
    assert re.search(r"^lstm +network +\d\.\d+", printed, re.MULTILINE)
    assert "\nresults/demo/report.html\n" in printed


def test_a_run_is_told_in_a_line_for_each_job(finished: Path) -> None:
    told = (finished / "told.txt").read_text().splitlines()
    ends = [re.search(r"^\d\d:\d\d:\d\d (\d+) of (\d+) done: (\w+)", line) for line in told]
    found = [(int(end[1]), int(end[2]), end[3]) for end in ends if end]
    assert [number for number, _, _ in found] == list(range(1, found[0][1] + 1))
    assert {"train_model", "plot_log", "write_report"} <= {rule for _, _, rule in found}
    assert not [line for line in told if line.startswith(("    input:", "rule ", "localrule "))]
    # Beside it the head of Snakemake, the table of the jobs and the starts of slow ones.
    assert len(told) < 2.5 * len(found) + 60
    assert max(map(len, told)) < 300


def test_the_report_holds_every_picture_and_loads_nothing(finished: Path) -> None:
    report = (finished / "results/demo/report.html").read_text()
    for path in (finished / "results/demo/plots").glob("*.png"):
        assert path.name in report
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", report)


def test_nothing_warns(finished: Path) -> None:
    for path in [finished / "printed.txt", finished / "told.txt", *finished.glob("results/**/*.log")]:
        # TensorFlow heads what it notes of the machine with this.
        said = path.read_text().replace("WARNING: All log messages before absl::InitializeLog()", "")
        assert not re.search("warning", said, re.IGNORECASE), path
    assert not list(finished.rglob("*.traceback"))


def test_each_job_has_its_log_and_benchmark(finished: Path) -> None:
    results = finished / "results" / "demo"
    logs = {
        path.relative_to(results / "logs").with_suffix("") for path in (results / "logs").rglob("*.log")
    }
    benchmarks = {
        path.relative_to(results / "benchmarks").with_suffix("")
        for path in (results / "benchmarks").rglob("*.tsv")
    }
    assert logs == benchmarks
    assert "epoch 2 of 2" in (results / "logs/train_model/lstm/seed-1.log").read_text()


def test_a_folder_and_another_logs_columns_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    with (log / "visits.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["when", "page", "visitor"])
        rows.writerows([1_500_000_000 + 7_000 * i, f"/p{i * i % 7}", f"v{i % 11}"] for i in range(400))
    columns = {"user": "visitor", "item": "page", "time": "when"}
    datasets = {"site": {"url": str(log), "columns": columns}}
    settings: dict[str, Any] = {**SMALL, "dataset": "site", "datasets": datasets}
    folder = copy_workflow(tmp_path / "work", settings)
    ended = snakemake(folder, "results/site/sequences/calendar-5.parquet")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    joined = pd.read_parquet(folder / "results/site/joined.parquet")
    assert len(joined) == 400
    assert joined["rating"].isna().all()
    titles = pd.read_parquet(folder / "results/site/movies.parquet")["title"]
    assert set(titles) == {f"/p{i * i % 7}" for i in range(7)}


def test_a_wrong_setting_stops_before_any_job(tmp_path: Path) -> None:
    settings: dict[str, Any] = {**SMALL, "models": {"lstm": {"unit": 8}}, "window": 300}
    ended = snakemake(copy_workflow(tmp_path, settings))
    assert ended.returncode != 0
    assert "models.lstm.unit: no such setting; allowed here: batch_size" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()


def bad_archive(path: Path, kind: str) -> None:
    if kind == "no zip":
        path.write_text("<html>Not found</html>")
    elif kind != "missing":
        ratings = "userId,movieId,rating,timestamp\n1,1,4.0,1000000000\n"
        with zipfile.ZipFile(path, "w") as archive:
            if kind != "no ratings":
                archive.writestr("x/ratings.csv", ratings.replace("rating,", "stars,", kind == "header"))
            if kind != "no movies":
                archive.writestr("x/movies.csv", "movieId,title,genres\n1,A (1990),Drama\n")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "own.zip"),
        ("no zip", "no whole zip"),
        ("no ratings", "ratings.csv"),
        ("no movies", "movies.csv"),
        ("header", "rating"),
    ],
)
def test_a_bad_archive_is_told_and_leaves_nothing(tmp_path: Path, kind: str, words: str) -> None:
    bad_archive(tmp_path / "own.zip", kind)
    settings = {**SMALL, "dataset": "own", "datasets": {"own": {"url": str(tmp_path / "own.zip")}}}
    folder = copy_workflow(tmp_path / "work", settings)
    ended = snakemake(folder, "results/own/joined.parquet")
    assert ended.returncode != 0
    told = [line for line in ended.stdout.splitlines() + ended.stderr.splitlines() if "own.zip" in line]
    assert any(words in line for line in told), ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not list((folder / "results").rglob("*.parquet"))


def test_when_one_job_fails_the_others_go_on(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("ratings.csv", "userId,movieId,rating,timestamp\n1,1,4.0,1000000000\n")
        archive.writestr("movies.csv", "movieId,title,genres\n1,A (1990),Drama\n")
    datasets = {name: {"url": f"{tmp_path}/{name}.zip"} for name in ("bad", "good", "worse")}
    folder = copy_workflow(tmp_path / "work", {**SMALL, "dataset": "good", "datasets": datasets})
    ended = snakemake(folder, "--cores", "1", *(f"results/{name}/joined.parquet" for name in datasets))
    assert ended.returncode != 0
    assert [path.parent.name for path in folder.glob("results/*/joined.parquet")] == ["good"]
    said = ended.stdout + ended.stderr
    assert "bad.zip: no such file or folder" in said
    assert "worse.zip: no such file or folder" in said


@pytest.mark.skipif(not SHARED.exists(), reason="no shared/data beside the repository")
def test_ml_latest_small_by_the_week(tmp_path: Path) -> None:
    settings = json.loads(json.dumps(SMALL))
    settings["dataset"] = "own"
    settings["datasets"] = {"own": {"url": str(SHARED / "ml-latest-small.zip")}}
    settings["slot"] = "week"
    folder = copy_workflow(tmp_path, settings)
    ended = snakemake(folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    board = pd.read_csv(folder / "results/own/leaderboard.csv").set_index("name")
    assert board["cross_entropy"]["lstm"] < board["cross_entropy"]["all_time_share"]
    assert board["cross_entropy"]["ewma"] < board["cross_entropy"]["last_value"]
    assert board.loc["oracle", "rmse"] == 0
    shutil.rmtree(folder)
