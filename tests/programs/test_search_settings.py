"""Searching for settings: what is tried, that a stopped search goes on, and what it writes."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pytest
import yaml
from optuna.storages.journal import JournalFileSymlinkLock

import search_settings
import train_model
from popularity import tables
from popularity.forecasters.network import inference
from popularity.forecasters.network.saved import Asked
from popularity.forecasters.network.training import Trained
from popularity.program import Fault
from popularity.settings.fields import canonical
from popularity.settings.resolve import resolve_settings, training_settings
from small_logs import catalogue_of, random_log, write_sequences
from workdir import ROOT

SCHEMA = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SPACE = {
    "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "sampled_movies": {"low": 2, "high": 9, "log": False},
    "layers": [[2], [3, 2]],
}


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    log = random_log(60, movies=25, seed=5)
    tables.write(tmp_path / "movies.parquet", catalogue_of(log))
    write_sequences(tmp_path / "sequences.parquet", log, 4)
    settings = resolve_settings(CONFIG, SCHEMA)
    model = dataclasses.replace(settings.models["lstm"], window=4, epochs=2)
    files = {
        "sequences": tmp_path / "sequences.parquet",
        "movies": tmp_path / "movies.parquet",
        "studies": tmp_path / "studies",
        "trials-table": tmp_path / "trials.csv",
        "fragment": tmp_path / "best.yaml",
    }
    options = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    options += ["--name", "found", "--settings", canonical(training_settings(settings, model))]
    return [*options, "--changed", json.dumps({"epochs": 2}), "--space", json.dumps(SPACE), "--seed", "1"]


def search(monkeypatch: pytest.MonkeyPatch, options: list[str], trials: int) -> pd.DataFrame:
    monkeypatch.setattr("sys.argv", ["search_settings", *options, "--trials", str(trials)])
    search_settings.main()
    return pd.read_csv(options[options.index("--trials-table") + 1])


def test_a_search_that_was_stopped_ends_as_one_that_was_not(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(search(monkeypatch, options, 2)) == 2
    fit, calls = train_model.fit, []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments[0])
        return fit(*arguments)

    monkeypatch.setattr(search_settings, "fit", counted)
    resumed = search(monkeypatch, options, 4)
    assert len(calls) == 2
    at = options.index("--studies") + 1
    whole = search(monkeypatch, [*options[:at], str(tmp_path / "again"), *options[at + 1 :]], 4)
    assert len(calls) == 6
    assert resumed.equals(whole)
    assert resumed["learning_rate"].between(0.001, 0.1).all()
    assert set(resumed["layers"]) <= {"[2]", "[3, 2]"}
    assert resumed["sampled_movies"].between(2, 9).all()

    best = resumed.iloc[resumed["val_cross_entropy"].argmin()]
    fragment = yaml.safe_load((tmp_path / "best.yaml").read_text())
    found = fragment["models"]["found"]
    assert found["epochs"] == 2
    assert found["learning_rate"] == pytest.approx(best["learning_rate"])
    assert str(found["layers"]) == best["layers"]
    # It is what config.yaml may say.
    resolve_settings({**CONFIG, "models": {**CONFIG["models"], **fragment["models"]}}, SCHEMA)


SPOILT = {
    "torn": lambda journal: journal[:-15],
    "without its last end of line": lambda journal: journal[:-1],
    "torn, and gone on with": lambda journal: journal[:-15] + journal[-40:],
    "empty": lambda journal: b"",
    "cut within a sign": lambda journal: journal + "{é".encode()[:-1],
    "zeros at its end": lambda journal: journal + bytes(512),
    "a line of another kind": lambda journal: journal + b"[]\n",
    "no numbers for names": lambda journal: journal.replace(b'"op_code":', b'"op_cod":'),
    "unknown steps": lambda journal: journal.replace(b'"op_code":6', b'"op_code":99'),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_is_spoilt_of_the_journal_counts_for_nothing(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(search_settings, "fit", quick_fit)
    monkeypatch.setattr(inference, "prepare", lambda seed, threads: None)
    whole = search(monkeypatch, options, 4)
    (journal,) = (tmp_path / "studies").glob("*.log")
    journal.unlink()
    search(monkeypatch, options, 2)
    spoilt = spoil(journal.read_bytes())
    assert spoilt != journal.read_bytes()
    journal.write_bytes(spoilt)
    # Trials that were begun before keep their numbers.
    assert search(monkeypatch, options, 4).drop(columns="trial").equals(whole.drop(columns="trial"))


def trained(loss: float) -> tuple[Trained, None]:
    """What a training of this cross entropy brings."""
    return Trained(None, [{"val_cross_entropy": loss}], {}), None


def quick_fit(asked: Asked, *_: object) -> tuple[Trained, None]:
    """Make up what a training might bring, so that a trial takes no time."""
    model = asked.settings.model
    return trained(model.learning_rate * model.sampled_movies)


def test_a_lock_that_a_killed_search_left_is_not_waited_for_for_ever(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_settings, "fit", quick_fit)
    monkeypatch.setattr(inference, "prepare", lambda seed, threads: None)
    monkeypatch.setattr(search_settings, "LOCK_SECONDS", 3)
    monkeypatch.chdir(tmp_path)
    options[options.index("--studies") + 1] = "studies"
    search(monkeypatch, options, 1)
    taken = []

    def left(path: str, grace_period: int) -> object:
        taken.append(JournalFileSymlinkLock(path, grace_period).acquire())
        return JournalFileSymlinkLock(path, grace_period)

    monkeypatch.setattr(search_settings, "JournalFileSymlinkLock", left)
    assert len(search(monkeypatch, options, 2)) == 2
    assert taken == [True]


def test_a_trial_that_diverges_is_left_out(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([np.nan, 3.0, np.nan])

    def fit(*arguments: Any) -> tuple[Trained, None]:
        loss = next(losses)
        if np.isnan(loss):
            raise Fault("models.found: diverged")
        return trained(loss)

    monkeypatch.setattr(search_settings, "fit", fit)
    monkeypatch.setattr(inference, "prepare", lambda seed, threads: None)
    assert search(monkeypatch, options, 3)["val_cross_entropy"].tolist() == [3.0]


def test_a_search_without_a_trial_that_can_be_trained_is_told(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*arguments: Any) -> NoReturn:
        raise Fault("models.found: diverged")

    monkeypatch.setattr(search_settings, "fit", fit)
    with pytest.raises(Fault, match=r"search\.space in config\.yaml: no trial could be trained"):
        search(monkeypatch, options, 2)
    assert not (tmp_path / "best.yaml").exists()
