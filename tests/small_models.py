"""Small models of every kind, and the programs called as the workflow's rules do."""

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workdir import ROOT

SCRIPTS = ROOT / "scripts"
SPLIT = {"validation": 0.15, "test": 0.15}
BASELINES: dict[str, dict[str, Any]] = {
    "all_zero": {"method": "all_zero"},
    "average": {"method": "ewma", "half_lives": [1, 4, 16, 64]},
    "count": {"method": "all_time_count"},
    "knows_all": {"method": "oracle"},
}
#: What the settings of all of these models have alike.
COMMON: dict[str, Any] = {
    "slot": "day",
    "split": SPLIT,
    "gaps": "calendar",
    "input": "movie",
    "output": "last_step",
    "bidirectional": False,
    "layer_normalization": False,
    "convolution": None,
    "dropout": 0.1,
    "optimizer": "adam",
    "learning_rate": 0.01,
    "weight_decay": None,
    "schedule": "constant",
    "clipnorm": 1.0,
    "ema_momentum": 0.9,
    "batch_size": 64,
    "patience": None,
    "score_at_epochs": [],
    "offset_grid": None,
    "sampled_movies": 5,
    "epoch_steps": None,
    "training_windows": 200,
}
MODELS: dict[str, dict[str, Any]] = {
    "soft": {
        "cell": "gru",
        "layers": [4],
        "dense_units": 4,
        "features": [
            "log_count",
            "ewma_3",
            "mean_rating",
            "log_release_age",
            "calendar",
            "genres",
            "season_7",
        ],
        "offset": "ewma",
        "offset_grid": BASELINES["average"],
        "loss": "softmax_cross_entropy",
        "epochs": 3,
        "window": 4,
    },
    "course": {
        "cell": "none",
        "layers": [4],
        "dense_units": 0,
        "features": ["label_n"],
        "offset": "none",
        "loss": "mae",
        "epochs": 5,
        "window": 3,
    },
    "joint": {
        "input": "all_movies",
        "top_movies": 8,
        "output": "every_step",
        "cell": "none",
        "layers": [4],
        "dense_units": 4,
        "features": ["log_share", "log_age"],
        "offset": "ewma",
        "offset_grid": BASELINES["average"],
        "loss": "categorical_cross_entropy",
        "score_at_epochs": [1, 3],
        "epochs": 3,
        "window": 3,
    },
}


def call(script: str, *arguments: object) -> None:
    """Run a script in this process, as one that has imported Keras already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(SCRIPTS / f"{script}.py"), run_name="__main__")


def command(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(SCRIPTS / f"{script}.py"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)


def settings_of(name: str) -> dict[str, Any]:
    """All that the training of a model depends on, as JSON has it."""
    model = {**COMMON, **MODELS[name]}
    kept = {key: model.pop(key) for key in ("slot", "split", "offset_grid")}
    return {"model": model, "slot": kept["slot"], "split": kept["split"], "offset": kept["offset_grid"]}


def modules(*names: str) -> list[Path]:
    """The modules of these families of baselines."""
    return [SCRIPTS / "popularity" / "forecasters" / f"{name}.py" for name in names]


def training(folder: Path, name: str, seed: int, out: Path) -> list[object]:
    settings = settings_of(name)
    options: list[object] = ["--sequences", folder / f"{settings['model']['window']}.parquet"]
    options += ["--movies", folder / "movies.parquet"]
    options += ["--name", name, "--settings", json.dumps(settings), "--seed", seed, "--threads", 1]
    return [*options, "--run", out]
