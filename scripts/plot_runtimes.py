"""Put together what the jobs of a run took, by rule: time and memory, as a table and a picture."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import popularity.start

import pandas as pd
from matplotlib.figure import Figure

from popularity import style
from popularity.program import Fault, atomic_write, reading, run
from popularity.wording import own

#: Memory that a shell may take, or Python before it has begun.
SHELL_MB = 15


#: The folder of a fold's files.
FOLD = re.compile(r"backtest/(\d+)/")
#: What comes after the rule in the path of a file of a training, or of what is made of one.
TRAINED = re.compile(r"[^/]+/(.+)/seed-(\d+)")


def read_benchmarks(folder: Path, trained: Sequence[str], seeds: Sequence[int], folds: int) -> pd.DataFrame:
    """Read Snakemake's benchmark files below a folder: ``[backtest/{fold}/]{rule}[/…].tsv``.

    Parameters
    ----------
    trained, seeds, folds
        Models and learned baselines, seeds and number of folds of this run: files of others are left
        over from runs before it.

    Returns
    -------
    A row a job: ``rule``, ``wall_s``, ``cpu_s`` and ``memory_mb``, the last two NaN where a job was
    too short to be measured.
    """
    jobs = []
    for path in sorted(folder.rglob("*.tsv")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        fold = FOLD.match(name)
        name = FOLD.sub("", name, count=1)
        training = TRAINED.fullmatch(name)
        if fold and int(fold[1]) >= folds:
            continue
        if training and (training[1] not in trained or int(training[2]) not in seeds):
            continue
        with reading(path):
            taken = pd.read_csv(path, sep="\t", na_values=["-", "NA"])[["s", "cpu_time", "max_rss"]]
        # What was measured in less memory is not the script yet.
        measured = taken["max_rss"] > SHELL_MB
        jobs.append(
            pd.DataFrame(
                {
                    "rule": name.split("/")[0],
                    "wall_s": taken["s"],
                    "cpu_s": taken["cpu_time"].where(measured),
                    "memory_mb": taken["max_rss"].where(measured),
                }
            )
        )
    if not jobs:
        raise Fault(f"{folder}: has no benchmark files; run the workflow anew")
    return pd.concat(jobs, ignore_index=True)


def by_rule(jobs: pd.DataFrame) -> pd.DataFrame:
    """Add the jobs up by rule, the longest first.

    Returns
    -------
    ``rule``, ``jobs``, ``wall_s`` and ``cpu_s`` of all jobs together, ``longest_s`` and
    ``memory_mb`` of the job with the most.
    """
    groups = jobs.groupby("rule")
    table = pd.DataFrame(
        {
            "jobs": groups.size(),
            "wall_s": groups["wall_s"].sum().round(1),
            "cpu_s": groups["cpu_s"].sum(min_count=1).round(1),
            "longest_s": groups["wall_s"].max().round(1),
            "memory_mb": groups["memory_mb"].max().round(),
        }
    )
    return table.sort_values("wall_s", ascending=False, kind="stable").reset_index()


def plot_runtimes(table: pd.DataFrame, source: str) -> Figure:
    """Draw the time and the memory of each rule as bars."""
    total, longest = table["wall_s"].sum(), table.iloc[0]
    share = longest["wall_s"] / total if total else 1.0
    figure, panels = style.new_figure(
        f"All jobs together took {style.duration(total)}, {style.percent(share)} of it {longest['rule']}; "
        f"none used more than {table['memory_mb'].max():,.0f} MB of memory",
        f"{source}; wall-clock time, some jobs at the same time as others; memory: resident set, the "
        "most of a rule's jobs; no bar: too short to be measured; jobs after this one are not in it",
        2,
        columns=2,
        height=1.9 + 0.24 * len(table),
        sharey=True,
    )
    places = range(len(table))
    for panel, (column, title, unit) in zip(
        panels,
        (("wall_s", "time of all its jobs", "seconds"), ("memory_mb", "most memory of a job", "MB")),
        strict=True,
    ):
        values = table[column].fillna(0)
        panel.barh(places, values, color=style.BLUE if column == "wall_s" else style.GREEN)
        for place, value, jobs in zip(places, table[column], table["jobs"], strict=True):
            if pd.isna(value):
                continue
            count = f" ({jobs} jobs)" if jobs > 1 and column == "wall_s" else ""
            shown = f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
            panel.text(value, place, f" {shown}{count}", va="center", fontsize=8)
        panel.set_xlim(0, 1.3 * max(values.max(), 1))
        panel.set_title(title)
        panel.set_xlabel(unit)
        panel.grid(axis="y", visible=False)
        panel.tick_params(axis="y", length=0)
    panels[0].set_yticks(places, table["rule"])
    panels[0].set_ylim(len(table) - 0.4, -0.6)
    return figure


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", type=Path, required=True, help="folder of the benchmark files")
    parser.add_argument(
        "--trained", nargs="+", required=True, help="the models and learned baselines of this run"
    )
    parser.add_argument("--seeds", nargs="+", type=int, required=True, help="the seeds of this run")
    parser.add_argument("--folds", type=int, required=True, help="how many folds the backtest has")
    parser.add_argument("--dataset", required=True, help="the dataset's name, for the source line")
    parser.add_argument("--table", type=Path, required=True, help="runtimes.csv, to write")
    parser.add_argument(
        "--folder", type=Path, required=True, help="where runtimes.png and runtimes.svg are written"
    )
    args = parser.parse_args()

    jobs = read_benchmarks(args.benchmarks, args.trained, args.seeds, args.folds)
    table = by_rule(jobs)
    source = f"benchmark files of {len(jobs)} jobs of {own(args.dataset)}"
    with atomic_write(args.table) as path:
        table.to_csv(path, index=False)
    style.save(plot_runtimes(table, source), args.folder, "runtimes")


if __name__ == "__main__":
    run(main)
