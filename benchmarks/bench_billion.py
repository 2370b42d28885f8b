"""Run the data stage on a log of a billion ratings, and the models: time, peak memory and bytes on disk.

The log is made up in parts (ratings-0000.csv, …) of one zip, 20 million ratings at a time: movies by
a Zipf law, the seconds of 22 years at random. Then join_ratings, label_popularity, sort_by_time and
build_sequences run one after another, each as a process of its own with a limit to its memory. With
``--models`` the default LSTM is trained for a few steps and scored, and so are the mixture and the trees
of config.yaml, on the last few slots: what a job holds does not depend on how many it scores. The
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
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from popularity.settings.config import Settings
from popularity.settings.fields import canonical
from popularity.settings.resolve import fitting_settings, resolve_settings, training_settings
from popularity.slots import slot_of

HOME = Path(__file__).resolve().parents[1]
SCRIPTS = HOME / "scripts"
PART, MOVIES, USERS = 20_000_000, 45_843, 10_000_000
FIRST, YEARS, YEAR = 789_652_009, 22, 31_557_600
#: Training steps, and validation slots that are scored.
STEPS, VALIDATED = 20, 4


def write_part(
    archive: zipfile.ZipFile, number: int, rows: int, movies: int = MOVIES, years: int = YEARS
) -> None:
    """Write a part of the log to the zip: ``rows`` ratings by movies drawn by a Zipf law."""
    draw = np.random.default_rng(number)
    rank = np.minimum((movies ** draw.random(rows, np.float32)).astype(np.int32), movies)
    columns = {
        "userId": np.sort(draw.integers(1, USERS, rows, np.int32)),
        "movieId": rank,
        "rating": draw.integers(1, 11, rows, np.int8).astype(np.float32) / 2,
        "timestamp": FIRST + draw.integers(0, years * YEAR, rows, np.int64),
    }
    with archive.open(f"log/ratings-{number:04}.csv", "w", force_zip64=True) as file:
        pacsv.write_csv(pa.table(columns), file, pacsv.WriteOptions(quoting_style="none"))


def write_log(path: Path, ratings: int, movies: int = MOVIES, years: int = YEARS) -> None:
    """Write the zip, its parts as they are: compression would take longer than all that follows."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        catalogue = "".join(f"{movie},Movie {movie} (1990),Drama\n" for movie in range(1, movies + 1))
        archive.writestr("log/movies.csv", "movieId,title,genres\n" + catalogue)
        for number, start in enumerate(range(0, ratings, PART)):
            write_part(archive, number, min(PART, ratings - start), movies, years)


def measure(name: str, *options: str | Path) -> tuple[float, float, float]:
    """Run a script; its seconds by the clock and of the processor, and its peak memory in MB."""
    began = time.perf_counter()
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
    process = subprocess.Popen([sys.executable, SCRIPTS / f"{name}.py", *options], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"error: exit code {process.returncode} of {name}")
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, peak


