"""Run the data stage on a log of a billion ratings: time, peak memory and bytes on disk.

The log is made up in parts (ratings-0000.csv, …) of one zip, 20 million ratings at a time: movies by
a Zipf law, the seconds of 22 years at random. Then join_ratings, label_popularity, sort_by_time and
build_sequences run one after another, each as a process of its own with a limit to its memory. The
files lie in a temporary folder and are removed at the end.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
PART, MOVIES, USERS = 20_000_000, 45_843, 10_000_000
TABLES = ("joined", "movies", "labelled", "sorted", "series")
FIRST, SECONDS = 789_652_009, 22 * 31_557_600


def write_part(archive: zipfile.ZipFile, number: int, rows: int) -> None:
    """Write a part of the log to the zip: ``rows`` ratings by movies drawn by a Zipf law."""
    draw = np.random.default_rng(number)
    rank = np.minimum((MOVIES ** draw.random(rows, np.float32)).astype(np.int32), MOVIES)
    columns = {
        "userId": np.sort(draw.integers(1, USERS, rows, np.int32)),
        "movieId": rank,
        "rating": draw.integers(1, 11, rows, np.int8).astype(np.float32) / 2,
        "timestamp": FIRST + draw.integers(0, SECONDS, rows, np.int64),
    }
    with archive.open(f"log/ratings-{number:04}.csv", "w", force_zip64=True) as file:
        pacsv.write_csv(pa.table(columns), file, pacsv.WriteOptions(quoting_style="none"))


def write_log(path: Path, ratings: int) -> None:
    """Write the zip, its parts as they are: compression would take longer than all that follows."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        movies = "".join(f"{movie},Movie {movie} (1990),Drama\n" for movie in range(1, MOVIES + 1))
        archive.writestr("log/movies.csv", "movieId,title,genres\n" + movies)
        for number, start in enumerate(range(0, ratings, PART)):
            write_part(archive, number, min(PART, ratings - start))


def measure(name: str, *options: str | Path) -> tuple[float, float]:
    """Run a script; its seconds by the clock and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, SCRIPTS / f"{name}.py", *options])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: exit code {process.returncode} of {name}")
    return time.perf_counter() - began, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def run(folder: Path, ratings: int, slot: str, memory_mb: int) -> None:
    """Make a log of so many ratings, run the data stage on it, and print what it took."""
    tables = {
        name: folder / f"{name}.parquet" for name in ("joined", "movies", "labelled", "sorted", "series")
    }
    archive = folder / "log.zip"
    began = time.perf_counter()
    write_log(archive, ratings)
    size = archive.stat().st_size
    print(
        f"\n{ratings:,} ratings: {size / 1e9:.1f} GB of CSV, made in {time.perf_counter() - began:.0f} s\n"
    )
    limit = ["--memory-mb", str(memory_mb)]
    steps: dict[str, list[str | Path]] = {
        "join_ratings": ["--archive", archive, "--joined", tables["joined"]],
        "label_popularity": ["--joined", tables["joined"], "--slot", slot, *limit],
        "sort_by_time": ["--labelled", tables["labelled"], "--sorted", tables["sorted"]],
        "build_sequences": ["--sorted", tables["sorted"], "--window", "3", "--gaps", "observed", *limit],
    }
    steps["join_ratings"] += ["--movies", tables["movies"]]
    steps["label_popularity"] += ["--movies", tables["movies"], "--labelled", tables["labelled"]]
    steps["build_sequences"] += ["--sequences", tables["series"]]
    print("| script | wall s | peak memory MB | writes GB | of the input |")
    print("| --- | ---: | ---: | ---: | ---: |")
    before = 0
    for name, options in steps.items():
        wall, peak = measure(name, *options)
        if name == "join_ratings":
            # What is read once need not stay.
            archive.unlink()
        written = sum(path.stat().st_size for path in tables.values() if path.exists())
        share = (written - before) / size
        print(
            f"| {name} | {wall:.0f} | {peak:.0f} | {(written - before) / 1e9:.2f} | {share:.2f} |",
            flush=True,
        )
        before = written


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000_000], help="sizes to run")
    parser.add_argument("--slot", default="day", help="length of a slot (%(default)s)")
    parser.add_argument("--memory-mb", type=int, default=8000, help="for each script (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: a temporary one)")
    args = parser.parse_args()
    for ratings in args.ratings:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            run(Path(folder), ratings, args.slot, args.memory_mb)


if __name__ == "__main__":
    main()
