"""The requests of a log in their order, as caches meet them, and how large these caches are."""

import argparse
import functools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.series import Ints, Series, placed, read_series, split_slots
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

    @functools.cached_property
    def mean_size(self) -> float:
        """Mean size of a request's movie."""
        return float(np.bincount(self.movie, minlength=len(self.sizes)) @ self.sizes / len(self.movie))

    def counts(self, at: int, movies: int) -> npt.NDArray[np.int64]:
        """Count the requests of each of the log's movies in the ``at``-th test slot, [movies]."""
        return np.bincount(self.movie[self.bounds[at] : self.bounds[at + 1]], minlength=movies)


@dataclass(frozen=True)
class Rows:
    """Some rows of a log, n of them, in its order.

    Attributes
    ----------
    time
        int64 [n] seconds.
    movie, slot
        int [n] numbers of each row's movie and slot.
    count
        int64 [n], how many requests each row stands for; None for one.
    """

    time: npt.NDArray[np.int64]
    movie: Ints
    slot: Ints
    count: npt.NDArray[np.int64] | None = None


def replay_of(
    parts: Callable[[], Iterable[Rows]],
    first_slot: int,
    test: range,
    sizes: npt.NDArray[np.int64],
    unit: int | None = None,
) -> Replay:
    """Put the requests in order: by time, those of one second in the log's order.

    Where rows stand for several requests, those of one second come in a drawn order, as nobody knows
    theirs: one after another they would all be hits but the first. Of more than :data:`MOST_REQUESTS`
    about so many are drawn.

    Parameters
    ----------
    parts
        Goes through the log, part by part, once to count and once to read: no more is held than a time
        and a movie of each row.
    first_slot, test
        The log's first slot, and the test slots.
    sizes, unit
        See :class:`Replay`.
    """
    rows = np.zeros(test.stop - first_slot, np.int64)
    for part in parts():
        rows += np.bincount(part.slot[part.slot < test.stop] - first_slot, minlength=len(rows))
    ends = np.cumsum(rows)
    following = ends - rows
    time, movie, count = np.empty(ends[-1], np.int64), np.empty(ends[-1], np.int32), None
    for part in parts():
        inside = np.flatnonzero(part.slot < test.stop)
        order, places = placed(part.slot[inside] - first_slot, following)
        time[places], movie[places] = part.time[inside[order]], part.movie[inside[order]]
        if part.count is not None:
            count = np.empty(ends[-1], np.int64) if count is None else count
            count[places] = part.count[inside[order]]
    drawn = 1.0
    if count is not None and (total := int(count.sum())) > MOST_REQUESTS:
        logging.info("of %d requests some %d are drawn", total, MOST_REQUESTS)
        drawn = MOST_REQUESTS / total
    generator = np.random.default_rng(0)
    made = [np.zeros(0, np.int32)]
    for begin, end in zip((ends - rows).tolist(), ends.tolist(), strict=True):
        of_slot = None if count is None else generator.binomial(count[begin:end], drawn)
        made.append(movie[begin:end][_in_order(time[begin:end], of_slot, generator)])
    del time, movie, count
    requests = np.array([len(part) for part in made[1:]])
    ends = np.cumsum(requests)
    tested = np.flatnonzero(requests)
    tested = tested[tested >= test.start - first_slot]
    bounds = np.append((ends - requests)[tested], ends[-1])
    return Replay(np.concatenate(made), tested + first_slot, bounds, sizes, unit)


def _in_order(
    time: npt.NDArray[np.int64], count: npt.NDArray[np.int64] | None, generator: np.random.Generator
) -> Ints:
    """Put rows, or the requests that they stand for, in order: see :func:`replay_of`."""
    if count is None:
        return np.argsort(time, kind="stable")
    rows = generator.permutation(np.repeat(np.arange(len(count)), count))
    ordered: Ints = rows[np.argsort(time[rows], kind="stable")]
    return ordered


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
    names = ["movieId", "timestamp", *(["count"] if "count" in schema.names else [])]

    def parts() -> Iterator[Rows]:
        for part in tables.batches(options.joined, schema, names):
            movie, time, *count = (tables.numbers(part[name]) for name in names)
            movie = np.searchsorted(series.movie_ids, movie)
            yield Rows(time, movie, slot_of(time, options.slot), *count)

    sizes = sizes_of_movies(tables.read(options.movies, tables.MOVIES), series.movie_ids)
    test = split_slots(series, options.split)["test"]
    replay = replay_of(parts, series.first_slot, test, *sizes_in_units(sizes))
    tables.release_memory()
    logging.info(
        "%d requests in %d test slots, after %d to warm reactive caches",
        *(replay.requests.sum(), len(replay.slots), replay.bounds[0]),
    )
    return series, replay
