"""Sort the labelled table by slot, then movie."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from popularity import tables
from popularity.program import run, whole


def time_keys(labelled: pa.Table) -> np.ndarray:
    """Pack slot and movie of each row into one int64 that sorts by slot, then movie."""
    keys = tables.numbers(labelled["slot"]).astype(np.int64)
    keys <<= 32
    keys |= tables.numbers(labelled["movieId"])
    return keys


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--sorted", type=Path, required=True, help="sorted.parquet, to write")
    args = parser.parse_args()

    keys = time_keys(tables.read(args.labelled, tables.LABELLED, ["slot", "movieId"]))
    if (keys[1:] > keys[:-1]).all():
        # The labelling groups by sorting, so its own tables come in order: the bytes are right.
        with whole(args.sorted) as partial:
            shutil.copyfile(args.labelled, partial)
    else:
        labelled = tables.read(args.labelled, tables.LABELLED)
        tables.write(args.sorted, labelled.take(tables.array(np.argsort(keys, kind="stable"))))


if __name__ == "__main__":
    run(main)
