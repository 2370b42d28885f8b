"""The requests of a log in their order, as caches meet them, and how large these caches are."""

import argparse
import functools
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.series import Ints, Series, read_series, split_slots
from popularity.settings.fields import json_argument
from popularity.settings.slots import FoldSplit
from popularity.slots import HELP, Slot, slot_of

#: The largest size of a movie in a trace: see ``caches.write_trace``.
_LARGEST = 2**32 - 1
#: Most requests of a log whose rows stand for several each: beyond, a part of them is drawn.
MOST_REQUESTS = 50_000_000


@dataclass(frozen=True)
class Replay:
    """All requests of a log up to the end of the test slots, in their order.

    Attributes
    ----------
    movie
        int32 [n], each request's movie, numbered as in the series.
    slots
        int [s], the test slots that have a request.
    bounds
        int [s + 1], slot ``i`` has the requests ``bounds[i]`` to ``bounds[i + 1]``; those before
        ``bounds[0]`` only warm a cache.
    sizes
        int64 [movies], what each movie takes in a cache, from 1 on.
    unit
        Bytes that a size of 1 stands for; None where sizes are unknown and each movie's is 1.
    """

    movie: npt.NDArray[np.int32]
    slots: Ints
    bounds: Ints
    sizes: npt.NDArray[np.int64]
    unit: int | None = None

    @property
    def requests(self) -> npt.NDArray[np.int64]:
        """Requests of each test slot, [s]."""
        return np.diff(self.bounds)

    @functools.cached_property
    def volumes(self) -> npt.NDArray[np.int64]:
        """Sizes of all that is requested in each test slot, added up, [s]."""
        begin, end = self.bounds[[0, -1]]
        return np.add.reduceat(self.sizes[self.movie[begin:end]], self.bounds[:-1] - begin)

    @property
    def mean_size(self) -> float:
        """Mean size of a request's movie."""
        return float(np.bincount(self.movie, minlength=len(self.sizes)) @ self.sizes / len(self.movie))

    def counts(self, at: int, movies: int) -> npt.NDArray[np.int64]:
        """Count the requests of each of the log's movies in the ``at``-th test slot, [movies]."""
        return np.bincount(self.movie[self.bounds[at] : self.bounds[at + 1]], minlength=movies)


def replay_of(
    timestamps: npt.NDArray[np.int64],
    movie: Ints,
    slots: Ints,
    test: range,
    sizes: npt.NDArray[np.int64],
    unit: int | None = None,
    counts: npt.NDArray[np.int64] | None = None,
) -> Replay:
    """Put the requests in order: by time, those of one second in the log's order.

    Parameters
    ----------
    timestamps, movie, slots
        [n] time, movie number and slot of each row, in the log's order.
    test
        The test slots.
    sizes, unit
        See :class:`Replay`.
    counts
        [n] how many requests each row stands for; None for one. Those of one second then come in a
        drawn order, as nobody knows theirs: one after another they would all be hits but the first.
    """
    order: Ints
    if counts is None:
        order = np.argsort(timestamps, kind="stable")
    else:
        rows = drawn_rows(counts)
        order = rows[np.argsort(timestamps[rows], kind="stable")]
    slots = slots[order]
    order = order[: np.searchsorted(slots, test.stop)]
    first = int(np.searchsorted(slots, test.start))
    tested, starts = np.unique(slots[first : len(order)], return_index=True)
    bounds = np.append(first + starts, len(order))
    return Replay(movie[order].astype(np.int32), tested, bounds, sizes, unit)


def drawn_rows(counts: npt.NDArray[np.int64], most: int = MOST_REQUESTS) -> Ints:
    """Give the row of each request, in a drawn order; of more than ``most`` requests about so many."""
    generator = np.random.default_rng(0)
    total = int(counts.sum())
    if total > most:
        logging.info("of %d requests some %d are drawn", total, most)
        counts = generator.binomial(counts, most / total)
    return generator.permutation(np.repeat(np.arange(len(counts)), counts))


