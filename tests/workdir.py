"""A copy of the workflow with small settings, and Snakemake run in it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PARTS = ["Snakefile", "config.yaml", "rules", "scripts", "schemas", "profiles", "report", "envs"]

#: A log that is made, learned and drawn in seconds.
SMALL: dict[str, Any] = {
    "dataset": "demo",
    "window": 5,
    "datasets": {
        "demo": {
            "simulate": {
                "ratings": 6000,
                "users": 200,
                "movies": 120,
                "first_date": "2016-01-01",
                "last_date": "2016-06-30",
                "seed": 3,
            }
        }
    },
    "defaults": {"epochs": 2, "layers": [4], "dense_units": 4, "sampled_movies": 50},
    "models": {
        "gru": None,
        "cnn_lstm": None,
        "course_lstm": {"layers": [4], "epochs": 2, "score_at_epochs": [1]},
    },
    "baselines": {
        "ridge": None,
        "poisson_glm": None,
        "lightgbm": None,
        "lightgbm_offset": {"training_rows": 4000},
    },
}


def copy_workflow(folder: Path, settings: dict[str, Any] | None = None) -> Path:
    """Copy the workflow into a folder, with a file of settings of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # With what Python has compiled, which is as good there.
            shutil.copytree(source, folder / part)
        else:
            shutil.copy2(source, folder / part)
    (folder / "small.json").write_text(json.dumps(settings or SMALL))
    return folder


def snakemake(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in the folder with its settings."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--configfile", "small.json", "--cores", "2", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def planned(folder: Path, *options: str) -> set[str]:
    """The jobs that Snakemake would run: rules, with the model, window, table or the like of each."""
    ended = snakemake(folder, "--dry-run", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    jobs = set()
    for job in re.split(r"\n(?=\[|rule |localrule )", ended.stdout):
        if not (rule := re.search(r"^(?:local)?rule (\w+):", job, re.MULTILINE)) or rule[1] == "all":
            continue
        detail = re.search(r"wildcards: .*?(?:model|learned|window|table|environment)=(\w+)", job)
        jobs.add(f"{rule[1]} {detail[1]}" if detail else rule[1])
    return jobs