def settings_of_models(slot: str, slots: int, tested: int) -> Settings:
    """Make config.yaml's settings with a short training, and with the last ``tested`` slots for tests."""
    config = yaml.safe_load((HOME / "config.yaml").read_text(encoding="utf-8"))
    schema = yaml.safe_load((HOME / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    config["slot"] = slot
    config["split"] = {"validation": 0.15, "test": tested / slots}
    config["defaults"] |= {"epochs": 1, "epoch_steps": STEPS}
    return resolve_settings(config, schema)


def run_models(tables: dict[str, Path], slot: str, slots: int, tested: int) -> None:
    """Train and score the default LSTM, the mixture and the trees, and print what each job took."""
    settings = settings_of_models(slot, slots, tested)
    folder = tables["series"].parent
    sequences: list[str | Path] = ["--sequences", tables["series"]]
    both: list[str | Path] = [*sequences, "--movies", tables["movies"]]
    lstm = canonical(training_settings(settings, settings.models["lstm"]))
    mixture, trees = settings.baselines["mixture"], settings.baselines["lightgbm_offset"]
    split = canonical(training_settings(settings, settings.models["lstm"]).split)
    modules = SCRIPTS / "popularity/forecasters"

    def scores(name: str) -> list[str | Path]:
        made: list[str | Path] = [
            "--scores",
            folder / f"{name}.scores",
            "--metrics",
            folder / f"{name}.json",
        ]
        return [*made, "--validation-slots", str(VALIDATED)]

    def predictions(name: str) -> list[str | Path]:
        return [*scores(name), "--predictions", folder / f"{name}.parquet"]

    runs: list[str | Path] = ["--run", folder / "lstm"]
    learned: list[str | Path] = [
        "--name",
        "trees",
        "--settings",
        canonical(fitting_settings(settings, trees)),
    ]
    learned += ["--methods", modules / "mixture.py", modules / "trees.py", "--seed", "1"]
    naive: list[str | Path] = ["--baselines", canonical({"mixture": mixture}), "--slot", slot]
    naive += ["--split", split, "--methods", modules / "mixture.py"]
    steps: dict[str, list[str | Path]] = {
        "train_model": [*both, *runs, "--name", "lstm", "--settings", lstm, "--seed", "1"],
        "evaluate_model": [*both, *runs, *predictions("lstm")],
        "evaluate_baselines": [*sequences, *naive, *scores("mixture")],
        "evaluate_learned": [*both, *learned, *predictions("trees"), "--fitted", folder / "trees.fitted"],
    }
    print(f"\n{STEPS} training steps; {VALIDATED} validation and {tested} test slots scored\n")
    print("| script | wall s | CPU s | peak memory MB |")
    print("| --- | ---: | ---: | ---: |")
    for name, options in steps.items():
        wall, cpu, peak = measure(name, *options)
        print(f"| {name} | {wall:.0f} | {cpu:.0f} | {peak:.0f} |", flush=True)


def run(
    folder: Path, ratings: int, slot: str, memory_mb: int, movies: int, years: int, tested: int
) -> None:
    """Make a log of so many ratings, run the stages on it, and print what it took."""
    tables = {
        name: folder / f"{name}.parquet" for name in ("joined", "movies", "labelled", "sorted", "series")
    }
    archive = folder / "log.zip"
    began = time.perf_counter()
    write_log(archive, ratings, movies, years)
    size = archive.stat().st_size
    print(
        f"\n{ratings:,} ratings: {size / 1e9:.1f} GB of CSV, made in {time.perf_counter() - began:.0f} s\n"
    )
    limit = ["--memory-mb", str(memory_mb)]
    steps: dict[str, list[str | Path]] = {
        "join_ratings": ["--archive", archive, "--joined", tables["joined"]],
        "label_popularity": ["--joined", tables["joined"], "--slot", slot, *limit],
        "sort_by_time": ["--labelled", tables["labelled"], "--sorted", tables["sorted"]],
        "build_sequences": ["--sorted", tables["sorted"], "--window", "7", "--gaps", "calendar", *limit],
    }
    steps["join_ratings"] += ["--movies", tables["movies"]]
    steps["label_popularity"] += ["--movies", tables["movies"], "--labelled", tables["labelled"]]
    steps["build_sequences"] += ["--sequences", tables["series"]]
    print("| script | wall s | peak memory MB | writes GB | of the input |")
    print("| --- | ---: | ---: | ---: | ---: |")
    before = 0
    for name, options in steps.items():
        wall, _, peak = measure(name, *options)
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
    tables["joined"].unlink()
    if tested:
        first, last = slot_of(np.array([FIRST, FIRST + years * YEAR - 1]), slot)
        run_models(tables, slot, int(last - first) + 1, tested)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, nargs="+", default=[1_000_000_000], help="sizes to run")
    parser.add_argument("--slot", default="day", help="length of a slot (%(default)s)")
    parser.add_argument("--memory-mb", type=int, default=8000, help="for each script (%(default)s)")
    parser.add_argument("--movies", type=int, default=MOVIES, help="in the log (%(default)s)")
    parser.add_argument("--years", type=int, default=YEARS, help="that the log lasts (%(default)s)")
    parser.add_argument(
        "--models",
        type=int,
        default=0,
        metavar="SLOTS",
        help="run the models, too, tested on so many slots",
    )
    parser.add_argument("--folder", type=Path, help="where to put the files (default: a temporary one)")
    args = parser.parse_args()
    for ratings in args.ratings:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            sizes = (args.memory_mb, args.movies, args.years, args.models)
            run(Path(folder), ratings, args.slot, *sizes)


if __name__ == "__main__":
    main()
