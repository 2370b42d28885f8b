"""Build each movie's series and the windows over it, from the table sorted by time."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import popularity.start

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.keys import blocks, group_starts, ranges
from popularity.program import run

GAPS = ("calendar", "observed")

#: The columns of the series.
SERIES = {"slot": np.int32, "label": np.int32, "label_n": np.float64, "avg_rating": np.float32}
#: Bytes that a row takes in memory: its key twice, and the series twice, by time and by movie.
ROW_BYTES = 64
#: Movies of a row group.
GROUP = 1 << 11
EVERY_MOVIE = (0, 1 << 31)

Rows = Callable[[], Iterable[pa.Table]]


def build_sequences(
    by_time: Rows, rows: int, window: int, gaps: str, memory_mb: int = 4000
) -> Iterator[pa.RecordBatch]:
    """Group the rows by movie and place the windows, without copying one.

    Parameters
    ----------
    by_time
        Gives the rows part by part, from the start each time: ``movieId`` and the columns of
        :data:`SERIES` of         :data:`tables.LABELLED`, sorted by slot.
    rows
        How many there are.
    window
        How many slots the value to predict follows.
    gaps
        ``calendar``: a window is the ``window`` slots before its target, a slot without a request
        counting 0; each slot after a movie's first request is a target, up to the log's last slot.
        ``observed``: a window is ``window`` slots with a request and its target the next such slot,
        so a movie's first ``window`` requested slots are no targets.
    memory_mb
        Megabytes that the rows in memory may take; if all don't fit, ranges of movies follow one
        another, each from a new reading.

    Yields
    ------
    Batches of :data:`tables.SEQUENCES`, sorted by movie.
    """
    most = max(memory_mb * 1_000_000 // ROW_BYTES, 1)
    for low, high, count in _ranges(by_time, rows, most):
        yield from _sequences(by_time, low, high, count, window, gaps)


def _ranges(by_time: Rows, rows: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Divide the movies' ids into ranges of at most ``most`` rows (or one movie), with their counts."""
    if rows <= most:
        yield *EVERY_MOVIE, rows
        return
    counted: tuple[npt.NDArray[np.integer], npt.NDArray[np.int64]] = (
        np.zeros(0, np.int64),
        np.zeros(0, np.int64),
    )
    for part in by_time():
        found = np.unique(tables.numbers(part["movieId"]), return_counts=True)
        movies, at = np.unique(np.concatenate([counted[0], found[0]]), return_inverse=True)
        weights = np.concatenate([counted[1], found[1]])
        counted = movies, np.bincount(at, weights=weights).astype(np.int64)
    movies, counts = counted
    for first, last, count in ranges(counts, most):
        yield int(movies[first]), int(movies[last - 1]) + 1, count


def _sequences(
    by_time: Rows, low: int, high: int, count: int, window: int, gaps: str
) -> Iterator[pa.RecordBatch]:
    """Build the sequences of the movies with ids from ``low`` to below ``high``."""
    keys = np.empty(count, np.int64)
    columns = {name: np.empty(count, kind) for name, kind in SERIES.items()}
    at = 0
    for part in by_time():
        values = {name: tables.numbers(part[name]) for name in ("movieId", *SERIES)}
        last_slot = int(values["slot"][-1])
        if (low, high) != EVERY_MOVIE:
            inside = (values["movieId"] >= low) & (values["movieId"] < high)
            values = {name: column[inside] for name, column in values.items()}
        end = at + len(values["movieId"])
        key = keys[at:end]
        key[:] = values["movieId"]
        key <<= 32
        key |= np.arange(at, end)
        for name, column in columns.items():
            column[at:end] = values[name]
        at = end
    # Rows come by time, so one sort by (movie, row) leaves every movie's rows in time's order.
    keys.sort()
    for block in blocks(keys, 32):
        movies = keys[block] >> 32
        starts = group_starts(movies)
        offsets = tables.array(np.append(starts, len(movies)).astype(np.int32))
        order = keys[block] & 0xFFFFFFFF
        # No row is beyond the last; `clip` just saves looking for one.
        series = {name: column.take(order, mode="clip") for name, column in columns.items()}
        if gaps == "calendar":
            first_target = series["slot"][starts] + 1
            windows = last_slot - first_target + 1
        else:
            first_target = np.full(len(starts), window)
            windows = np.maximum(np.diff(starts, append=len(movies)) - window, 0)
        # Only a mean rating may be missing.
        valid = {"avg_rating": ~np.isnan(series["avg_rating"])}
        lists = [
            pa.ListArray.from_arrays(offsets, tables.array(values, valid.get(name)))
            for name, values in series.items()
        ]
        numbers = (movies[starts], first_target, windows)
        ids, *targets = (tables.array(values.astype(np.int32)) for values in numbers)
        yield pa.record_batch([ids, *lists, *targets], schema=tables.SEQUENCES)


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sorted", type=Path, required=True, help="sorted.parquet")
    parser.add_argument("--window", type=int, required=True, help="slots that a window holds")
    parser.add_argument("--gaps", choices=GAPS, required=True, help="what a window is made of")
    parser.add_argument(
        "--memory-mb", type=int, default=4000, help="memory that the rows may take (%(default)s)"
    )
    parser.add_argument("--sequences", type=Path, required=True, help="the table to write")
    args = parser.parse_args()
    if args.window < 1:
        parser.error(f"--window is {args.window}: it must be at least 1")

    rows = tables.count(args.sorted, tables.LABELLED)
    if not rows:
        raise tables.no_rows(args.sorted)
    sequences = build_sequences(
        lambda: tables.batches(args.sorted, tables.LABELLED, ["movieId", *SERIES]),
        rows,
        args.window,
        args.gaps,
        args.memory_mb,
    )
    tables.write_batches(args.sequences, tables.SEQUENCES, sequences, GROUP)


if __name__ == "__main__":
    run(main)
