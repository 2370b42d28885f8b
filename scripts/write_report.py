"""Write Snakemake's report of a dataset's results: one HTML file that needs no other."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import popularity.start

from popularity.program import Fault, atomic_write, run


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snakefile", type=Path, required=True, help="the workflow")
    parser.add_argument("--config", required=True, help="settings of the workflow, as JSON")
    parser.add_argument("--items", type=Path, nargs="+", required=True, help="results to show")
    parser.add_argument("--style", type=Path, required=True, help="style sheet of the report")
    parser.add_argument("--report", type=Path, required=True, help="report.html, to write")
    args = parser.parse_args()

    with atomic_write(args.report) as report, tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        config.write_text(args.config, encoding="utf-8")
        # Titles and names of the log are in the report's texts: none of them may bring in HTML or a file.
        docutils = Path(folder, "docutils.conf")
        docutils.write_text("[general]\nraw_enabled: no\nfile_insertion_enabled: no\n", encoding="utf-8")
        call = ["-m", "snakemake", "--snakefile", args.snakefile, "--configfile", config]
        call += ["--report", report]
        call += ["--report-stylesheet", args.style, "--", *args.items]
        ended = subprocess.run(
            [sys.executable, *map(str, call)],
            env={**os.environ, "DOCUTILSCONFIG": str(docutils)},
            check=False,
        )
        if ended.returncode or not report.exists():
            raise Fault(f"{args.report}: Snakemake wrote no report; the lines above say why")


if __name__ == "__main__":
    run(main)
