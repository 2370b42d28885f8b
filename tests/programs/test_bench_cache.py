"""The cache benchmark replays what the workflow would."""

import sys
from pathlib import Path

import pandas as pd

import bench_cache
import bench_data
from workdir import ROOT


def test_it_replays_every_policy_of_the_workflow(tmp_path: Path) -> None:
    archive = tmp_path / "small.zip"
    size = ["--ratings", "20000", "--users", "400", "--movies", "300"]
    bench_data.measure([sys.executable, ROOT / "scripts/simulate_archive.py", *size, "--output", archive])
    used = bench_cache.replay(archive, 2, 2, tmp_path)
    assert used.wall > 0
    table = pd.read_csv(tmp_path / "cache.csv")
    settings, naive = bench_cache.settings_of_config()
    expected = {"model-0", "model-1", *naive, *settings.cache.policies}
    assert {"ewma_mix", "oracle", "LRU"} < expected
    assert expected <= set(table["policy"])
    assert not {"lightgbm", "ridge"} & set(table["policy"])
    assert set(table["requests"]) == {table["requests"].max()}
    best = table[table["policy"] == "oracle"].set_index("size")["hit_ratio"]
    filled = table[~table["kind"].isin(["reactive", "mixture", "reference"])]
    assert (filled["hit_ratio"] <= filled["size"].map(best)).all()
