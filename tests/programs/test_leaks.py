"""What is tuned and trained depends on no test slot: not the averages, nor when a training ends."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from popularity import tables
from popularity.scoring.intervals import IntervalCheck
from popularity.series import read_series, split_slots
from popularity.settings.slots import FoldSplit
from small_forecasters import offset_on
from small_logs import FIRST_SLOT, catalogue_of, write_sequences
from small_models import BASELINES, SPLIT, call, modules, settings_of, training

SLOTS, MOVIES = 60, 12
#: As the split divides them.
VALIDATED, TESTED = range(FIRST_SLOT + 42, FIRST_SLOT + 51), range(FIRST_SLOT + 51, FIRST_SLOT + 60)
MIX = {"method": "ewma_mix", "short": [1, 2], "long": [4, 40], "weights": [0.2, 0.8]}
SPECS: dict[str, Any] = {
    "average": BASELINES["average"],
    "mix": MIX,
    "croston": {"method": "croston", "smoothing": [0.05, 0.2, 0.9]},
    "tsb": {"method": "tsb", "smoothing": [0.05, 0.9], "rate_smoothing": [0.02, 0.9]},
}


LEARNED: dict[str, dict[str, Any]] = {
    "poisson_glm": {
        "features": ["log_requests", "log_idle"],
        "offset": "ewma_mix",
        "penalties": [0.01, 100],
    },
    "lightgbm": {"features": ["log_requests", "log_idle"], "offset": "ewma_mix"},
    "ridge": {"lags": 3, "penalties": [0.01, 100]},
}


def log_with_tests(steady: bool) -> pd.DataFrame:
    """Requests that drift up to the validation slots; in the test slots they stay or jump.

    Where they stay, a long average fits best, and where they jump a short one. The total stays, too, or
    goes up and down.
    """
    draw = np.random.default_rng(3)
    rows = []
    for slot in range(SLOTS):
        rates = 3 + 2.5 * np.sin(slot / 6 + np.arange(MOVIES))
        if slot + FIRST_SLOT in TESTED:
            rates = (
                np.full(MOVIES, 6.0)
                if steady
                else (60.0 - 50 * (slot % 2)) * (np.arange(MOVIES) == slot // 4 % MOVIES)
            )
            counts = np.maximum(rates.astype(int), 0)
        else:
            counts = draw.poisson(rates)
        # All are candidates from the second slot on, and the log ends with the last test slot.
        counts = np.maximum(counts, slot in (0, SLOTS - 1))
        rows += [(FIRST_SLOT + slot, 10 * movie + 7, count) for movie, count in enumerate(counts) if count]
    return pd.DataFrame(rows, columns=["slot", "movieId", "label"]).assign(avg_rating=3.0)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A folder for each of two logs that differ in the test slots alone."""
    folders = []
    for name in ("steady", "jumping"):
        log = log_with_tests(name == "steady")
        folder = tmp_path_factory.mktemp(name)
        for window in (3, 4):
            write_sequences(folder / f"{window}.parquet", log, window)
        tables.write(folder / "movies.parquet", catalogue_of(log))
        folders.append(folder)
    return folders


def test_these_logs_would_show_a_leak(logs: list[Path]) -> None:
    both = [read_series(folder / "4.parquet", "day") for folder in logs]
    assert [
        split_slots(series, FoldSplit(validation=0.15, test=0.15))["validation"] for series in both
    ] == [VALIDATED] * 2
    assert [split_slots(series, FoldSplit(validation=0.15, test=0.15))["test"] for series in both] == [
        TESTED
    ] * 2
    for spec in (BASELINES["average"], MIX):
        validated = [offset_on(series, VALIDATED, **spec) for series in both]
        tested = [offset_on(series, TESTED, **spec) for series in both]
        assert validated[0] == validated[1]
        assert tested[0] != tested[1]
    paces = [
        [IntervalCheck(series, part).total_half_life for part in (VALIDATED, TESTED)] for series in both
    ]
    assert paces[0][0] == paces[1][0]
    assert paces[0][1] != paces[1][1]


def untested(metrics: dict[str, Any]) -> dict[str, Any]:
    """Leave out of what an evaluation found what is of the test slots."""
    checks = metrics.get("intervals", {})
    checked = {key: checks[key] for key in ("dispersion", "total_half_life") if key in checks}
    return {**metrics, "test": None, "intervals": checked}


def test_baselines_are_tuned_on_no_test_slot(logs: list[Path], tmp_path: Path) -> None:
    chosen = []
    for folder in logs:
        options: list[object] = ["--sequences", folder / "4.parquet", "--baselines", json.dumps(SPECS)]
        options += ["--methods", *modules("averages", "intermittent"), "--split", json.dumps(SPLIT)]
        options += ["--scores", tmp_path / "scores.parquet", "--metrics", tmp_path / "metrics.json"]
        call("evaluate_baselines", *options, "--slot", "day")
        metrics = json.loads((tmp_path / "metrics.json").read_text())
        assert set(metrics) == set(SPECS)
        # What is left is what was chosen, and the scores of the validation slots.
        chosen.append({name: untested(found) for name, found in metrics.items()})
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("method", LEARNED)
def test_learned_baselines_are_fitted_on_no_test_slot(
    logs: list[Path], tmp_path: Path, method: str
) -> None:
    baseline = {"method": method, "training_rows": 400, **LEARNED[method]}
    offset = MIX if baseline.get("offset") == "ewma_mix" else None
    settings = {"baseline": baseline, "offset": offset, "slot": "day", "split": SPLIT}
    chosen = []
    for folder in logs:
        options: list[object] = ["--sequences", folder / "4.parquet", "--movies", folder / "movies.parquet"]
        options += ["--methods", *modules("averages", "regressions", "trees")]
        options += ["--name", "one", "--settings", json.dumps(settings), "--seed", 1]
        options += ["--scores", tmp_path / "scores.parquet", "--metrics", tmp_path / "metrics.json"]
        options += ["--predictions", tmp_path / "predictions.parquet"]
        call("evaluate_learned", *options, "--fitted", tmp_path / "fitted.json")
        fitted = json.loads((tmp_path / "fitted.json").read_text())
        chosen.append([fitted, untested(json.loads((tmp_path / "metrics.json").read_text()))])
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("name", ["soft", "joint", "course"])
def test_networks_are_trained_stopped_and_offset_by_no_test_slot(
    one_thread: None, logs: list[Path], tmp_path: Path, name: str
) -> None:
    from popularity.forecasters.network.inference import load_network

    # With patience it keeps the epoch that is best on the validation slots.
    settings = settings_of(name)
    settings["model"] |= {"patience": 2, "epochs": 4}
    made: list[tuple[Any, ...]] = []
    for folder in logs:
        out = tmp_path / folder.name
        options = training(folder, name, 1, out)
        options[options.index("--settings") + 1] = json.dumps(settings)
        call("train_model", *options)
        history = pd.read_csv(out / "history.csv").drop(columns="seconds")
        weights = [array.tolist() for array in load_network(out / "model.keras").get_weights()]
        found = json.loads((out / "run.json").read_text())["settings"]
        made.append((found, history.to_numpy().tolist(), weights))
        sequences = options[options.index("--sequences") + 1]
        options = ["--sequences", sequences, "--movies", folder / "movies.parquet", "--run", out]
        options += [
            word for table in ("predictions", "scores") for word in (f"--{table}", out / f"{table}.parquet")
        ]
        call("evaluate_model", *options, "--metrics", out / "metrics.json")
        made[-1] += (untested(json.loads((out / "metrics.json").read_text())),)
    assert made[0] == made[1]
