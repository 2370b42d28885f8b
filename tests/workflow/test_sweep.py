"""Twelve models with three seeds each, as docs/sweep.yaml asks for: one plan, which shares the data."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from workdir import ROOT, copy_workflow, snakemake

#: Jobs that compare models, and how many there are of each; a table of software is not made anew.
COMPARING = {
    "record_settings": 1,
    "compare_models": 1,
    "forecast_next_slot": 1,
    "simulate_cache": 1,
    "plot_cache": 1,
    "plot_training": 1,
    "plot_models": 1,
    "plot_predictions": 1,
    "plot_runtimes": 1,
    "write_table": 5,
    "write_front_page": 1,
    "write_report": 1,
}
SWEEP = yaml.safe_load((ROOT / "docs" / "sweep.yaml").read_text())


def plan(folder: Path) -> tuple[Counter[str], str]:
    """How many jobs of each rule would run, and all that was printed."""
    ended = snakemake(folder, "--dry-run")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    jobs = Counter(re.findall(r"^(?:local)?rule (\w+):", ended.stdout, re.MULTILINE))
    del jobs["all"]
    return jobs, ended.stdout


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Snakemake takes the whole sweep for done, with empty files."""
    folder = copy_workflow(tmp_path_factory.mktemp("sweep"), SWEEP)
    for outputs in re.findall(r"^    output: (.*)$", plan(folder)[1], re.MULTILINE):
        for output in outputs.split(", "):
            path = folder / output
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    ended = snakemake(folder, "--touch", "--forceall")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


def test_a_sweep_trains_each_model_with_each_seed_and_makes_the_data_once(tmp_path: Path) -> None:
    jobs, printed = plan(copy_workflow(tmp_path, SWEEP))
    assert "results/demo/plots/sweeps.png" in printed
    assert jobs.pop("train_model") == 12 * 3
    assert jobs.pop("evaluate_model") == 12 * 3
    assert jobs.pop("evaluate_learned") == 4 * 3
    assert jobs.pop("list_software") == len(list((ROOT / "envs").glob("*.yaml")))
    assert jobs.pop("write_table") == 6
    assert {"simulate_archive", "join_ratings", "label_popularity", "build_sequences"} < set(jobs)
    assert set(jobs.values()) == {1}


def test_a_thirteenth_model_runs_its_own_jobs_and_what_compares(swept: Path) -> None:
    assert plan(swept)[0] == Counter()

    more = json.loads(json.dumps(SWEEP))
    more["models"]["thirteenth"] = {"cell": "gru", "layers": [8, 8]}
    (swept / "small.json").write_text(json.dumps(more))
    jobs, printed = plan(swept)
    assert jobs == {"train_model": 3, "evaluate_model": 3, **COMPARING}
    trained = re.findall(r"wildcards: dataset=demo, fold=, model=(\w+), seed=(\d)", printed)
    assert sorted(set(trained)) == [("thirteenth", seed) for seed in "123"]