def sizes_in_units(sizes: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], int | None]:
    """Give what each movie takes in a cache, and the bytes that a size of 1 stands for.

    Parameters
    ----------
    sizes
        float64 [movies] bytes, not a number where they are unknown: such a movie is taken to have as
        many as the median of the others.

    Returns
    -------
    int64 [movies], rounded up and at least 1; a unit is one byte if the largest movie has at most 4 GiB.
    Without any size all are 1, and the unit is None.
    """
    known = ~np.isnan(sizes)
    if not known.any():
        return np.ones(len(sizes), np.int64), None
    if not known.all():
        logging.info(
            "%d of %d sizes are unknown: taken for the median", np.count_nonzero(~known), len(known)
        )
    filled = np.where(known, sizes, np.median(sizes[known]))
    unit = max(1, math.ceil(filled.max() / _LARGEST))
    return np.maximum(np.ceil(filled / unit), 1).astype(np.int64), unit


def cache_sizes(whole: int, shares: Sequence[float]) -> list[int]:
    """Sizes of caches of these shares of the sizes of a slot's candidates, rounded up as hit ratios are."""
    # Rounded first: 0.07 * 100 is a little more than 7 and would become 8.
    return [math.ceil(round(share * whole, 6)) for share in shares]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the caches: movies, or where these have sizes, units of :class:`Replay`.

    Attributes
    ----------
    shares
        Of the catalogue known at a slot's start.
    filled
        int [test slots, shares], of a filled cache.
    reactive
        For each share, of a reactive cache: the mean of the filled ones over the requests.
    """

    shares: Sequence[float]
    filled: npt.NDArray[np.int64]
    reactive: list[int]


def sizes_of(series: Series, replay: Replay, shares: Sequence[float]) -> Sizes:
    """Find the sizes of the caches of these shares of the catalogue."""
    known = [int(replay.sizes[series.candidates(slot)].sum()) for slot in replay.slots.tolist()]
    filled = np.array([cache_sizes(whole, shares) for whole in known], np.int64)
    mean = np.average(filled, axis=0, weights=replay.requests)
    return Sizes(shares, filled, [max(1, round(size)) for size in mean])


def sizes_of_movies(movies: pa.Table, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Bytes of these movies, of a table of :data:`tables.MOVIES`; not a number where they are unknown."""
    known = dict(zip(movies["movieId"].to_pylist(), movies["size"].to_pylist(), strict=True))
    return np.array([np.nan if (size := known.get(one)) is None else size for one in ids.tolist()])


def add_requests(parser: argparse.ArgumentParser) -> None:
    """Give a program the options that say which requests are replayed: see :func:`read_requests`."""
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet: the requests")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet: their sizes, if any")
    parser.add_argument("--sequences", type=Path, required=True, help="table of build_sequences")
    parser.add_argument(
        "--split", type=json_argument(FoldSplit), required=True, help="split of config.yaml, as JSON"
    )
    parser.add_argument("--slot", type=Slot, required=True, help=HELP)
    parser.add_argument("--threads", type=int, default=1)


def read_requests(options: argparse.Namespace) -> tuple[Series, Replay]:
    """Read the log that the options of :func:`add_requests` name, and put its requests in order."""
    series = read_series(options.sequences, options.slot)
    schema = tables.joined_schema(options.joined)
    counted = "count" in schema.names
    table = tables.read(options.joined, schema, ["movieId", "timestamp", *(["count"] if counted else [])])
    timestamps = tables.numbers(table["timestamp"])
    movie = np.searchsorted(series.movie_ids, tables.numbers(table["movieId"])).astype(np.int32)
    counts = tables.numbers(table["count"]) if counted else None
    del table
    sizes = sizes_of_movies(tables.read(options.movies, tables.MOVIES), series.movie_ids)
    test = split_slots(series, options.split)["test"]
    replay = replay_of(
        *(timestamps, movie, slot_of(timestamps, options.slot), test, *sizes_in_units(sizes), counts)
    )
    del timestamps, movie, counts
    tables.release_memory()
    logging.info(
        "%d requests in %d test slots, after %d to warm reactive caches",
        *(replay.requests.sum(), len(replay.slots), replay.bounds[0]),
    )
    return series, replay
