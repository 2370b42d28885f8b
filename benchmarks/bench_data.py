"""Compare the data stage with DuckDB, Polars and pandas: time, memory and disk, from zip to tables.

Each runs in processes of its own, one after another in turn, and all must make the same tables. The
archive is simulated, of the size of ml-latest in August 2017, and kept in resources/benchmarks/.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

# This process imports nothing large: what it holds would count as its children's peak memory.

HOME = Path(__file__).resolve().parents[1]
SCRIPTS = HOME / "scripts"
CACHE = HOME / "resources" / "benchmarks"
WORKFLOW = ["Snakefile", "config.yaml", "rules", "scripts", "schemas", "profiles", "report", "envs"]
PEERS = {"duckdb": "DuckDB", "polars": "Polars", "pandas": "pandas"}
NAMES = {"ours": "our scripts", "snakemake": "`snakemake --cores 2`", **PEERS}
FAST = ("duckdb", "polars")
RATINGS, MOVIES, USERS = 26_024_289, 45_843, 270_896
#: Forms of a log that is not MovieLens', and how many times the first one's time each may take.
FORMS = {"seconds.csv": 1.0, "iso.csv": 2.0, "log.parquet": 0.8}
LOG = {
    "columns": {"user": "userId", "item": "movieId", "rating": "rating", "time": "timestamp"},
    "catalogue": "movies.csv",
    "catalogue_columns": {"item": "movieId"},
}


@dataclass
class Usage:
    """What processes took: seconds by the clock and of the CPU, and the largest one's memory in MB."""

    wall: float
    cpu: float
    peak: float


def measure(*commands: list[str | Path], folder: Path = HOME) -> Usage:
    """Run commands one after another, each a fresh process; their children count, too."""
    cpu = peak = 0.0
    began = time.perf_counter()
    for command in commands:
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                words = " ".join(map(str, command))
                sys.exit(f"{said.read().decode()}\nerror: exit code {process.returncode} of {words}")
        cpu += used.ru_utime + used.ru_stime
        peak = max(peak, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)
    return Usage(time.perf_counter() - began, cpu, peak)


