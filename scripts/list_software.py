"""List the versions of an environment's software: Python, and the packages that its file names."""

import argparse
import csv
import platform
import re
from importlib import metadata
from pathlib import Path

import popularity.start

from popularity.program import atomic_write, run

#: Packages with another name on conda-forge than among Python's distributions.
DISTRIBUTIONS = {
    "matplotlib-base": "matplotlib",
    "python-isal": "isal",
    "snakemake-minimal": "snakemake",
    "tensorflow-cpu": "tensorflow",
}


def versions(environment: str) -> dict[str, str]:
    """Find the versions of Python and the packages of a conda environment's YAML text.

    A package that is not there is left out: without conda another one may stand for it.
    """
    names = re.findall(r"^ +- ([A-Za-z0-9_.-]+) ", environment, re.MULTILINE)
    found = {"python": platform.python_version()}
    for name in names:
        for distribution in (name, DISTRIBUTIONS.get(name, name)):
            try:
                found.setdefault(DISTRIBUTIONS.get(name, name), metadata.version(distribution))
            except metadata.PackageNotFoundError:
                continue
    return found


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", type=Path, required=True, help="conda environment's YAML file")
    parser.add_argument("--software", type=Path, required=True, help="CSV file, to write")
    args = parser.parse_args()

    found = versions(args.environment.read_text(encoding="utf-8"))
    with atomic_write(args.software) as path, path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["environment", "software", "version"])
        rows.writerows([args.environment.stem, name, version] for name, version in found.items())


if __name__ == "__main__":
    run(main)
