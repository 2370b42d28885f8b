"""Build each movie's series and the windows over it, from the table sorted by time."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from popularity import tables
from popularity.program import run

GAPS = ("calendar", "observed")


def build_sequences(by_time: pa.Table, window: int, gaps: str) -> pa.Table:
    """Group the rows by movie and place the windows, without copying one.

    Parameters
    ----------
    by_time
        A table of :data:`tables.LABELLED`, sorted by slot.
    window
        How many slots the value to predict follows.
    gaps
        ``calendar``: a window is the ``window`` slots before its target, a slot without a request
        counting 0; each slot after a movie's first request is a target, up to the log's last slot.
        ``observed``: a window is ``window`` slots with a request and its target the next such slot,
        so a movie's first ``window`` requested slots are no targets.

    Returns
    -------
    A table of :data:`tables.SEQUENCES`, sorted by movie.
    """
    movie_id = tables.numbers(by_time["movieId"])
    slot = tables.numbers(by_time["slot"])
    # Rows come by time, so one sort by (movie, row) leaves every movie's rows in time's order.
    keys = movie_id.astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(keys))
    keys.sort()
    order = keys & 0xFFFFFFFF
    rows = tables.array(order)
    movies = keys >> 32
    starts = np.flatnonzero(np.diff(movies, prepend=-1))
    offsets = tables.array(np.append(starts, len(keys)).astype(np.int32))

    if gaps == "calendar":
        first_target = slot[order[starts]] + np.int32(1)
        windows = slot[-1] - first_target + 1
    else:
        lengths = np.diff(starts, append=len(keys))
        first_target = np.full(len(starts), window, dtype=np.int32)
        windows = np.maximum(lengths - window, 0)

    def series(name: str) -> pa.Array:
        values = by_time[name].combine_chunks().take(rows)
        return pa.ListArray.from_arrays(offsets, values)

    return pa.table(
        [
            tables.array(movies[starts].astype(np.int32)),
            *(series(name) for name in ("slot", "label", "label_n", "avg_rating")),
            tables.array(first_target.astype(np.int32)),
            tables.array(windows.astype(np.int32)),
        ],
        schema=tables.SEQUENCES,
    )


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sorted", type=Path, required=True, help="sorted.parquet")
    parser.add_argument("--window", type=int, required=True, help="slots that a window holds")
    parser.add_argument("--gaps", choices=GAPS, required=True, help="what a window is made of")
    parser.add_argument("--sequences", type=Path, required=True, help="the table to write")
    args = parser.parse_args()
    if args.window < 1:
        parser.error(f"--window is {args.window}: it must be at least 1")

    columns = ["slot", "movieId", "label", "label_n", "avg_rating"]
    by_time = tables.read(args.sorted, tables.LABELLED, columns)
    tables.write(args.sequences, build_sequences(by_time, args.window, args.gaps))


if __name__ == "__main__":
    run(main)
