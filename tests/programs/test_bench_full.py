"""The benchmark of the whole graph reads it right, and computes what other numbers of cores take."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import bench_full
from bench_full import Job, Taken, critical_path, parse_plan, remaining, schedule


def graph(*jobs: tuple[set[int], int]) -> dict[int, Job]:
    return {
        number: Job(f"job {number}", f"rule_{number % 2}", threads, None, frozenset(needs))
        for number, (needs, threads) in enumerate(jobs)
    }


PLAN = """\
Building DAG of jobs...
[Thu Nov 26 08:30:39 2026]
localrule all:
    input: results/x/report.html
    jobid: 0
    reason: Forced execution
    resources: tmpdir=/tmp

[Thu Nov 26 08:30:39 2026]
rule train:
    input: scripts/train.py, results/x/table.parquet
    output: results/x/a/model.keras, results/x/a/history.csv
    log: results/x/train.log
    jobid: 7
    benchmark: results/x/train/a.tsv
    wildcards: dataset=x, fold=, model=a, seed=1
    threads: 4
    resources: tmpdir=/tmp, runtime=10
Shell command: python scripts/train.py --input: nothing
rule report:
    input: results/x/a/history.csv, results/x/a/model.keras, results/x/table.parquet
    output: results/x/report.html
    jobid: 3

rule count:
    output: results/x/table.parquet
    jobid: 12
    benchmark: results/x/count.tsv
    wildcards: dataset=x, fold=backtest/1/
