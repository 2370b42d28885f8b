"""The picture and the table of runtimes."""

from pathlib import Path

import plot_runtimes
from pictures import benchmark, texts


def test_runtimes_add_up_by_rule_without_jobs_of_other_runs(tmp_path: Path) -> None:
    benchmark(tmp_path / "train_model/lstm/seed-1.tsv", 60.0, 500)
    benchmark(tmp_path / "train_model/lstm/seed-2.tsv", 90.0, 400)
    for gone in ("gone/seed-1", "lstm/seed-3"):
        benchmark(tmp_path / f"train_model/{gone}.tsv", 1000.0, 9000)
    benchmark(tmp_path / "backtest/2/train_model/lstm/seed-1.tsv", 1000.0, 9000)
    benchmark(tmp_path / "backtest/2/evaluate_baselines.tsv", 1000.0, 9000)
    benchmark(tmp_path / "join_ratings.tsv", 0.5, 3)
    benchmark(tmp_path / "sort_by_time.tsv", 0.1, "-")
    table = plot_runtimes.by_rule(plot_runtimes.read_benchmarks(tmp_path, ["lstm"], [1, 2], 2))
    assert table["rule"].tolist() == ["train_model", "join_ratings", "sort_by_time"]
    assert table["jobs"].tolist() == [2, 1, 1]
    assert table["wall_s"].tolist() == [150, 0.5, 0.1]
    assert table["longest_s"].tolist() == [90, 0.5, 0.1]
    assert table["memory_mb"].iloc[0] == 500
    # So little memory is that of the shell before the script.
    assert table["memory_mb"].iloc[1:].isna().all()
    figure = plot_runtimes.plot_runtimes(table, "here")
    assert figure.get_suptitle().startswith("All jobs together took 2 min 30 s")
    assert {" 150 (2 jobs)", " 0.5", " 500"} <= set(texts(figure))


def test_runtimes_hold_learned_baselines_and_every_fold(tmp_path: Path) -> None:
    for fold in ("", "backtest/1/", "backtest/2/"):
        benchmark(tmp_path / f"{fold}train_model/lstm/seed-1.tsv", 60.0, 500)
        benchmark(tmp_path / f"{fold}evaluate_learned/lightgbm/seed-1.tsv", 10.0, 300)
        benchmark(tmp_path / f"{fold}evaluate_baselines.tsv", 1.0, 200)
    table = plot_runtimes.by_rule(plot_runtimes.read_benchmarks(tmp_path, ["lightgbm", "lstm"], [1], 3))
    assert table["rule"].tolist() == ["train_model", "evaluate_learned", "evaluate_baselines"]
    assert table["jobs"].tolist() == [3, 3, 3]
    assert table["wall_s"].tolist() == [180, 30, 3]
