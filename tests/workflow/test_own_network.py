"""A network of the user's own file, in the workflow's plan."""

import re
import shutil
from pathlib import Path
from typing import Any

from workdir import ROOT, SMALL, copy_workflow, snakemake


def test_the_file_is_an_input_of_its_models_jobs_alone(tmp_path: Path) -> None:
    models = {**SMALL["models"], "mine": {"build": "my_network.py:build"}}
    settings: dict[str, Any] = {**SMALL, "models": models}
    folder = copy_workflow(tmp_path, settings)
    ended = snakemake(folder, "--dry-run")
    assert ended.returncode != 0
    assert "models.mine: there is no file my_network.py (seen from " in ended.stdout + ended.stderr
    shutil.copy2(ROOT / "docs/examples/my_network.py", folder)
    ended = snakemake(folder, "--dry-run")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    users = set()
    for job in re.split(r"\n(?=\[|rule |localrule )", ended.stdout):
        if re.search(r"^    input: .*\bmy_network\.py\b", job, re.MULTILINE):
            rule, model = re.search(r"rule (\w+):", job), re.search(r"model=(\w+)", job)
            users.add((rule and rule[1], model and model[1]))
    # The last two take any of the models, or show what their features say.
    assert users == {
        *(("train_model", "mine"), ("evaluate_model", "mine")),
        *(("forecast_next_slot", None), ("plot_feature_information", None)),
    }
