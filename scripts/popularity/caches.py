"""Caches replayed over a log: filled from a ranking at each slot's start, or reacting to each request."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcachesim
import numpy as np
import numpy.typing as npt

from popularity.series import Ints

#: A request as libcachesim reads it (its format ``oracleGeneral``): the next request for the same object
#: is known, which Belady's optimum needs.
_TRACE = np.dtype([("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])
#: Stands for no next request.
_NEVER = np.iinfo(np.int64).max
#: Seconds after which libcachesim would drop an object: none here, as all requests have the time 0.
_TIME_TO_LIVE = 2**31 - 1


def _s3_fifo(movies: int, **common: Any) -> Any:
    # The small queue (10 %) has to be larger than a movie, or none is ever admitted.
    return libcachesim.S3FIFO(movies, small_size_ratio=max(0.1, 2.5 / movies), **common)


def _w_tinylfu(movies: int, **common: Any) -> Any:
    # The window (1 %) has to hold a movie, or none is ever admitted.
    return libcachesim.WTinyLFU(movies, window_size=max(0.01, 1.5 / movies), **common)


@dataclass(frozen=True)
class Policy:
    """A policy that reacts to each request.

    Attributes
    ----------
    make
        How libcachesim makes a cache of so many movies.
    fewest
        The fewest movies that it takes.
    knows_future
        Whether it is a reference that no cache could follow.
    """

    make: Callable[..., Any]
    fewest: int = 1
    knows_future: bool = False


#: Policies by the name that config.yaml has for them. LFU counts the requests of a movie while it is in
#: the cache.
REACTIVE = {
    "LRU": Policy(libcachesim.LRU),
    "LFU": Policy(libcachesim.LFU),
    "ARC": Policy(libcachesim.ARC),
    "W-TinyLFU": Policy(_w_tinylfu, 6),
    "S3-FIFO": Policy(_s3_fifo, 3),
    "SIEVE": Policy(libcachesim.Sieve),
    "Belady": Policy(libcachesim.Belady, knows_future=True),
}


@dataclass(frozen=True)
class Replay:
    """All requests of a log up to the end of the test slots, in their order.

    Attributes
    ----------
    movie
        int64 [n], each request's movie, numbered as in the series.
    slots
        int [s], the test slots that have a request.
    bounds
        int [s + 1], slot ``i`` has the requests ``bounds[i]`` to ``bounds[i + 1]``; those before
        ``bounds[0]`` only warm a cache.
    """

    movie: npt.NDArray[np.int64]
    slots: Ints
    bounds: Ints

    @property
    def requests(self) -> npt.NDArray[np.int64]:
        """Requests of each test slot, [s]."""
        return np.diff(self.bounds)

    def counts(self, at: int, movies: int) -> npt.NDArray[np.int64]:
        """Count the requests of each of the log's movies in the ``at``-th test slot, [movies]."""
        return np.bincount(self.movie[self.bounds[at] : self.bounds[at + 1]], minlength=movies)


def replay_of(timestamps: npt.NDArray[np.int64], movie: Ints, slots: Ints, test: range) -> Replay:
    """Put the requests in order: by time, those of one second in the log's order.

    Parameters
    ----------
    timestamps, movie, slots
        [n] time, movie number and slot of each request, in the log's order.
    test
        The test slots.
    """
    order = np.argsort(timestamps, kind="stable")
    slots = slots[order]
    order = order[: np.searchsorted(slots, test.stop)]
    first = int(np.searchsorted(slots, test.start))
    tested, starts = np.unique(slots[first : len(order)], return_index=True)
    return Replay(movie[order].astype(np.int64), tested, np.append(first + starts, len(order)))


