"""Logs that are valid and strange: each gives a right result or a line that says what to change."""

import math
import re
import runpy
import shlex
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from workdir import SMALL, copy_workflow, snakemake

DAY = 86_400
START = 17_000 * DAY

Row = tuple[int, int, int]


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The jobs of a whole run in order, but for the report, as the command lines of the scripts."""
    settings = {
        **SMALL,
        "dataset": "own",
        "window": 3,
        "datasets": {"own": {"url": "own.zip"}},
        "defaults": {**SMALL["defaults"], "epochs": 1, "batch_size": 64},
        "models": {"gru": None, "cnn_lstm": None, "course_lstm": None},
    }
    folder = copy_workflow(tmp_path_factory.mktemp("plan"), settings)
    ended = snakemake(folder, "--dry-run", "--printshellcmds")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = re.findall(
        r"^Shell command: (?:\w+=\S+ )?python (scripts/.*) > results/\S+ 2>&1$", ended.stdout, re.MULTILINE
    )
    found = [shlex.split(line) for line in lines]
    names = [Path(command[0]).stem for command in found]
    assert {"download_archive", "train_model", "evaluate_learned", "simulate_cache"} <= set(names)
    assert names[-1] == "write_report"
    about_jobs = {"list_software", "plot_runtimes", "write_table", "write_front_page", "write_captions"}
    about_jobs.add("write_report")
    return [
        [str(folder / command[0]), *command[1:]]
        for command, name in zip(found, names, strict=True)
        if name not in about_jobs
    ]


def run(commands: Iterable[list[str]], folder: Path, rows: Iterable[Row]) -> str | None:
    """Run the jobs in this process on a log of users, movies and seconds, up to the first fault."""
    with zipfile.ZipFile(folder / "own.zip", "w") as archive:
        lines = [f"{user},{movie},3.5,{START + second}" for user, movie, second in rows]
        archive.writestr("own/ratings.csv", "\n".join(["userId,movieId,rating,timestamp", *lines, ""]))
        movies = sorted({movie for _, movie, _ in rows})
        lines = [f"{movie},Movie {movie} (1990),Drama" for movie in movies]
        archive.writestr("own/movies.csv", "\n".join(["movieId,title,genres", *lines, ""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in commands:
            patch.setattr(sys, "argv", command)
            try:
                runpy.run_path(command[0], run_name="__main__")
            except SystemExit as ended:
                if ended.code:
                    return f"{Path(command[0]).stem}: {ended.code}"
    return None


def without(commands: list[list[str]], *prefixes: str) -> list[list[str]]:
    """The jobs but for those of some scripts: pictures take most of the time."""
    return [command for command in commands if not Path(command[0]).name.startswith(prefixes)]


def daily(slots: int, movies: int = 8, users: int = 5) -> list[Row]:
    """Requests of every movie but one in each slot, that one changing."""
    return [
        (1 + (slot + movie) % users, 10 + movie, slot * DAY + 60 * movie + 1)
        for slot in range(slots)
        for movie in range(movies)
        if movies == 1 or (slot + movie) % movies
    ]


def results(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The leaderboard by name, and the forecast."""
    own = folder / "results" / "own"
    return pd.read_csv(own / "leaderboard.csv").set_index("name"), pd.read_csv(own / "forecast.csv")


def test_one_movie_is_always_foreseen(commands: list[list[str]], tmp_path: Path) -> None:
    assert run(without(commands, "plot_eda", "plot_log"), tmp_path, daily(30, movies=1)) is None
    board, forecast = results(tmp_path)
    assert (board["cross_entropy"].abs() < 1e-9).all()
    assert (board[["cross_entropy_ratio", "ratio_low", "ratio_high"]].dropna() == 1).all(axis=None)
    assert forecast["predicted_share"].tolist() == [1.0]


def test_one_user_and_a_single_request_a_slot(commands: list[list[str]], tmp_path: Path) -> None:
    rows = [(1, 10 + slot % 3, slot * DAY + 1) for slot in range(40)]
    assert run(without(commands, "plot_"), tmp_path, rows) is None
    board, forecast = results(tmp_path)
    # Three movies in turn: the average of all tells nothing, the last value is always wrong.
    assert board.loc["all_time_share", "cross_entropy"] == pytest.approx(math.log(3), rel=0.05)
    assert board["cross_entropy"].idxmax() == "last_value"
    assert sorted(forecast["movieId"]) == [10, 11, 12]
    assert forecast["predicted_share"].sum() == pytest.approx(1)


def test_no_known_movie_is_requested_in_the_test_slots(commands: list[list[str]], tmp_path: Path) -> None:
    fault = run(without(commands, "plot_"), tmp_path, [*daily(60), (1, 99, 69 * DAY + 1)])
    assert fault is not None
    assert "no movie that was requested before is requested in the 1 slots with requests that" in fault
    assert not list(tmp_path.rglob("leaderboard.csv"))


TOO_LITTLE = {
    "one request": (
        [(1, 10, 1)],
        "the log has 1 slots, and no request in the 0 of them that are validation",
    ),
    "one slot": (
        daily(1),
        "the log has 1 slots, and no request in the 0 of them that are validation slots",
    ),
    "fewer slots than a window": (daily(2), "validation slots; use shorter slots or another split"),
    "a window as long as the training slots": (daily(5), "models.lstm.window: found 3; allowed: less than"),
    "no request in the validation slots": (
        [*daily(40), (1, 99, 100 * DAY)],
        "no request in the 15 of them that are validation slots; 1 requests are of 2016-10-26, far from "
        "all others, of 2016-07-18 to 2016-08-26 (log.json and logs/join_ratings.log name the file",
    ),
}


BEFORE_TRAINING = [
    "download_archive",
    "join_ratings",
    "label_popularity",
    "sort_by_time",
    "build_sequences",
]


@pytest.mark.parametrize("case", TOO_LITTLE)
def test_too_little_to_learn_from_is_told(commands: list[list[str]], tmp_path: Path, case: str) -> None:
    rows, words = TOO_LITTLE[case]
    stems = [Path(command[0]).stem for command in commands]
    # The log's pictures are drawn for whatever there is.
    pictures = ["plot_log"] if case == "one request" else []
    chosen = [*BEFORE_TRAINING, *pictures, "train_model"]
    fault = run([commands[stems.index(stem)] for stem in chosen], tmp_path, rows)
    assert fault is not None
    assert fault.startswith("train_model: error: ")
    assert words in fault
