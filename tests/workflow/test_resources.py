"""What rules ask a cluster for, and the program that compares it with what they took."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import resources
from workdir import ROOT, SMALL, copy_workflow, snakemake


def asked(folder: Path, *options: str) -> Iterator[tuple[str, bool, dict[str, int]]]:
    """The rule of each job, whether it stays where Snakemake runs, and what it asks for."""
    ended = snakemake(folder, "--dry-run", "--forceall", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    pattern = r"^(local)?rule (\w+):\n(?:    (?!resources).*\n)*    resources: (.*)$"
    for local, rule, told in re.findall(pattern, ended.stdout, re.MULTILINE):
        numbers = re.findall(r"(\w+)=(\d+)\b", told)
        yield rule, bool(local), {name: int(number) for name, number in numbers}


@pytest.mark.parametrize("shards", [1, 2])
def test_every_job_of_the_cluster_asks_for_memory_and_time_and_none_for_a_gpu(
    tmp_path: Path, shards: int
) -> None:
    for rule, local, given in asked(
        copy_workflow(tmp_path, {**SMALL, "data": {"shards": shards}, "evaluation_shards": shards})
    ):
        assert local or rule == "all" or {"mem_mb", "runtime"} <= given.keys(), rule
        assert not given.get("gpu"), rule


@pytest.mark.parametrize("path", sorted((ROOT / "rules").glob("*.smk")), ids=lambda path: path.stem)
def test_memory_and_time_grow_with_each_attempt(path: Path) -> None:
    plain = re.findall(r"^ +(?:mem_mb|runtime)=(?!memory\(|minutes\().*", path.read_text(), re.MULTILINE)
    assert not plain


def test_a_second_attempt_asks_for_twice_as_much(tmp_path: Path) -> None:
    settings = {**SMALL, "dataset": "own", "datasets": {"own": {"url": "missing.zip"}}}
    ended = snakemake(copy_workflow(tmp_path, settings), "-p", "--retries", "1", "resources/own.zip")
    assert ended.returncode != 0
    told = re.findall(r"(mem_mb|runtime)=(\d+)", ended.stdout + ended.stderr)
    asked = {name: [int(number) for other, number in told if other == name] for name, _ in told}
    assert set(asked) == {"mem_mb", "runtime"}
    for numbers in asked.values():
        assert numbers == [numbers[0], 2 * numbers[0]]


def test_a_long_log_asks_for_more(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy", symlinks=True))
    before = {rule: given.get("mem_mb") for rule, _, given in asked(folder)}
    # As large as of some billion requests; without contents, it needs no room.
    os.truncate(folder / "results/demo/labelled.parquet", 2_000_000_000)
    after = {rule: given.get("mem_mb") for rule, _, given in asked(folder)}
    changed = {rule: asks for rule, asks in after.items() if asks != before[rule]}
    assert changed == {"plot_eda": 1000 + 12 * 2000, "plot_log": 1000 + 6 * 2000}


def test_training_alone_asks_for_the_gpus_of_the_settings(tmp_path: Path) -> None:
    folder = copy_workflow(tmp_path, {**SMALL, "training_gpus": 2})
    found = {rule: given.get("gpu", 0) for rule, _, given in asked(folder)}
    assert found.pop("train_model") == 2
    assert set(found.values()) == {0}


def test_profiles_of_clusters_group_rules_that_there_are_and_share_what_the_default_has() -> None:
    rules = set(re.findall(r"^rule (\w+):", "".join(map(Path.read_text, (ROOT / "rules").iterdir())), re.M))
    profiles = {path.parent.name: path.read_text() for path in (ROOT / "profiles").glob("*/profile.yaml")}
    assert profiles.keys() == {"default", "slurm", "generic", "lsf", "sge"}
    settings = {
        name: yaml.safe_load(re.sub(r"^\?if .*:", "with-conda:", text, flags=re.M))
        for name, text in profiles.items()
    }
    for name in profiles.keys() - {"default"}:
        assert settings["default"].items() <= settings[name].items()
        assert settings[name]["groups"].keys() <= rules
        assert settings[name]["groups"] == settings["slurm"]["groups"]
        assert settings[name]["group-components"].keys() <= set(settings[name]["groups"].values())
        assert settings[name]["retries"] == 2
    # In a job of the cluster a rule's own retries would start anew in the same allocation.
    assert not [path for path in (ROOT / "rules").iterdir() if "retries:" in path.read_text()]


def test_the_table_compares_the_largest_job_with_what_its_rule_asks_for(tmp_path: Path) -> None:
    header = "s\th:m:s\tmax_rss\tmax_vms\n"
    for seed, row in {"1": "60.0\t0:01:00\t400.0\t9.0\n", "2": "90.0\t0:01:30\t250.0\t9.0\n"}.items():
        path = tmp_path / "benchmarks" / "train_model" / "lstm" / f"seed-{seed}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + row)
    (tmp_path / "benchmarks" / "sort_by_time.tsv").write_text(f"{header}0.2\t0:00:00\tNA\tNA\n")
    plan = (
        "localrule all:\n    input: x\n    resources: tmpdir=/tmp\n"
        "rule sort_by_time:\n    input: x\n    resources: tmpdir=/tmp, runtime=30, mem_mb=2000, mem=2 GB\n"
        "rule train_model:\n    output: y\n    resources: tmpdir=/tmp, runtime=480, mem_mb=4000\n"
    )
    rows = resources.table(resources.taken([tmp_path]), resources.asked(plan)).splitlines()[2:]
    assert rows == [
        "| `sort_by_time` | 1 | 0 | 0 | 30 | 2000 |  |",
        "| `train_model` | 2 | 90 | 400 | 480 | 4000 | 10.0 |",
    ]
