"""The training benchmark's programs learn the same problem, and its judge is ours."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench_data
import bench_training
import training
from popularity.settings.fields import canonical
from popularity.settings.model import TrainingSettings
from workdir import ROOT

TINY = {"layers": [4], "dense_units": 4, "epochs": 2, "sampled_movies": 20, "window": 5}
SEED = 1


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    archive = folder / "small.zip"
    size = ["--ratings", "20000", "--users", "400", "--movies", "300"]
    bench_data.measure([sys.executable, ROOT / "scripts/simulate_archive.py", *size, "--output", archive])
    bench_data.measure(*bench_data.our_commands(archive, "week", folder).values())
    return folder


@pytest.fixture(scope="module")
def settings() -> TrainingSettings:
    _, model = bench_training.default_lstm(TINY)
    return model


@pytest.fixture(scope="module")
def ours(work: Path, settings: TrainingSettings) -> list[dict[str, float]]:
    given = canonical(settings)
    sequences = work / "sequences" / "observed-3.parquet"
    history, used = bench_training.train_ours(sequences, given, SEED, 1, work)
    assert len(history) == 2
    assert 0 < history[0]["seconds"] < history[1]["seconds"]
    assert used.peak > 100
    return history


@pytest.fixture(scope="module")
def problem(work: Path, settings: TrainingSettings) -> Any:
    sequences = work / "sequences" / "observed-3.parquet"
    return training.read_problem(sequences, work / "movies.parquet", settings, SEED)


def test_the_judge_scores_as_history_does(problem: Any, ours: list[dict[str, float]], work: Path) -> None:
    from popularity.forecasters.network import inference
    from popularity.forecasters.network.framings import Framing
    from popularity.forecasters.network.saved import TrainedModel

    run = TrainedModel.open(work / "ours")
    model = inference.load_network(run.network_file)
    framing = Framing(problem.series, problem.movies, run.asked.settings, run.found)
    rows = framing.validation(problem.slots["validation"], SEED)
    inputs = framing.inputs(rows)
    outputs = inference.run_network(model, inputs)[:, -1, 0]
    # The history is of the whole correction of the offset, of which the model kept a part.
    offset = inputs["offset"][:, -1, 0]
    outputs = offset + (outputs - offset) / run.found.correction
    best = ours[run.found.best_epoch - 1]["cross_entropy"]
    assert training.judge_of(problem.validation)(np.exp(outputs)) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("words", [[], ["--averaged"]])
def test_pytorch_learns_the_same_problem(
    words: list[str], work: Path, settings: TrainingSettings, problem: Any, ours: list[dict[str, float]]
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    made = bench_training.run_peer(
        sys.executable,
        bench_training.PEERS / "torch_training.py",
        "reach",
        *words,
        sequences=work / "sequences" / "observed-3.parquet",
        movies=work / "movies.parquet",
        settings=canonical(settings),
        seed=SEED,
        threads=1,
        epochs=3,
        target=0,
    )["history"]
    assert len(made) == 3
    untrained = training.judge_of(problem.validation)(
        np.exp(problem.framing.inputs(problem.validation)["offset"][:, 0, 0].astype(float))
    )
    assert made[-1]["cross_entropy"] < untrained
    assert made[-1]["cross_entropy"] == pytest.approx(ours[-1]["cross_entropy"], rel=0.05)


def test_the_long_table_holds_every_slot_of_a_movie(problem: Any, tmp_path: Path) -> None:
    import pandas as pd

    training.write_long(problem, tmp_path / "long.parquet", tmp_path / "rows.npz")
    table = pd.read_parquet(tmp_path / "long.parquet")
    end = problem.slots["validation"].stop
    series = problem.series
    assert table.groupby("unique_id")["ds"].count().to_dict() == {
        movie: end - 1 - first
        for movie, first in enumerate(series.first_request.tolist())
        if first < end - 1
    }
    later = (series.slot < end) & (series.slot > series.first_request[series.movie])
    assert table["y"].sum() == series.label[later].sum()
    rows = np.load(tmp_path / "rows.npz")
    counts = table.set_index(["unique_id", "ds"])["y"]
    at = list(zip(rows["movie"].tolist(), rows["slot"].tolist(), strict=True))
    assert counts.loc[at].to_numpy() == pytest.approx(rows["label"])


def test_the_time_is_that_of_the_first_epoch_as_good() -> None:
    history = [
        {"seconds": 1.0, "cross_entropy": 7.5},
        {"seconds": 2.0, "cross_entropy": 7.2},
        {"seconds": 3.0, "cross_entropy": 7.1},
    ]
    assert bench_training.reached(history, 7.2) == (2.0, True)
    assert bench_training.reached(history, 7.0) == (3.0, False)


def test_the_steps_are_timed_at_a_small_size() -> None:
    program = ROOT / "benchmarks" / "bench_training.py"
    ended = subprocess.run(
        [sys.executable, program, "--only", "steps", "--windows", "2048", "--runs", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "| ours | last step |" in ended.stdout
    assert "| ours | every step |" in ended.stdout
