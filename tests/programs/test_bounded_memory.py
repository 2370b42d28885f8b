"""The data stage with little memory, on a log in several parts: the same bytes as with plenty."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench_billion import write_log, write_part
from workdir import ROOT

TABLES = ("joined", "movies", "labelled", "sorted", "series")


def run(script: str, *options: object) -> None:
    command = [sys.executable, ROOT / "scripts" / f"{script}.py", *options]
    assert subprocess.run(list(map(str, command)), check=False).returncode == 0


def data_stage(archive: Path, folder: Path, *memory: str) -> dict[str, bytes]:
    path = {name: folder / f"{name}.parquet" for name in TABLES}
    joined = ["--joined", path["joined"], "--movies", path["movies"]]
    run("join_ratings", "--archive", archive, *joined)
    run("label_popularity", *joined, "--slot", "day", *memory, "--labelled", path["labelled"])
    run("sort_by_time", "--labelled", path["labelled"], "--sorted", path["sorted"])
    windows = ["--window", "3", "--gaps", "observed"]
    run("build_sequences", "--sorted", path["sorted"], *windows, *memory, "--sequences", path["series"])
    return {name: file.read_bytes() for name, file in path.items()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 150,000 ratings in three parts."""
    path = tmp_path_factory.mktemp("log") / "log.zip"
    write_log(path, 50_000)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as zipped:
        for number in (1, 2):
            write_part(zipped, number, 50_000)
    return path


def test_little_memory_gives_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    # 1 MB holds less than half of the requests, and a tenth of the labelled rows.
    plenty = data_stage(archive, tmp_path)
    little = data_stage(archive, tmp_path, "--memory-mb", "1")
    assert [name for name in TABLES if plenty[name] != little[name]] == []


def test_the_benchmark_runs_the_models_too(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "bench_billion.py"
    options = ["--ratings", 30_000, "--movies", 300, "--years", 1, "--models", 5, "--folder", tmp_path]
    command = [sys.executable, script, *options]
    ended = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    rows = [line.strip("| ").split(" | ") for line in ended.stdout.splitlines() if line.startswith("| ")]
    figures = {name: list(map(float, columns)) for name, *columns in rows if columns[0][0].isdigit()}
    for name in ("join_ratings", "train_model", "evaluate_model", "evaluate_baselines", "evaluate_learned"):
        assert min(figures[name]) >= 0
        assert max(figures[name]) > 50
    # Nothing stays.
    assert list(tmp_path.iterdir()) == []
