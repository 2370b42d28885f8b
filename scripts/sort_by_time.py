"""Sort the labelled table by slot, then movie."""

import argparse
import shutil
from collections.abc import Iterable
from pathlib import Path

import popularity.start

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.program import atomic_write, run


def time_keys(labelled: pa.Table) -> npt.NDArray[np.int64]:
    """Pack slot and movie of each row into one int64 that sorts by slot, then movie."""
    keys = tables.numbers(labelled["slot"]).astype(np.int64)
    keys <<= 32
    keys |= tables.numbers(labelled["movieId"])
    return keys


def in_order(parts: Iterable[pa.Table]) -> bool:
    """Whether the rows of a table, given part by part, come by slot, then movie."""
    last = np.iinfo(np.int64).min
    for part in parts:
        keys = time_keys(part)
        if keys[0] <= last or not (keys[1:] > keys[:-1]).all():
            return False
        last = keys[-1]
    return True


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet")
    parser.add_argument("--sorted", type=Path, required=True, help="sorted.parquet, to write")
    args = parser.parse_args()

    # All columns are read, as reading finds the damage that a copy would go on with.
    if in_order(tables.batches(args.labelled, tables.LABELLED, tables.LABELLED.names)):
        # The labelling groups by sorting, so its own tables come in order: the bytes are right.
        with atomic_write(args.sorted) as partial:
            shutil.copyfile(args.labelled, partial)
    else:
        labelled = tables.read(args.labelled, tables.LABELLED)
        rows = tables.array(np.argsort(time_keys(labelled), kind="stable"))
        tables.write_batches(args.sorted, tables.LABELLED, labelled.take(rows).to_batches())


if __name__ == "__main__":
    run(main)
