"""Logs that are valid and strange: each gives a right result or a line that says what to change."""

import csv
import json
import os
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
    }
    folder = copy_workflow(tmp_path_factory.mktemp("plan"), settings)
    ended = snakemake(folder, "--dry-run", "--printshellcmds")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = re.findall(r"^Shell command: python (scripts/.*) > results/\S+ 2>&1$", ended.stdout, re.MULTILINE)
    found = [shlex.split(line) for line in lines]
    names = [Path(command[0]).stem for command in found]
    assert names[0] == "download_archive"
    assert names[-1] == "write_report"
    return [[str(folder / command[0]), *command[1:]] for command in found[:-1]]


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


def daily(slots: int, movies: int = 8, users: int = 5) -> list[Row]:
    """Requests of every movie but one in each slot, that one changing."""
    return [
        (1 + (slot + movie) % users, 10 + movie, slot * DAY + 60 * movie + 1)
        for slot in range(slots)
        for movie in range(movies)
        if movies == 1 or (slot + movie) % movies
    ]


CASES = {
    "one movie": daily(60, movies=1),
    "one user": daily(60, users=1),
    "one slot": daily(1),
    "one request": [(1, 10, 1)],
    "fewer slots than a window": daily(3),
    "as many training slots as a window": daily(5),
    "a bit more": daily(8),
    "no known movie is requested in the test slots": [*daily(60), (1, 99, 80 * DAY)],
    "nor in those before": [*daily(40), (1, 99, 100 * DAY)],
    "no movie is requested twice": [(1, 10 + slot, slot * DAY + 1) for slot in range(60)],
    "a single request in each slot": [(1, 10 + slot % 3, slot * DAY + 1) for slot in range(60)],
}

@pytest.mark.parametrize("case", CASES)
def test_x(commands, tmp_path, case):
    fault = run(commands, tmp_path, CASES[case])
    print("RESULT", case, fault)
    if fault is None:
        board = pd.read_csv(tmp_path / "results/own/leaderboard.csv")
        print(board.iloc[:, [0,1,3,4,5,6,7]].to_string())
        print((tmp_path / "results/own/forecast.csv").read_text()[:300])
