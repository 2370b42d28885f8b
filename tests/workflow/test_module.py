"""The workflow as a module of another one, which imports it twice: from here and from a git host."""

import copy
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from workdir import SMALL, copy_workflow

PARENT = """
configfile: "parent.json"


module shop:
    snakefile:
        "../popularity/Snakefile"
    config:
        config["shop"]
    prefix:
        "shop"


use rule * from shop as shop_*


module films:
    snakefile:
        github("example/popularity", path="Snakefile", tag="v1")
    config:
        config["films"]
    pathvars:
        results="forecasts/films",
        resources="archives",


use rule * from films as films_*


rule all:
    default_target: True
    input:
        "shop/results/orders/report.html",
        "forecasts/films/demo/plots/rank_frequency.png",
    output:
        touch("done"),
"""


def small_settings() -> dict[str, dict[str, Any]]:
    """Two logs, one of the user's own, and one network for each."""
    settings = copy.deepcopy(SMALL)
    settings["defaults"]["epochs"] = 1
    settings["models"] = {"gru": None, "cnn_lstm": None, "course_lstm": None}
    settings["baselines"]["lightgbm_offset"] = None
    columns = {"user": "customer", "item": "product", "time": "when"}
    orders = {"orders": {"url": "orders.csv", "columns": columns}}
    return {"films": settings, "shop": {**settings, "dataset": "orders", "datasets": orders}}


def parent_workflow(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "Snakefile").write_text(PARENT)
    (folder / "parent.json").write_text(json.dumps(small_settings()))
    with (folder / "orders.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["when", "product", "customer"])
        rows.writerows([1_500_000_000 + 9_000 * i, f"p{i * i % 17}", f"v{i % 11}"] for i in range(2000))
    return folder


def git_host(folder: Path, repository: Path) -> dict[str, str]:
    """Make a repository what git finds at github.com; variables for the environment."""
    for words in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -qm all", "tag v1"):
        subprocess.run(["git", *words.split()], cwd=repository, check=True)
    (folder / "host/example").mkdir(parents=True)
    (folder / "host/example/popularity").symlink_to(repository)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}/host/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


def snakemake(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *options],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_workflow_imports_it_twice(tmp_path: Path) -> None:
    host = git_host(tmp_path, copy_workflow(tmp_path / "popularity"))
    folder = parent_workflow(tmp_path / "parent")
    ended = snakemake(folder, **host)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # Nothing is where the import was not asked to put it.
    assert {path.name for path in folder.iterdir() if path.name[0] != "."} == {
        *("Snakefile", "parent.json", "orders.csv", "done"),
        *("shop", "forecasts", "archives"),
    }
    assert {path.name for path in (folder / "shop").iterdir()} == {"results", "resources"}
    assert [path.name for path in (folder / "archives").iterdir()] == ["demo.zip"]
    titles = (folder / "shop/results/orders/forecast.csv").read_text()
    assert "p16" in titles
    report = (folder / "shop/results/orders/report.html").read_text()
    assert "in orders" in report
    for path in (folder / "shop/results/orders/plots").glob("*.png"):
        assert path.name in report
    ended = snakemake(folder, "--dry-run", **host)
    assert "Nothing to be done" in ended.stdout + ended.stderr, ended.stdout + ended.stderr