"""


def test_the_plan_of_snakemake_is_read() -> None:
    assert parse_plan(PLAN) == {
        0: Job("all", "all", 1, None, frozenset({3})),
        7: Job("train a 1", "train", 4, Path("results/x/train/a.tsv"), frozenset({12})),
        3: Job("report", "report", 1, None, frozenset({7, 12})),
        12: Job("count backtest/1", "count", 1, Path("results/x/count.tsv"), frozenset()),
    }


def test_the_demos_graph_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POPULARITY_CONDA", "no")
    jobs = bench_full.read_plan(["--config", "dataset=demo"], 64)
    by_name = {job.name: number for number, job in jobs.items()}
    assert len(by_name) == len(jobs) > 40
    needed = {name: {jobs[at].name for at in jobs[number].needs} for name, number in by_name.items()}
    assert needed["evaluate_model gru 1"] >= {"train_model gru 1", "build_sequences calendar 7"}
    assert needed["all"] == {"write_report"}
    assert needed["simulate_archive"] == set()
    assert jobs[by_name["join_ratings"]].threads == 2
    folder = Path("results/demo/benchmarks")
    assert jobs[by_name["train_model lstm 1"]].benchmark == folder / "train_model/lstm/seed-1.tsv"
    assert all(job.benchmark for name, job in zip(by_name, jobs.values(), strict=True) if name != "all")


def test_a_benchmark_file_is_read(tmp_path: Path) -> None:
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    (tmp_path / "one.tsv").write_text(header + "9.85\t0:00:09\t210.86\t1\t1\t1\t1\t1\t54.75\t5.64\n")
    (tmp_path / "two.tsv").write_text(header + "0.12\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n")
    assert bench_full.taken(tmp_path / "one.tsv") == Taken(9.85, 5.64, 210.86)
    assert bench_full.taken(tmp_path / "two.tsv") == Taken(0.12, 0, 0)


def test_the_longest_path() -> None:
    jobs = graph((set(), 1), ({0}, 1), ({0}, 1), ({1, 2}, 1), (set(), 1))
    seconds = dict(enumerate([2.0, 3, 5, 1, 7.5]))
    assert remaining(jobs, seconds) == {0: 8, 1: 4, 2: 6, 3: 1, 4: 7.5}
    assert critical_path(jobs, seconds) == [0, 2, 3]
    assert schedule(jobs, seconds, 64) == 8


def test_jobs_wait_for_cores() -> None:
    # Three of 4 s, and one of 5 s that wants both cores: as the longest it comes first.
    jobs = graph((set(), 1), (set(), 1), (set(), 1), (set(), 2))
    seconds = dict(enumerate([4.0, 4, 4, 5]))
    assert [schedule(jobs, seconds, cores) for cores in (1, 2, 3, 8)] == [17, 13, 9, 5]


def test_what_has_the_longest_path_before_it_starts_first() -> None:
    jobs = graph((set(), 1), (set(), 1), ({1}, 1))
    # The short one at first, as a long one waits for it.
    assert schedule(jobs, dict(enumerate([3.0, 1, 4])), 1) == 8
    assert schedule(jobs, dict(enumerate([3.0, 1, 4])), 2) == 5


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_is_shorter_than_it_can_be_or_longer_than_grahams_bound(seed: int) -> None:
    draw = np.random.default_rng(seed)
    size = 15
    jobs = graph(*(({other for other in range(at) if draw.random() < 0.2}, 1) for at in range(size)))
    seconds = dict(enumerate(draw.integers(0, 9, size).astype(float).tolist()))
    work, path = sum(seconds.values()), max(remaining(jobs, seconds).values())
    assert sum(seconds[number] for number in critical_path(jobs, seconds)) == path
    for cores in (1, 2, 3, size):
        least = max(work / cores, path)
        assert least <= schedule(jobs, seconds, cores) <= least * (2 - 1 / cores) + 1e-9
    assert schedule(jobs, seconds, size) == path


def test_the_tables() -> None:
    jobs = graph((set(), 1), (set(), 1), (set(), 1))
    used = dict(enumerate([Taken(1, 2.25, 100), Taken(10, 20, 300), Taken(3, 4, 50)]))
    assert bench_full.by_rule(jobs, used).splitlines() == [
        "| rule | jobs | wall s | CPU s | longest s | peak MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| `rule_1` | 1 | 10.0 | 20.0 | 10.0 | 300 |",
        "| `rule_0` | 2 | 4.0 | 6.2 | 3.0 | 100 |",
        "| all | 3 | 14.0 | 26.2 | 10.0 | 300 |",
    ]
    assert bench_full.by_job(jobs, used).splitlines()[2:] == [
        "| `job 1` | 10.0 | 20.0 | 300 |",
        "| `job 2` | 3.0 | 4.0 | 50 |",
        "| `job 0` | 1.0 | 2.2 | 100 |",
    ]


def test_disk_is_that_of_all_files_below(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name, size in (("one", 3_000_000), ("a/two", 2_000_000)):
        (tmp_path / name).write_bytes(bytes(size))
    assert bench_full.gigabytes(tmp_path) == pytest.approx(0.005)
    assert bench_full.gigabytes(tmp_path / "one") == pytest.approx(0.003)


def test_jobs_are_looked_at_every_few_seconds() -> None:
    # What Snakemake itself waits for is bound when the module is loaded, and used where no other is given.
    shown = "import inspect; print(inspect.signature(benchmark.benchmarked).parameters['interval'].default)"
    code = bench_full.SNAKEMAKE.replace("cli.main()", shown)
    assert code != bench_full.SNAKEMAKE
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "4\n"


def test_a_large_log_is_made_once_and_planned_with_few_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_full, "CACHE", tmp_path)
    monkeypatch.setattr(bench_full, "LARGE_MOVIES", 50)
    archive = bench_full.large(1000)
    made = archive.read_bytes()
    assert list(tmp_path.iterdir()) == [archive]
    archive.write_bytes(made + b"kept")
    assert bench_full.large(1000).read_bytes() == made + b"kept"
    with zipfile.ZipFile(archive) as parts:
        rows = sum(len(parts.read(name).splitlines()) - 1 for name in parts.namelist() if "ratings" in name)
        assert rows == 1000
        assert len(parts.read("log/movies.csv").splitlines()) == 51
    short = tmp_path / "short.json"
    short.write_text(json.dumps(bench_full.SHORT))
    jobs = bench_full.read_plan(["--config", "dataset=demo", "--configfile", str(short)], 2)
    assert {job.rule for job in jobs.values()} >= {"train_model", "replay_policies", "write_report"}
