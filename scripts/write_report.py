"""Write Snakemake's report of a dataset's results: one HTML file that needs no other."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from popularity.program import Fault, atomic_write, run


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="settings of the workflow, as JSON")
    parser.add_argument("--items", type=Path, nargs="+", required=True, help="results to show")
    parser.add_argument("--style", type=Path, required=True, help="style sheet of the report")
    parser.add_argument("--report", type=Path, required=True, help="report.html, to write")
    args = parser.parse_args()

    with atomic_write(args.report) as report, tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        config.write_text(args.config)
        call = ["-m", "snakemake", "--configfile", config, "--report", report]
        call += ["--report-stylesheet", args.style, "--", *args.items]
        ended = subprocess.run([sys.executable, *map(str, call)], check=False)
        if ended.returncode or not report.exists():
            raise Fault(f"{args.report}: Snakemake wrote no report; the lines above say why")


if __name__ == "__main__":
    run(main)