def write_trace(path: Path, movie: npt.NDArray[np.int64]) -> None:
    """Write requests, each for an object of size 1, as libcachesim reads them."""
    count = len(movie)
    keys = (movie << 32) | np.arange(count)
    keys.sort()
    place = keys & (2**32 - 1)
    again = (keys[1:] >> 32) == (keys[:-1] >> 32)
    trace = np.zeros(count, _TRACE)
    trace["object"] = movie
    trace["size"] = 1
    trace["next"] = _NEVER
    trace["next"][place[:-1][again]] = place[1:][again]
    trace.tofile(path)


def reactive_cache(policy: str, movies: int) -> Any:
    """Make an empty cache of a policy of :data:`REACTIVE` for so many movies."""
    # Room in the hash table, which grows where it has to.
    power = max(10, movies.bit_length() + 1)
    return REACTIVE[policy].make(movies, hashpower=power, default_ttl=_TIME_TO_LIVE)


def run_trace(cache: Any, trace: Path, bounds: Ints) -> npt.NDArray[np.int64]:
    """Run the requests between each two bounds through a cache; other threads run meanwhile.

    Returns
    -------
    int64 [bounds - 1] hits.
    """
    reader = libcachesim.TraceReader(
        str(trace), libcachesim.TraceType.ORACLE_GENERAL_TRACE, libcachesim.ReaderInitParam()
    )
    hits = np.zeros(len(bounds) - 1, np.int64)
    for at, (start, count) in enumerate(zip(bounds[:-1].tolist(), np.diff(bounds).tolist(), strict=True)):
        # A count of 0 would stand for all requests.
        if count:
            miss_ratio, _ = cache.process_trace(reader, start, count)
            hits[at] = round((1 - miss_ratio) * count)
    return hits


def warmed_cache(policy: str, movies: int, trace: Path, replay: Replay) -> Any:
    """Make a cache that has seen all requests before the test slots."""
    cache = reactive_cache(policy, movies)
    run_trace(cache, trace, np.array([0, replay.bounds[0]]))
    if replay.bounds[0] and not cache.get_n_obj():
        raise RuntimeError(f"a cache of {movies} movies admits none with {policy}")
    return cache


def filled_hits(
    predicted: npt.NDArray[np.float64], counts: npt.NDArray[np.integer], sizes: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Hits in one slot of caches that hold the movies predicted highest.

    Parameters
    ----------
    predicted, counts
        [candidates] predicted share and true requests.
    sizes
        Movies in each cache, at most as many as candidates.

    Returns
    -------
    float64 [sizes]. Movies with equal predictions are in no order: if the last place falls among such
    ties, the hits are the mean over their orders, as in :func:`scores.score_slot`. NaN where the forecast
    is not a number.
    """
    if not np.isfinite(predicted).all():
        return np.full(len(sizes), np.nan)
    largest = max(sizes)
    top = np.sort(np.partition(predicted, -largest)[-largest:]) if largest else predicted[:0]
    requested = np.flatnonzero(counts)
    asked, counts = predicted[requested], counts[requested]
    hits = np.zeros(len(sizes))
    for at, size in enumerate(sizes):
        if size:
            last = top[-size]
            above = largest - np.searchsorted(top, last, side="right")
            tied = (size - above) / np.count_nonzero(predicted == last)
            hits[at] = counts[asked > last].sum() + tied * counts[asked == last].sum()
    return hits


def filled_movies(
    predicted: npt.NDArray[np.float64], size: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Positions of the ``size`` movies predicted highest, ties in a drawn order."""
    if not size:
        return np.zeros(0, np.int64)
    last = np.partition(predicted, -size)[-size]
    drawn = generator.permutation(np.flatnonzero(predicted >= last))
    return drawn[np.argsort(-predicted[drawn], kind="stable")[:size]]


def cache_sizes(candidates: int, shares: Sequence[float]) -> list[int]:
    """Movies in caches of these shares of a slot's candidates, rounded up as the hit ratios are."""
    # Rounded first: 0.07 * 100 is a little more than 7 and would become 8.
    return [math.ceil(round(share * candidates, 6)) for share in shares]
