"""Compare what rules ask for with what their jobs took, as Snakemake's benchmark files tell.

    python benchmarks/resources.py results/ml-latest results/demo

prints a line for each rule: its jobs, the longest time and the largest memory among them, what the
rule asks for at first, and how often the largest memory fits in. Time and memory of jobs of less than
a second are not measured by Snakemake.
"""

import argparse
import csv
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]


def taken(results: list[Path]) -> dict[str, list[tuple[float, float]]]:
    """Seconds and MB of each job, by rule, from the benchmark files of these folders of results."""
    found = defaultdict(list)
    for folder in results:
        for path in sorted((folder / "benchmarks").rglob("*.tsv")):
            rule = path.relative_to(folder / "benchmarks").with_suffix("").parts[0]
            with path.open(newline="") as file:
                for row in csv.DictReader(file, delimiter="\t"):
                    memory = row["max_rss"]
                    found[rule].append((float(row["s"]), float(memory) if memory != "NA" else 0.0))
    return dict(found)


def asked(plan: str) -> dict[str, tuple[int, int]]:
    """Minutes and MB that each rule asks for, from what a dry run prints."""
    found = {}
    for rule, told in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", plan, re.MULTILINE):
        runtime, memory = (re.search(rf"{name}=(\d+)", told) for name in ("runtime", "mem_mb"))
        if runtime and memory:
            found[rule] = int(runtime[1]), int(memory[1])
    return found


def table(used: dict[str, list[tuple[float, float]]], given: dict[str, tuple[int, int]]) -> str:
    """Put both side by side, as a table in Markdown."""
    lines = [
        "| rule | jobs | longest, s | largest, MB | asked, min | asked, MB | times the largest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rule in sorted(used.keys() & given.keys()):
        seconds, memory = (max(job[which] for job in used[rule]) for which in (0, 1))
        minutes, mb = given[rule]
        ratio = f"{mb / memory:.1f}" if memory >= 1 and seconds >= 1 else ""
        lines.append(
            f"| `{rule}` | {len(used[rule])} | {seconds:.0f} | {memory:.0f} | {minutes} | {mb} | {ratio} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table of the folders of results that the command line names."""
    parser = argparse.ArgumentParser(description="Compare what rules ask for with what they took.")
    parser.add_argument("results", type=Path, nargs="+", help="folders like results/demo")
    folders = parser.parse_args().results
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--forceall", "--config", "dataset=demo"]
    plan = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    print(table(taken(folders), asked(plan)))


if __name__ == "__main__":
    main()
