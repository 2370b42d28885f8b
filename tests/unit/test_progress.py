"""The lines that a run prints: a job's start and end, and what remains."""

import logging
import re
from dataclasses import replace
from typing import Any

import pytest

from popularity.progress import Planned, Progress, duration, job_name

JOBS = [
    Planned(1, "join_ratings", "join_ratings", None),
    Planned(2, "train_model", "train_model lstm seed 1", None),
    Planned(3, "plot_log", "plot_log", 4.0),
]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> tuple[Progress, dict[str, float]]:
    clock = {"now": 100.0}
    monkeypatch.setattr("popularity.progress.time.monotonic", lambda: clock["now"])
    return Progress(JOBS, 2, logging.Formatter("%(message)s")), clock


def told(lines: Progress, event: str | None, message: str | None = None, **fields: Any) -> str | None:
    record = logging.makeLogRecord({"msg": message, "event": event, **fields})
    if not lines.filter(record):
        return None
    return re.sub(r"^\d\d:\d\d:\d\d ", "", lines.format(record))


def test_a_run_is_a_line_for_each_end_and_for_the_start_of_slow_jobs(
    lines: tuple[Progress, dict[str, float]],
) -> None:
    run, clock = lines
    # 5 + 60 + 4 seconds on two cores, of which 60 are one job's.
    assert run.first_line() == "3 jobs, about 60 s (by what they take on the demo)."
    assert told(run, None, "Select jobs to execute...") is None
    assert told(run, "job_started", "Execute 1 jobs...") is None
    assert told(run, "job_info", jobid=1) is None
    clock["now"] += 5
    assert told(run, "job_finished", job_id=1) == "1 of 3 done: join_ratings, 5 s"
    assert told(run, "progress", done=1, total=3) is None
    assert told(run, "job_info", jobid=2) == "  train_model lstm seed 1 starts"
    clock["now"] += 45
    assert told(run, "job_info", jobid=3) is None
    clock["now"] += 5
    assert told(run, "job_finished", job_id=3) == "2 of 3 done: plot_log, 5 s"
    clock["now"] += 100
    assert told(run, "job_finished", job_id=2) == "3 of 3 done: train_model lstm seed 1, 2 min"


def test_other_messages_stay(lines: tuple[Progress, dict[str, float]]) -> None:
    run, _ = lines
    assert told(run, None, "Missing file.") == "Missing file."
    assert told(run, "job_error", "Error in rule x") == "Error in rule x"


def test_a_job_that_nobody_planned_is_told_at_its_end(lines: tuple[Progress, dict[str, float]]) -> None:
    run, _ = lines
    assert told(run, "job_info", jobid=9) is None
    assert str(told(run, "job_finished", job_id=9)).startswith("1 of 3 done: job 9, 0 s")


TWO_MODELS = [
    JOBS[0],
    *(Planned(number, "train_model", f"train_model lstm seed {number}", None) for number in (2, 3)),
]


def test_an_estimate_waits_for_a_quarter_of_the_work_and_goes_by_what_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = {"now": 100.0}
    monkeypatch.setattr("popularity.progress.time.monotonic", lambda: clock["now"])
    run = Progress(TWO_MODELS, 1, None)
    told(run, "job_info", jobid=1)
    clock["now"] += 50
    assert told(run, "job_finished", job_id=1) == "1 of 3 done: join_ratings, 50 s"
    assert told(run, "job_info", jobid=2) == "  train_model lstm seed 2 starts"
    clock["now"] += 600
    # (50 + 600 + 41.7) / (5 + 60 + 41.7) times as long as expected, with the mean job's 41.7 s added.
    last = str(told(run, "job_finished", job_id=2))
    assert last == "2 of 3 done: train_model lstm seed 2, 10 min; about 6 min left"
    assert told(run, "job_info", jobid=3) == "  train_model lstm seed 3 starts: about 6 min"


def test_jobs_that_ran_before_are_estimated_from_the_start() -> None:
    run = Progress([replace(job, before=10.0) for job in TWO_MODELS], 1, None)
    told(run, "job_info", jobid=1)
    assert str(told(run, "job_finished", job_id=1)).endswith("; about 20 s left")


def test_earlier_runs_say_what_a_job_takes() -> None:
    run = Progress([Planned(1, "train_model", "train_model a", 3000.0)], 8, None)
    assert run.first_line() == "1 jobs, about 50 min (by earlier runs)."


def test_names_and_durations() -> None:
    wildcards = [("dataset", "demo"), ("fold", "backtest/1/"), ("model", "lstm"), ("seed", "2")]
    assert job_name("train_model", wildcards) == "train_model backtest/1 lstm seed 2"
    assert job_name("join_ratings", [("dataset", "demo"), ("fold", "")]) == "join_ratings"
    assert [duration(seconds) for seconds in (0.4, 89, 91, 5399, 7200)] == [
        *("0 s", "89 s", "2 min", "90 min", "2.0 h"),
    ]
