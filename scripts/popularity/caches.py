"""Caches replayed over a log: filled from a ranking at each slot's start, or reacting to each request."""

import gc
import itertools
import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import libcachesim
except ModuleNotFoundError:
    # It has no wheel for some platforms; without it no cache can react to requests.
    libcachesim = None

from popularity.program import Fault, end_with
from popularity.replays import Replay
from popularity.series import Ints

#: A request as libcachesim reads it (its format ``oracleGeneral``): the next request for the same object
#: is known, which Belady's optimum needs.
_TRACE = np.dtype([("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")])
#: Stands for no next request, there and where a trace is made.
_NEVER = np.iinfo(np.int64).max
_NONE = np.iinfo(np.uint32).max
#: Seconds after which libcachesim would drop an object: none here, as all requests have the time 0.
_TIME_TO_LIVE = 2**31 - 1
#: Requests that are written or read at a time.
_REQUESTS_AT_ONCE = 1 << 20
#: Requests after which a trace is mapped anew: what was read of it counts as memory of the job.
_REQUESTS_MAPPED = 1 << 23


def _plain(kind: str, **options: Any) -> Callable[..., Any]:
    return lambda size, item, **common: getattr(libcachesim, kind)(size, **options, **common)


def _s3_fifo(size: int, item: float, **common: Any) -> Any:
    # The small queue (10 %) has to be larger than a movie, or none is ever admitted.
    return libcachesim.S3FIFO(size, small_size_ratio=max(0.1, 2.5 * item / size), **common)


def _w_tinylfu(size: int, item: float, **common: Any) -> Any:
    # The window (1 %) has to hold a movie, or none is ever admitted.
    return libcachesim.WTinyLFU(size, window_size=max(0.01, 1.5 * item / size), **common)


@dataclass(frozen=True)
class Policy:
    """A policy that reacts to each request.

    Attributes
    ----------
    make
        How libcachesim makes a cache of a size, for movies of a mean size.
    fewest
        The fewest movies of mean size that it takes.
    knows_future
        Whether it is a reference that no cache could follow.
    draws
        Whether it draws numbers, whose seed is libcachesim's and a process's.
    """

    make: Callable[..., Any]
    fewest: int = 1
    knows_future: bool = False
    draws: bool = False


#: Of the learned policies, what they learn to keep: what is requested soonest, whatever its size.
_OBJECTIVE = "object-miss-ratio"

#: Policies by the name that config.yaml has for them. LFU counts the requests of a movie while it is in
#: the cache.
REACTIVE = {
    "LRU": Policy(_plain("LRU")),
    "LFU": Policy(_plain("LFU")),
    "ARC": Policy(_plain("ARC")),
    "LIRS": Policy(_plain("LIRS"), 2),
    "W-TinyLFU": Policy(_w_tinylfu, 6),
    "S3-FIFO": Policy(_s3_fifo, 3),
    "SIEVE": Policy(_plain("Sieve")),
    "Cacheus": Policy(_plain("Cacheus"), 2, draws=True),
    "3L-Cache": Policy(_plain("ThreeLCache", objective=_OBJECTIVE)),
    "LRB": Policy(_plain("LRB", objective=_OBJECTIVE)),
    "Belady": Policy(_plain("Belady"), knows_future=True),
}


def write_trace(path: Path, movie: Ints, sizes: npt.NDArray[np.int64]) -> None:
    """Write requests as libcachesim reads them; ``sizes`` has each movie's."""
    parts = [slice(start, start + _REQUESTS_AT_ONCE) for start in range(0, len(movie), _REQUESTS_AT_ONCE)]
    # Movie and place of each request, by movie, then place.
    keys = movie.astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(movie), dtype=np.uint32)
    keys.sort()
    following = np.full(len(movie), _NONE)
    for some in parts:
        movies, places = np.divmod(keys[some.start : some.stop + 1], 1 << 32)
        again = movies[1:] == movies[:-1]
        following[places[:-1][again]] = places[1:][again]
    del keys
    with path.open("wb") as file:
        for some in parts:
            trace = np.zeros(len(movie[some]), _TRACE)
            trace["object"] = movie[some]
            trace["size"] = sizes[movie[some]]
            after = following[some].astype(np.int64)
            trace["next"] = np.where(after == _NONE, _NEVER, after)
            trace.tofile(file)


def can_react() -> bool:
    """Say whether caches that react to requests can be replayed; where they can't, a warning tells why."""
    if libcachesim is None:
        logging.warning("libcachesim is not installed: no cache that reacts to requests is replayed")
    return libcachesim is not None


def reactive_cache(policy: str, size: int, item: float = 1.0) -> Any:
    """Make an empty cache of a policy of :data:`REACTIVE` of a size, for movies of this mean size."""
    # Room in the hash table, which grows where it has to.
    power = max(10, int(size / item).bit_length() + 1)
    try:
        return REACTIVE[policy].make(size, item, hashpower=power, default_ttl=_TIME_TO_LIVE)
    except ImportError as error:
        raise Fault(f"cache.policies: this libcachesim has no {policy} ({error}): leave it out") from error


