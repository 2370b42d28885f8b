"""Run the whole default graph at ml-latest's size, and tell what each rule took and what a cluster would.

The archive is simulated, of the size of ml-latest in August 2017, and kept in resources/benchmarks/; the
results are in results/full. It takes half an hour on 2 cores: after an interruption, or an edit, the same
command runs what is left or concerned, as every run of Snakemake does. Times on other numbers of cores are
computed from the graph and from what each job took here.

With ``--large`` it shows what a larger log needs of memory, which does not depend on how long networks
train, nor on how many slots are tested: few of both make a day's run one of an hour.
"""

import argparse
import csv
import heapq
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench_billion import write_log
from bench_data import CACHE, HOME, RATINGS, say, simulated, table

#: Snakemake looks at what a job takes every 30 s once it runs for long, and so misses up to 30 s of CPU
#: time and most of the memory. Here it goes on to look every few seconds.
SNAKEMAKE = (
    "from snakemake import benchmark, cli; "
    "benchmark.benchmarked.__wrapped__.__defaults__ = (None, None, 4); "
    "cli.main()"
)
CORES = 2
#: Cores that the time is computed for.
OTHER_CORES = (2, 8, 64)
#: Jobs that are shown one by one.
LONGEST = 12
#: Movies and years of a large log, and the settings of its short run.
LARGE_MOVIES, LARGE_YEARS = 100_000, 27
SHORT = {
    "split": {"validation": 0.15, "test": 0.01},
    "validation_slots": 20,
    "defaults": {"epochs": 1, "epoch_steps": 20},
    "cache": {"sizes": [0.05]},
}


@dataclass(frozen=True)
class Job:
    """A job of the graph.

    Attributes
    ----------
    name, rule
        Of the job, with its wildcards but the dataset; and of its rule.
    threads
        That it asks for.
    benchmark
        The file that Snakemake keeps of what it took; None if the rule has none.
    needs
        Numbers of the jobs whose outputs it reads.
    """

    name: str
    rule: str
    threads: int
    benchmark: Path | None
    needs: frozenset[int]


