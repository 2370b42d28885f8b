"""Print the graph of rules in Graphviz's language, each with its number of jobs if there are several.

    python docs/rulegraph.py --configfile docs/sweep.yaml | dot -Tpng > docs/sweep.png

The options are Snakemake's.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]


def snakemake(*options: str) -> str:
    """Run Snakemake, which starts no job, and give what it prints."""
    command = [sys.executable, "-m", "snakemake", *sys.argv[1:], *options]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Print the graph of what the options ask for, as if nothing had been made yet."""
    plan = snakemake("--forceall", "--dry-run")
    jobs = Counter(re.findall(r"^(?:local)?rule (\w+):", plan, re.MULTILINE))

    def labelled(found: re.Match[str]) -> str:
        times = f" × {jobs[found[1]]}" if jobs[found[1]] > 1 else ""
        return f'label = "{found[1]}{times}"'

    print(re.sub(r'label = "(\w+)"', labelled, snakemake("--forceall", "--rulegraph")))


if __name__ == "__main__":
    main()