def run_trace(cache: Any, trace: Path, bounds: Ints) -> npt.NDArray[np.int64]:
    """Run the requests between each two bounds through a cache; other threads run meanwhile.

    Returns
    -------
    int64 [bounds - 1, 2]: hits, and their sizes added up.
    """
    hits = np.zeros((len(bounds) - 1, 2), np.int64)
    if bounds[-1] == bounds[0]:
        return hits
    reader, read = _reader(trace), 0
    for at, (begin, end) in enumerate(itertools.pairwise(bounds.tolist())):
        for start in range(begin, end, _REQUESTS_MAPPED):
            count = min(_REQUESTS_MAPPED, end - start)
            if read + count > _REQUESTS_MAPPED:
                del reader
                reader, read = _reader(trace), 0
            miss_ratios = cache.process_trace(reader, start, count)
            read += count
            whole = count, _volume(trace, start, count)
            hits[at] += [round((1 - miss) * all_) for miss, all_ in zip(miss_ratios, whole, strict=True)]
    return hits


def _reader(trace: Path) -> Any:
    kind = libcachesim.TraceType.ORACLE_GENERAL_TRACE
    return libcachesim.TraceReader(str(trace), kind, libcachesim.ReaderInitParam())


def _volume(trace: Path, start: int, count: int) -> int:
    """Add up the sizes of some requests, without a second map of the file in memory."""
    volume = 0
    for first in range(start, start + count, _REQUESTS_AT_ONCE):
        some = min(_REQUESTS_AT_ONCE, start + count - first)
        requests = np.fromfile(trace, _TRACE, some, offset=first * _TRACE.itemsize)
        volume += int(requests["size"].sum(dtype=np.int64))
    return volume


def own_process() -> ProcessPoolExecutor:
    """Make a process for a piece of work, in which nothing has run; it ends when this one does."""
    told = "the program that started this process has ended"
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, context, initializer=end_with, initargs=(os.getpid(), told))


@dataclass(frozen=True)
class Run:
    """What a reactive cache meets.

    Attributes
    ----------
    policy, size, item
        See :func:`reactive_cache`.
    before, warming
        A trace, and how many of its first requests warm the cache.
    trace, bounds
        The trace of the requests that count, and where each slot begins and ends.
    """

    policy: str
    size: int
    item: float
    before: Path
    warming: int
    trace: Path
    bounds: Ints

    @classmethod
    def of(cls, policy: str, size: int, trace: Path, replay: Replay) -> "Run":
        """Make the run of a cache that meets all requests of a replay, whose trace this is."""
        warming = int(replay.bounds[0])
        return cls(policy, size, replay.mean_size, trace, warming, trace, replay.bounds)

    def hits(self) -> npt.NDArray[np.int64]:
        """Give the hits of each slot, and their sizes added up, [slots, 2]."""
        if not REACTIVE[self.policy].draws:
            return self._hits()
        # In a process of its own it draws the same numbers each time, whatever ran before.
        with own_process() as process:
            return process.submit(self._hits).result()

    def _hits(self) -> npt.NDArray[np.int64]:
        cache = reactive_cache(self.policy, self.size, self.item)
        run_trace(cache, self.before, np.array([0, self.warming]))
        if self.warming and self.item == 1 and not cache.get_n_obj():
            raise RuntimeError(f"a cache of {self.size} movies admits none with {self.policy}")
        return run_trace(cache, self.trace, self.bounds)


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
    predicted: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64] | None,
    capacities: Sequence[int],
    generator: np.random.Generator,
) -> list[npt.NDArray[np.int64]]:
    """Positions of the movies that caches of these sizes are filled with.

    They are the movies predicted highest, of known sizes those with the most expected requests per byte,
    each as far as there is still room for it; ties come in a drawn order.

    Parameters
    ----------
    predicted, sizes
        [candidates] predicted share, and size; None if all are 1.
    capacities
        What each cache may hold.
    """
    if sizes is not None:
        drawn = generator.permutation(len(predicted))
        order = drawn[np.argsort(-(predicted / sizes)[drawn], kind="stable")]
        return [_fitting(order, sizes, capacity) for capacity in capacities]
    most = max(capacities)
    if not most:
        return [np.zeros(0, np.int64)] * len(capacities)
    last = np.partition(predicted, -most)[-most]
    drawn = generator.permutation(np.flatnonzero(predicted >= last))
    order = drawn[np.argsort(-predicted[drawn], kind="stable")]
    return [order[:capacity] for capacity in capacities]


def _fitting(
    order: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], room: int
) -> npt.NDArray[np.int64]:
    """Take one after the other what there is still room for."""
    taken = []
    while len(order := order[sizes[order] <= room]):
        ends = np.cumsum(sizes[order])
        count = int(np.searchsorted(ends, room, "right"))
        taken.append(order[:count])
        room -= int(ends[count - 1])
        order = order[count:]
    return np.concatenate(taken) if taken else np.zeros(0, np.int64)


class Pool:
    """Threads that do named pieces of work, and tell of each with what remains."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads)
        self._begun = time.monotonic()
        self._works: list[tuple[str, Future[Any]]] = []

    def submit(self, name: str, work: Callable[..., Any], *arguments: Any) -> None:
        """Have this work done: its result is what :meth:`results` gives beside the name."""
        self._works.append((name, self._threads.submit(work, *arguments)))

    def results(self) -> Iterator[tuple[str, Any]]:
        """Wait for the work in its order."""
        try:
            for done, (name, future) in enumerate(self._works, 1):
                yield name, future.result()
                # Forecasters refer to themselves: Python would free them much later.
                gc.collect()
                passed = time.monotonic() - self._begun
                left = passed / done * (len(self._works) - done)
                logging.info("%s: %d of %d, some %.0f s left", name, done, len(self._works), left)
        finally:
            self._threads.shutdown(cancel_futures=True)