@dataclass(frozen=True)
class Taken:
    """What a job took: seconds by the clock and of the CPU, and memory in MB."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = 0.0


def parse_plan(plan: str) -> dict[int, Job]:
    """Read the graph in what ``snakemake --dry-run --forceall --printshellcmds`` prints: jobs by number."""
    told = [
        (rule, dict(re.findall(r"^    (\w+): (.*)$", lines, re.MULTILINE)))
        for rule, lines in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", plan, re.MULTILINE)
    ]
    made_by = {path: int(job["jobid"]) for _, job in told for path in _list(job, "output")}
    jobs = {}
    for rule, job in told:
        wildcards = dict(pair.split("=", 1) for pair in _list(job, "wildcards"))
        wildcards.pop("dataset", None)
        jobs[int(job["jobid"])] = Job(
            " ".join([rule, *(value.strip("/") for value in wildcards.values() if value)]),
            rule,
            int(job.get("threads", 1)),
            Path(job["benchmark"]) if "benchmark" in job else None,
            frozenset(made_by[path] for path in _list(job, "input") if path in made_by),
        )
    return jobs


def _list(job: Mapping[str, str], key: str) -> list[str]:
    return job[key].split(", ") if job.get(key) else []


def taken(path: Path) -> Taken:
    """Read a benchmark file. What Snakemake did not measure, of jobs too short for it, counts as 0."""
    with path.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file, delimiter="\t"))
    cpu, peak = (0.0 if row[key] in ("NA", "-") else float(row[key]) for key in ("cpu_time", "max_rss"))
    return Taken(float(row["s"]), cpu, peak)


def remaining(jobs: Mapping[int, Job], seconds: Mapping[int, float]) -> dict[int, float]:
    """Seconds from the start of each job to the end of the graph, with as many cores as one likes."""
    needed_by = defaultdict(list)
    for number, job in jobs.items():
        for other in job.needs:
            needed_by[other].append(number)
    found: dict[int, float] = {}

    def of(number: int) -> float:
        if number not in found:
            found[number] = seconds[number] + max(map(of, needed_by[number]), default=0.0)
        return found[number]

    return {number: of(number) for number in jobs}


def critical_path(jobs: Mapping[int, Job], seconds: Mapping[int, float]) -> list[int]:
    """List the jobs of the path that takes longest, in order."""
    left = remaining(jobs, seconds)
    path: list[int] = []
    candidates = {number for number, job in jobs.items() if not job.needs}
    while candidates:
        path.append(max(candidates, key=lambda number: (left[number], -number)))
        candidates = {number for number, job in jobs.items() if path[-1] in job.needs}
    return path


def schedule(jobs: Mapping[int, Job], seconds: Mapping[int, float], cores: int) -> float:
    """Seconds that the graph takes on so many cores, if a job takes what it took here.

    Whenever cores are free, the job that starts is the ready one that fits and has the longest path before
    it (list scheduling; Graham 1969, "Bounds on multiprocessing timing anomalies").
    """
    left = remaining(jobs, seconds)
    waits = {number: len(job.needs) for number, job in jobs.items()}
    ready = sorted((number for number, count in waits.items() if not count), key=lambda n: -left[n])
    running: list[tuple[float, int]] = []
    now, free = 0.0, cores
    while ready or running:
        for number in list(ready):
            threads = min(jobs[number].threads, cores)
            if threads <= free:
                free -= threads
                ready.remove(number)
                heapq.heappush(running, (now + seconds[number], number))
        now, done = heapq.heappop(running)
        free += min(jobs[done].threads, cores)
        for number, job in jobs.items():
            if done in job.needs:
                waits[number] -= 1
                if not waits[number]:
                    ready.append(number)
        ready.sort(key=lambda n: -left[n])
    return now


def by_rule(jobs: Mapping[int, Job], used: Mapping[int, Taken]) -> str:
    """Write the table of the rules, those first that took most of the CPU, with their sum."""
    rules: dict[str, list[Taken]] = defaultdict(list)
    for number, took in used.items():
        rules[jobs[number].rule].append(took)
    rows = [
        [f"`{rule}`", *_row(some)]
        for rule, some in sorted(rules.items(), key=lambda item: -sum(took.cpu for took in item[1]))
    ]
    header = ["rule", "jobs", "wall s", "CPU s", "longest s", "peak MB"]
    return table(header, [*rows, ["all", *_row(list(used.values()))]])


def _row(some: list[Taken]) -> list[str]:
    return [
        str(len(some)),
        f"{sum(took.wall for took in some):.1f}",
        f"{sum(took.cpu for took in some):.1f}",
        f"{max(took.wall for took in some):.1f}",
        f"{max(took.peak for took in some):.0f}",
    ]


def by_job(jobs: Mapping[int, Job], used: Mapping[int, Taken]) -> str:
    """Write the table of the jobs that took most of the CPU."""
    most = sorted(used, key=lambda number: -used[number].cpu)[:LONGEST]
    rows = [
        [f"`{jobs[number].name}`", f"{took.wall:.1f}", f"{took.cpu:.1f}", f"{took.peak:.0f}"]
        for number in most
        for took in [used[number]]
    ]
    return table(["job", "wall s", "CPU s", "peak MB"], rows)


def gigabytes(path: Path) -> float:
    """Size of a file, or of the files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e9


def snakemake(*options: str) -> list[str]:
    """Give the command of Snakemake, with the rules' software that is installed here."""
    return [sys.executable, "-c", SNAKEMAKE, *options]


