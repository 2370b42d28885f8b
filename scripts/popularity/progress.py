"""A run in few words: a line when a slow job starts and when any job ends, with what remains.

It turns Snakemake's own messages of jobs to such lines; all others stay as they are.
"""

import logging
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Seconds of a job, about, on the demo with 2 cores: for rules that nothing is known of yet.
TYPICAL_SECONDS = {
    "train_model": 60.0,
    "search_settings": 600.0,
    "evaluate_model": 20.0,
    "evaluate_shard": 20.0,
    "evaluate_learned": 20.0,
    "replay_policies": 10.0,
    "simulate_cache": 15.0,
    "evaluate_baselines": 15.0,
    "forecast_next_slot": 15.0,
}
USUAL_SECONDS = 5.0
#: Jobs that are expected to take longer are said to start.
SLOW_SECONDS = 15.0
#: What jobs will take is told once so much of the expected time is that of jobs that have ended or ran
#: before: another log may take many times what the demo does, which its first, short jobs don't show.
TOLD_FROM = 0.25
#: Snakemake's messages of a job's life, by the value of its ``event``, and of its looking for jobs.
_LEFT_OUT = {"job_started", "progress", "resources_info", "shellcmd"}
_LOOKING = "Select jobs to execute..."


@dataclass
class Planned:
    """A job that is to run: its rule and wildcards in words, and the seconds that it took before.

    Attributes
    ----------
    number
        Snakemake's number of the job.
    rule, name
        Its rule's name, and the job's for the reader.
    before
        Seconds of an earlier run of the same job; None if there is none.
    """

    number: int
    rule: str
    name: str
    before: float | None

    @property
    def expected(self) -> float:
        """Seconds that it takes, as far as is known before the run."""
        return TYPICAL_SECONDS.get(self.rule, USUAL_SECONDS) if self.before is None else self.before


def job_name(rule: str, wildcards: Iterable[tuple[str, str]]) -> str:
    """Name a job: its rule, and what tells it from other jobs of the rule."""
    told = [
        f"seed {value}" if key == "seed" else value.strip("/")
        for key, value in wildcards
        if key != "dataset" and value
    ]
    return " ".join([rule, *told])


def duration(seconds: float) -> str:
    """Write seconds as a reader says them: ``12 s``, ``4 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Progress(logging.Formatter):
    """Formats the messages of jobs as one line each, and asks the usual formatter for all others.

    It is a filter, too, which leaves out what the lines say already.
    """

    def __init__(self, jobs: Iterable[Planned], cores: int, usual: logging.Formatter | None) -> None:
        super().__init__()
        self._jobs = {job.number: job for job in jobs}
        self._cores = max(cores, 1)
        self._usual = usual or logging.Formatter()
        self._started: dict[int, float] = {}
        self._took: dict[int, float] = {}

    def first_line(self) -> str:
        """Say how many jobs there are, and how long they may take."""
        known = sum(job.before is not None for job in self._jobs.values())
        by = "by earlier runs" if known > len(self._jobs) / 2 else "by what they take on the demo"
        return f"{len(self._jobs)} jobs, about {duration(self._left())} ({by})."

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is shown."""
        event = _event(record)
        if event == "job_info":
            number = int(getattr(record, "jobid", -1))
            self._started[number] = time.monotonic()
            job = self._jobs.get(number)
            return job is not None and self._expected(job) > SLOW_SECONDS
        return event not in _LEFT_OUT and record.msg != _LOOKING

    def format(self, record: logging.LogRecord) -> str:
        """Write the message."""
        event = _event(record)
        if event == "job_info":
            job = self._jobs[int(getattr(record, "jobid", -1))]
            starts = f"{_clock()}   {job.name} starts"
            return f"{starts}: about {duration(self._expected(job))}" if self._is_told() else starts
        if event == "job_finished":
            return self._end(int(getattr(record, "job_id", -1)))
        return self._usual.format(record)

    def _end(self, number: int) -> str:
        now = time.monotonic()
        took = now - self._started.get(number, now)
        self._took[number] = took
        job = self._jobs.get(number)
        name = job.name if job else f"job {number}"
        done = f"{_clock()} {len(self._took)} of {len(self._jobs)} done: {name}, {duration(took)}"
        left = self._left()
        return f"{done}; about {duration(left)} left" if left and self._is_told() else done

    def _is_told(self) -> bool:
        known = sum(
            job.expected
            for number, job in self._jobs.items()
            if job.before is not None or number in self._took
        )
        return known >= TOLD_FROM * sum(job.expected for job in self._jobs.values())

    def _factor(self) -> float:
        """How much longer jobs take than was expected of those that have ended."""
        ended = [(self._jobs[number], took) for number, took in self._took.items() if number in self._jobs]
        expected = sum(job.expected for job, _ in ended)
        # A few short jobs say nothing of a long one.
        pull = statistics.fmean(job.expected for job in self._jobs.values()) if self._jobs else 1.0
        return (sum(took for _, took in ended) + pull) / (expected + pull)

    def _expected(self, job: Planned) -> float:
        return job.expected if job.before is not None else job.expected * self._factor()

    def _left(self) -> float:
        now = time.monotonic()
        left = [
            max(self._expected(job) - (now - self._started.get(number, now)), 0.0)
            for number, job in self._jobs.items()
            if number not in self._took
        ]
        # No job is divided among cores, so the longest one bounds the rest.
        return max([sum(left) / self._cores, *left])


def _event(record: logging.LogRecord) -> str:
    event: Any = getattr(record, "event", None)
    return str(getattr(event, "value", event or ""))


def _clock() -> str:
    return time.strftime("%H:%M:%S")
