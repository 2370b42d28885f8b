"""Each backend trains a small network, and one saved network predicts the same in all."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from popularity import tables
from popularity.settings.fields import canonical
from popularity.settings.resolve import resolve_settings, training_settings
from small_logs import catalogue_of, random_log, write_sequences
from workdir import ROOT

BACKENDS = ("tensorflow", "torch", "jax")
SCRIPTS = ROOT / "scripts"


def call(backend: str, script: str, *arguments: object) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    ended = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{script}.py"), *map(str, arguments)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log, and a network of a convolution and two kinds of layers trained on it."""
    folder = tmp_path_factory.mktemp("log")
    log = random_log(60, movies=25, seed=5)
    tables.write(folder / "movies.parquet", catalogue_of(log))
    write_sequences(folder / "sequences.parquet", log, 4)
    train(folder, "tensorflow")
    return folder


def train(folder: Path, backend: str) -> None:
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    settings = resolve_settings(config, schema)
    model = dataclasses.replace(
        settings.models["cnn_lstm"], window=4, layers=(4,), epochs=2, layer_normalization=True
    )
    options = [
        "--run",
        folder / backend,
        "--sequences",
        folder / "sequences.parquet",
        "--movies",
        folder / "movies.parquet",
    ]
    options += [
        "--name",
        "cnn_lstm",
        "--settings",
        canonical(training_settings(settings, model)),
        "--seed",
        "1",
    ]
    call(backend, "train_model", *options)


def predicted(folder: Path, backend: str, model: Path) -> pd.Series:
    out = folder / f"{backend}.parquet"
    options = ["--sequences", folder / "sequences.parquet", "--movies", folder / "movies.parquet"]
    call(backend, "predict", "--model", model, *options, "--predictions", out)
    return pd.read_parquet(out).set_index(["slot", "movieId"])["predicted"]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_one_saved_network_predicts_the_same_in_each_backend(folder: Path, backend: str) -> None:
    model = folder / "tensorflow" / "model.keras"
    expected, found = predicted(folder, "tensorflow", model), predicted(folder, backend, model)
    assert found.index.equals(expected.index)
    assert (found - expected).abs().max() < 1e-4
    assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_each_backend_trains(folder: Path, backend: str) -> None:
    train(folder, backend)
    history = pd.read_csv(folder / backend / "history.csv")
    assert len(history) == 2
    # The weights are drawn by other generators, so that results are near and not the same.
    reference = pd.read_csv(folder / "tensorflow" / "history.csv")
    assert history["val_loss"].tolist() == pytest.approx(reference["val_loss"].tolist(), rel=0.02)
    assert json.loads((folder / backend / "run.json").read_text())["backend"] == backend