def read_plan(config: list[str], cores: int) -> dict[int, Job]:
    """Let Snakemake plan the whole graph, as on so many cores."""
    options = ["--dry-run", "--forceall", "--printshellcmds", "--cores", str(cores), *config]
    ran = subprocess.run(snakemake(*options), cwd=HOME, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(ran.stdout + ran.stderr)
    return parse_plan(ran.stdout)


def run(config: list[str]) -> tuple[float, float]:
    """Run the graph: seconds by the clock and of the CPU, those of Snakemake itself included."""
    began, before = time.perf_counter(), os.times()
    code = subprocess.run(
        snakemake("--cores", str(CORES), *config), cwd=HOME, stdout=sys.stderr, check=False
    ).returncode
    after = os.times()
    if code:
        sys.exit("error: the run ended before its end; the same command goes on from there")
    cpu = sum(after[at] - before[at] for at in (2, 3))
    return time.perf_counter() - began, cpu


def large(ratings: int) -> Path:
    """Make a large log, or take the one made before."""
    archive = CACHE / f"large-{ratings}.zip"
    if not archive.exists():
        say(f"making a log of {ratings:,} ratings")
        part = archive.with_suffix(".part")
        write_log(part, ratings, LARGE_MOVIES, LARGE_YEARS)
        part.rename(archive)
    return archive


def main() -> None:
    """Run the graph, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=RATINGS, help="ratings of the archive")
    parser.add_argument("--dataset", help="one of config.yaml in the archive's place, such as demo")
    parser.add_argument(
        "--large", action="store_true", help="a log of 100,000 movies and 27 years, for its memory"
    )
    args = parser.parse_args()

    if args.dataset is None:
        CACHE.mkdir(parents=True, exist_ok=True)
        archive = large(args.ratings) if args.large else simulated(args.ratings)[0]
        kind = "large" if args.large else "full"
        name = kind if args.ratings == RATINGS else f"{kind}-{args.ratings}"
        settings = CACHE / f"{name}.json"
        dataset = {"dataset": name, "datasets": {name: {"url": str(archive.relative_to(HOME))}}}
        settings.write_text(json.dumps({**dataset, **(SHORT if args.large else {})}))
        config = ["--configfile", str(settings)]
    else:
        name, config = args.dataset, ["--config", f"dataset={args.dataset}"]

    # A training that was interrupted begins anew: what is left of it would not be what it takes.
    for left in (HOME / "results" / name).rglob(".checkpoint.npz"):
        left.unlink()
    began = time.time()
    wall, cpu = run(config)
    jobs = read_plan(config, max(OTHER_CORES))
    files = {number: HOME / job.benchmark for number, job in jobs.items() if job.benchmark}
    used = {number: taken(path) for number, path in files.items()}
    anew = sum(path.stat().st_mtime >= began for path in files.values())
    seconds = {number: used.get(number, Taken()).wall for number in jobs}

    print(by_rule(jobs, used))
    print(
        "\nSums of the jobs, but the longest of them and the largest. Jobs run side by side, so that their"
        " seconds add up to more than the run's.\n"
    )
    print(by_job(jobs, used))
    print(
        f"\nThis run: {anew} of {len(files)} jobs in {wall / 60:.1f} min and {cpu:.0f} CPU seconds,"
        f" Snakemake's own included; the other {len(files) - anew} are as they were before.\n"
    )
    hours = {cores: schedule(jobs, seconds, cores) / 60 for cores in OTHER_CORES}
    print(table(["cores", "min, computed"], [[str(n), f"{minutes:.1f}"] for n, minutes in hours.items()]))
    path = [number for number in critical_path(jobs, seconds) if seconds[number] >= 1]
    named = ", ".join(f"`{jobs[number].name}` {seconds[number]:.0f} s" for number in path)
    print(f"\nWithout the start of jobs, as long as here each. The longest path: {named}.\n")
    say("adding up the disk")
    print(f"Disk: {gigabytes(HOME / 'results' / name):.2f} GB of results.")


if __name__ == "__main__":
    main()
