"""A training that is killed goes on after its last epoch, and ends as an undisturbed one."""

import csv
import itertools
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs import KILLING, Job, content, limited, one_job_of_each_script
from popularity.forecasters.network.checkpoints import Checkpoint, fingerprint
from workdir import snakemake

ARRAYS = {"weights": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7)], "none": []}
STATE = {"rows": [{"loss": 0.1 + 0.2, "bad": float("inf")}], "text": "ä"}


def test_what_was_kept_comes_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / ".checkpoint.npz"
    assert Checkpoint(path, "key").load() is None
    Checkpoint(path, "key").save({"weights": [np.zeros(9)]}, "before")
    Checkpoint(path, "key").save(ARRAYS, STATE)
    kept = Checkpoint(path, "key").load()
    assert kept is not None
    arrays, state = kept
    assert state == STATE
    assert arrays.keys() == ARRAYS.keys()
    for name, parts in ARRAYS.items():
        for found, expected in zip(arrays[name], parts, strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
    Checkpoint(path, "key").drop()
    assert list(tmp_path.iterdir()) == []
    Checkpoint(path, "key").drop()


def test_another_keys_state_is_not_taken_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Checkpoint(tmp_path / "a.npz", "key").save(ARRAYS, STATE)
    caplog.set_level(logging.INFO)
    assert Checkpoint(tmp_path / "a.npz", "other").load() is None
    assert "starting anew" in caplog.text


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "changed", "other arrays", "pickle"])
def test_a_spoilt_file_is_not_taken_up(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.npz"
    checkpoint = Checkpoint(path, "key")
    checkpoint.save(ARRAYS, STATE)
    whole = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "changed":
        at = whole.index(np.arange(6, dtype=np.float32).tobytes())
        path.write_bytes(whole[:at] + b"\x01" + whole[at + 1 :])
    elif kind == "other arrays":
        np.savez(path, weights=np.zeros(3))
    else:
        np.savez(path, known=np.array([{"key": "key"}], dtype=object))
    assert checkpoint.load() is None
    assert "not readable" in caplog.text


def test_a_fingerprint_is_of_settings_data_and_code(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("1")
    prints = {fingerprint({"a": 1, "b": 2}, [data]), fingerprint({"b": 2, "a": 1}, [data])}
    assert len(prints) == 1
    prints.add(fingerprint({"a": 1, "b": 3}, [data]))
    assert len(prints) == 2
    data.write_text("2")
    prints.add(fingerprint({"a": 1, "b": 2}, [data]))
    assert len(prints) == 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("popularity.forecasters.network.checkpoints._code", list)
        prints.add(fingerprint({"a": 1, "b": 2}, [data]))
    assert len(prints) == 4


class Training:
    """The command of a training of the small workflow, with settings under which much can differ."""

    def __init__(self, job: Job, finished: Path) -> None:
        self._words = job.command
        self._finished = finished

    def start(self, folder: Path, **changes: Any) -> subprocess.Popen[str]:
        """Start it in a folder; its log is stderr, line by line."""
        folder.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, *self.command(folder, **changes)],
            cwd=self._finished,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def command(self, folder: Path, **changes: Any) -> list[str]:
        """All that it writes goes into ``folder``; it reads from the finished workflow."""
        words = list(self._words)
        at = words.index("--settings") + 1
        settings = json.loads(words[at])
        settings["model"] |= {"epochs": 9, "patience": 2, "dropout": 0.4, "learning_rate": 0.1, **changes}
        words[at] = json.dumps(settings)
        words[words.index("--run") + 1] = str(folder)
        words[words.index("--checkpoint") + 1] = str(folder / ".checkpoint.npz")
        return words


def ended(process: subprocess.Popen[str]) -> str:
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told
    return told


def killed_after(process: subprocess.Popen[str], epochs: int, more: float) -> None:
    """Kill a training ``more`` seconds after it told of so many of its epochs."""
    assert process.stderr is not None
    told = (line for line in process.stderr if ": epoch " in line)
    assert len(list(itertools.islice(told, epochs))) == epochs
    try:
        process.wait(more)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()


def epochs_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_killed_training_ends_as_an_undisturbed_one(finished: Path, tmp_path: Path) -> None:
    training = Training(one_job_of_each_script(finished)["train_model"], finished)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    first = training.start(undisturbed)
    # Right after an epoch, while its checkpoint may be half written, and somewhere in a later one.
    killed_after(training.start(killed), 1, 0.0)
    killed_after(training.start(killed), 2, 0.1)
    assert (killed / ".checkpoint.npz").exists()
    told = ended(training.start(killed))
    assert "going on after epoch " in told
    ended(first)
    assert {path.name for path in killed.iterdir()} == {path.name for path in undisturbed.iterdir()}
    assert not [name for name in undisturbed.iterdir() if content(killed / name.name) != content(name)]
    # Else nothing is shown of early stopping and its best weights.
    epochs = epochs_of(undisturbed)
    best = min(epochs, key=lambda row: float(row["val_loss"]))
    assert 2 < len(epochs) < 9
    assert int(best["epoch"]) == len(epochs) - 2


def test_snakemake_keeps_a_failed_trainings_checkpoint(finished: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    outputs = folder / "results/demo/models/lstm/seed-1"
    (outputs / "model.keras").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(KILLING))
        patch.setenv("KILL_BEFORE_RENAME", "2")
        run = snakemake(folder, "results/demo/models/lstm/seed-1/model.keras")
    assert run.returncode != 0
    assert "epoch 2 of 2" in run.stdout + run.stderr
    assert {".checkpoint.npz"} == {path.name for path in outputs.glob(".*") if "partial" not in path.name}
    assert not any((outputs / name).exists() for name in ("model.keras", "history.csv", "run.json"))


def test_a_training_goes_on_from_no_other_trainings_state(finished: Path, tmp_path: Path) -> None:
    training = Training(one_job_of_each_script(finished)["train_model"], finished)
    Checkpoint(tmp_path / ".checkpoint.npz", "other settings").save(ARRAYS, STATE)
    told = ended(training.start(tmp_path, epochs=1))
    assert "starting anew" in told
    assert [row["epoch"] for row in epochs_of(tmp_path)] == ["1"]
    assert not (tmp_path / ".checkpoint.npz").exists()


def test_a_checkpoint_that_finds_no_room_is_told(finished: Path, tmp_path: Path) -> None:
    training = Training(one_job_of_each_script(finished)["train_model"], finished)
    run = limited(finished, "ulimit -f 1", training.command(tmp_path))
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last.startswith(f"error: {tmp_path / '.checkpoint.npz'}: could not be written, file too large")
    assert list(tmp_path.iterdir()) == []