def simulated(ratings: int) -> tuple[Path, Usage]:
    """Make an archive, or take the one made before; and what making it took."""
    script = SCRIPTS / "simulate_archive.py"
    archive = CACHE / f"ml-latest-{ratings}.zip"
    facts = archive.with_suffix(".json")
    made_by = hashlib.sha256(script.read_bytes()).hexdigest()
    if facts.exists() and (known := json.loads(facts.read_text())).pop("made_by") == made_by:
        return archive, Usage(**known)
    say(f"simulating an archive of {ratings:,} ratings")
    options = {
        "--ratings": ratings,
        "--users": max(1, USERS * ratings // RATINGS),
        # Fewer could not hold the ratings of the busiest users.
        "--movies": max(2_000, MOVIES * ratings // RATINGS),
        "--first-date": "1995-01-09",
        "--last-date": "2017-08-04",
        "--output": archive,
    }
    CACHE.mkdir(parents=True, exist_ok=True)
    usage = measure([sys.executable, script, *(str(word) for pair in options.items() for word in pair)])
    facts.write_text(json.dumps({"made_by": made_by, **vars(usage)}))
    return archive, usage


def our_commands(archive: Path, slot: str, output: Path) -> dict[str, list[str | Path]]:
    """Give the commands of our scripts, by the script's name."""
    joined, movies, labelled, by_time, sequences = (
        output / f"{name}.parquet"
        for name in ("joined", "movies", "labelled", "sorted", "sequences/observed-3")
    )
    arguments: dict[str, list[str | Path]] = {
        "join_ratings": ["--archive", archive, "--joined", joined, "--movies", movies],
        "label_popularity": [
            *("--joined", joined, "--movies", movies, "--slot", slot, "--labelled", labelled),
        ],
        "sort_by_time": ["--labelled", labelled, "--sorted", by_time],
        "build_sequences": [
            *("--sorted", by_time, "--gaps", "observed", "--window", "3", "--sequences", sequences),
        ],
    }
    return {name: [sys.executable, SCRIPTS / f"{name}.py", *more] for name, more in arguments.items()}


def peer_command(peer: str, archive: Path, slot: str, output: Path) -> list[str | Path]:
    """Give the command of a peer's program."""
    return [sys.executable, HOME / "benchmarks" / "peers" / f"{peer}_data.py", archive, output, slot]


def copy_workflow(archive: Path, slot: str, folder: Path) -> list[str | Path]:
    """Copy the workflow, bring the archive there by its own rule, and give Snakemake's command."""
    for part in WORKFLOW:
        copy = shutil.copytree if (HOME / part).is_dir() else shutil.copy2
        copy(HOME / part, folder / part)
    settings = {"dataset": "bench", "datasets": {"bench": {"url": str(archive)}}, "slot": slot}
    (folder / "bench.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "snakemake", "--configfile", "bench.json", "--cores", "2"]
    measure([*command, "resources/bench.zip"], folder=folder)
    return [*command, "results/bench/sequences/observed-3.parquet"]


def say(words: str) -> None:
    """Tell of the progress; the results alone go to stdout."""
    print(words, file=sys.stderr, flush=True)


def megabytes(folder: Path) -> float:
    """Size of the tables in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1e6


def table(header: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown, its first column of words, the others of numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: list[float]) -> str:
    """Write the median and the range."""
    return f"{median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def ratios(runs: dict[str, list[Usage]], what: str, ours: str, *peers: str) -> list[float]:
    """Divide, run by run, ours by the least of the peers'."""
    least = [
        min(getattr(run, what) for run in turn) for turn in zip(*(runs[p] for p in peers), strict=True)
    ]
    return [getattr(run, what) / other for run, other in zip(runs[ours], least, strict=True)]


def compare(archive: Path, made: Usage, slot: str, turns: int, work: Path) -> None:
    """Run all in turn, check that their tables agree, and print the tables of results."""
    folders = {name: work / name for name in NAMES}
    for folder in folders.values():
        folder.mkdir()
    by_script: dict[str, list[Usage]] = {}

    def ours() -> Usage:
        used = []
        for name, command in our_commands(archive, slot, folders["ours"]).items():
            used.append(measure(command))
            by_script.setdefault(name, []).append(used[-1])
        return Usage(sum(u.wall for u in used), sum(u.cpu for u in used), max(u.peak for u in used))

    say("preparing Snakemake")
    command = copy_workflow(archive, slot, work / "snakemake")
    folders["snakemake"] = work / "snakemake" / "results" / "bench"
    run: dict[str, Callable[[], Usage]] = {
        "ours": ours,
        "snakemake": partial(measure, command, folder=work / "snakemake"),
        **{peer: partial(measure, peer_command(peer, archive, slot, folders[peer])) for peer in PEERS},
    }

    runs: dict[str, list[Usage]] = {name: [] for name in NAMES}
    for turn in range(turns):
        for name in ("ours", *PEERS, "snakemake"):
            shutil.rmtree(folders[name])
            folders[name].mkdir()
            # What earlier runs wrote is not to slow this one down.
            os.sync()
            runs[name].append(run[name]())
            say(f"{turn + 1} of {turns}: {name} {runs[name][-1].wall:.1f} s")

    checker = HOME / "benchmarks" / "agreement.py"
    for pair in [("snakemake", "ours"), *(("ours", peer) for peer in PEERS)]:
        words: list[str | Path] = [sys.executable, checker, *(folders[name] for name in pair)]
        if subprocess.run(words, check=False).returncode:
            sys.exit(f"error: the tables of {' and '.join(pair)} differ")

    header = ["", "wall s", "CPU s", "peak MB", "tables MB", "ours / it, wall", "ours / it, CPU"]
    rows = []
    for name, used in runs.items():
        medians = [median(getattr(u, what) for u in used) for what in ("wall", "cpu")]
        peak = max(u.peak for u in used)
        rows.append([NAMES[name], *(f"{m:.2f}" for m in medians), f"{peak:.0f}"])
        rows[-1].append(f"{megabytes(folders[name]):.0f}")
        alike = name == "ours"
        rows[-1] += ["" if alike else spread(ratios(runs, what, "ours", name)) for what in ("wall", "cpu")]
    print(table(header, rows))
    print("\nAll made the same tables. Medians, and the least and greatest; peak: the largest process.\n")

    rows = [
        [
            f"`{name}`",
            *(f"{median(getattr(u, what) for u in used):.2f}" for what in ("wall", "cpu")),
            f"{max(u.peak for u in used):.0f}",
        ]
        for name, used in {**by_script, "simulate_archive": [made]}.items()
    ]
    print(table(["script", "wall s", "CPU s", "peak MB"], rows))

    print("\nTo reach at full size on 2 cores, beside the better of DuckDB and Polars in each run:\n")
    reach(f"{NAMES['ours']}, wall", ratios(runs, "wall", "ours", *FAST), 0.5)
    reach(f"{NAMES['ours']}, CPU", ratios(runs, "cpu", "ours", *FAST), 0.5)
    reach(f"{NAMES['snakemake']}, wall", ratios(runs, "wall", "snakemake", *FAST), 0.8)
    reach("peak memory of any script, GB", [u.peak / 1e3 for u in runs["ours"]], 3)
    reach("`simulate_archive`, wall in minutes", [made.wall / 60], 2)
    reach("`simulate_archive`, peak memory in GB", [made.peak / 1e3], 4)


def reach(what: str, values: list[float], limit: float) -> None:
    """Print whether the median is within its limit."""
    print(f"- {what}: {spread(values)}, at most {limit}: {'yes' if median(values) <= limit else '**no**'}")


def scale(ratings: int, slot: str, turns: int, work: Path) -> None:
    """Print what our scripts take at a sixteenth, a quarter and the whole of a size."""
    rows = []
    for part in (16, 4, 1):
        archive, _ = simulated(ratings // part)
        used = []
        for turn in range(turns):
            output = work / f"part-{part}-{turn}"
            os.sync()
            used.append(measure(*our_commands(archive, slot, output).values()))
            shutil.rmtree(output)
        wall, cpu = (median(getattr(u, what) for u in used) for what in ("wall", "cpu"))
        millions = ratings // part / 1e6
        rows.append([f"{millions:.2f}", f"{wall:.2f}", f"{cpu:.2f}", f"{max(u.peak for u in used):.0f}"])
        rows[-1] += [f"{wall / millions:.3f}", f"{cpu / millions:.3f}"]
        say(f"{ratings // part:,} ratings: {wall:.1f} s")
    header = ["million ratings", "wall s", "CPU s", "peak MB", "wall s / million", "CPU s / million"]
    print(f"\nOur scripts by size:\n\n{table(header, rows)}")


def write_forms(archive: Path, folder: Path) -> None:
    """Write an archive's ratings in each of :data:`FORMS`, and the catalogue beside them."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    with zipfile.ZipFile(archive) as packed:
        names = {Path(name).name: name for name in packed.namelist()}
        (folder / "movies.csv").write_bytes(packed.read(names["movies.csv"]))
        with packed.open(names["ratings.csv"]) as file:
            parts = pacsv.open_csv(file)
            seconds = parts.schema
            at = seconds.get_field_index("timestamp")
            iso, typed = (
                seconds.set(at, pa.field("timestamp", kind)) for kind in (pa.string(), pa.timestamp("s"))
            )
            plain = pacsv.WriteOptions(quoting_style="none")
            with (
                pacsv.CSVWriter(folder / "seconds.csv", seconds, write_options=plain) as one,
                pacsv.CSVWriter(folder / "iso.csv", iso, write_options=plain) as other,
                pq.ParquetWriter(folder / "log.parquet", typed) as third,
            ):
                for part in parts:
                    times = part.column(at).cast(pa.timestamp("s"))
                    texts = pc.strftime(times, "%Y-%m-%dT%H:%M:%SZ")
                    one.write_batch(part)
                    other.write_batch(part.set_column(at, "timestamp", texts))
                    third.write_batch(part.set_column(at, "timestamp", times).cast(typed))


def packed_forms(archive: Path, folder: Path) -> dict[str, Path]:
    """Write an archive's ratings in each form, and pack each as the workflow does: the zips by form."""
    context = multiprocessing.get_context("spawn")
    maker = context.Process(target=write_forms, args=(archive, folder))
    maker.start()
    maker.join()
    if maker.exitcode:
        sys.exit("error: the forms of the log were not written")
    for form in FORMS:
        command: list[str | Path] = [
            sys.executable,
            SCRIPTS / "download_archive.py",
            "--url",
            folder / form,
        ]
        measure([*command, "--catalogue", "movies.csv", "--output", folder / f"{form}.zip"])
    return {form: folder / f"{form}.zip" for form in FORMS}


def join_form(path: Path, output: Path) -> Usage:
    """Join the log in a zip."""
    command: list[str | Path] = [sys.executable, SCRIPTS / "join_ratings.py", "--archive", path]
    tables = ("--joined", output / "joined.parquet", "--movies", output / "movies.parquet")
    return measure([*command, "--log", json.dumps(LOG), *tables])


def compare_forms(archive: Path, turns: int, work: Path) -> None:
    """Join the ratings from each form in turn, check that the tables are the same, and print the times."""
    say("writing the log's other forms")
    paths = packed_forms(archive, work)
    first, *others = FORMS
    runs: dict[str, list[Usage]] = {form: [] for form in FORMS}
    for turn in range(turns):
        made = set()
        for form, path in paths.items():
            os.sync()
            runs[form].append(join_form(path, work))
            digest = hashlib.sha256((work / "joined.parquet").read_bytes())
            made.add(digest.hexdigest())
            say(f"{turn + 1} of {turns}: {form} {runs[form][-1].wall:.1f} s")
        if len(made) > 1:
            sys.exit("error: the tables of the log's forms differ")
    rows = []
    for form, used in runs.items():
        wall, cpu = (median(getattr(u, what) for u in used) for what in ("wall", "cpu"))
        rows.append([f"`{form}`", f"{wall:.2f}", f"{cpu:.2f}", f"{max(u.peak for u in used):.0f}"])
    print("\n`join_ratings` of the same requests as another log; all made the same table to the byte:\n")
    print(table(["form", "wall s", "CPU s", "peak MB"], rows))
    print(f"\nTo reach, beside `{first}` in each run:\n")
    for form in others:
        for what in ("wall", "cpu"):
            reach(f"`{form}`, {what}", ratios(runs, what, form, first), FORMS[form])


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--ratings", type=int, default=RATINGS, help="size of the archive")
    parser.add_argument("--runs", type=int, default=3, help="how often each runs, in turn")
    parser.add_argument("--slot", choices=("hour", "day", "year"), default="day", help="length of a slot")
    parser.add_argument("--scaling", action="store_true", help="also time our scripts at 1/16, 1/4 and 1")
    options = parser.parse_args()
    if options.ratings < 10_000 or options.runs < 1:
        parser.error("--ratings must be at least 10000, and --runs at least 1")

    archive, made = simulated(options.ratings)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    tools = ("duckdb", "polars", "pandas", "pyarrow", "numpy", "snakemake")
    print(
        f"{options.ratings:,} ratings, slots of a{'n' * (options.slot == 'hour')} {options.slot},"
        f" {options.runs} runs each, {cores} cores, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}, {', '.join(f'{tool} {version(tool)}' for tool in tools)}\n"
    )
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run-") as folder:
        compare(archive, made, options.slot, options.runs, Path(folder))
        compare_forms(archive, options.runs, Path(folder))
        if options.scaling:
            scale(options.ratings, options.slot, options.runs, Path(folder))


if __name__ == "__main__":
    main()
