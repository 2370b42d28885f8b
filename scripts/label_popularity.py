"""Label every slot and movie with its number of requests and its share of the slot's requests."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import popularity.start

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import slots, tables
from popularity.keys import Keys, blocks, group_starts, ranges
from popularity.program import SHARD_HELP, Fault, Shard, parse_shard, run

#: Bits of a request's key: its slot's number (26 bits with its sign for slots of 5 minutes up to the year
#: 2200) is above its movie's id, and below that is its rating.
MOVIE_BITS, RATING_BITS = 31, 7
LAST_BITS = (1 << RATING_BITS) - 1
#: Bytes that a request takes in memory: its key, and as much again for all else; more where a row stands
#: for several requests, as then numbers are sorted beside the keys.
REQUEST_BYTES, COUNTED_BYTES = 16, 40

Requests = Callable[[], Iterable[pa.Table]]


class Sorted(NamedTuple):
    """Rows of some slots, sorted.

    Attributes
    ----------
    keys
        int64 [n], a slot, a movie and maybe a rating each.
    ratings
        float64 [n], NaN for none; None if the keys have them.
    passed
        int64 [n + 1], the requests of all rows before each; None if each row is one.
    """

    keys: Keys
    ratings: npt.NDArray[np.float64] | None
    passed: npt.NDArray[np.int64] | None


def label_popularity(
    requests: Requests,
    rows: int,
    movies: pa.Table,
    slot: str,
    memory_mb: int = 4000,
    shard: Shard = (0, 1),
    counted: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Count the requests of each slot and movie.

    Sorting one packed integer a request, (slot, movie, rating), brings together what is counted. If
    all of them don't fit in memory, ranges of slots are labelled one after another, each from a new
    reading of the requests.

    Parameters
    ----------
    requests
        Gives the requests part by part, from the start each time: columns ``movieId``, ``rating``
        and the slot's own (:func:`slot_column`), in any order of rows.
    rows
        Number of requests.
    movies
        The catalogue (:data:`tables.MOVIES`), which gives ``genres`` and ``releaseDate``.
    slot
        A name of :data:`slots.SLOTS`.
    memory_mb
        Megabytes that the requests in memory may take.
    shard
        (i, n): label the i-th of n ranges of slots, of about as many requests each.
    counted
        Whether a row stands for as many requests as its ``count`` says.

    Yields
    ------
    Batches of :data:`tables.LABELLED`, sorted by slot, then movie: ``label`` is the number of
    requests, ``label_n`` the label divided by all requests of the slot, ``avg_rating`` the mean of
    the ratings given (null without one).
    """
    most = max(memory_mb * 1_000_000 // (COUNTED_BYTES if counted else REQUEST_BYTES), 1)
    look_up = tables.genres_and_release(movies)
    for chosen, count in _ranges(requests, rows, slot, most, shard):
        take = _sorted_counts if counted else _sorted_requests
        keys, ratings, passed = take(requests, count, slot, chosen)
        for block in blocks(keys, RATING_BITS):
            yield _labelled(keys, block, ratings, passed, look_up)


def slot_column(slot: str) -> str:
    """Name the column of the joined table that has the slot, or the time that it follows from."""
    length = slots.length_of(slot)
    return f"tstamp_{length}" if length in ("hour", "day", "year") else "timestamp"


def _numbers(part: pa.Table, slot: str) -> npt.NDArray[np.integer]:
    column = tables.numbers(part[slot_column(slot)])
    return slots.slot_of(column, slot) if slot_column(slot) == "timestamp" else column


def _ranges(
    requests: Requests, rows: int, slot: str, most: int, shard: Shard
) -> Iterator[tuple[range | None, int]]:
    """Divide the shard's slots into ranges of at most ``most`` requests (or one slot), with counts."""
    if rows <= most and shard == (0, 1):
        yield None, rows
        return
    # Of slots from the first one on, which may be negative.
    first, counts = 0, np.zeros(0, np.int64)
    for part in requests():
        numbers = _numbers(part, slot)
        low = min(first, int(numbers.min())) if len(counts) else int(numbers.min())
        found = np.bincount(numbers - low)
        known = np.concatenate([np.zeros(first - low if len(counts) else 0, np.int64), counts])
        counts = np.zeros(max(len(found), len(known)), np.int64)
        counts[: len(known)] = known
        counts[: len(found)] += found
        first = low
    # A slot belongs to the shard that holds its first request.
    owner = (np.cumsum(counts) - counts) * shard[1] // rows
    own = np.flatnonzero((owner == shard[0]) & (counts > 0))
    if len(own):
        begin = first + int(own[0])
        for start, stop, count in ranges(counts[own[0] : own[-1] + 1], most):
            yield range(begin + start, begin + stop), count


def _sorted_requests(requests: Requests, count: int, slot: str, chosen: range | None) -> Sorted:
    """Sort the keys of the requests in the chosen slots, each of which is one.

    The ratings are in the last bits of their keys: half-stars and 1, or 0 for no rating. If some ratings
    are not half-stars, those bits are 0 and the ratings are beside the keys.
    """
    keys = np.empty(count, np.int64)
    others: list[npt.NDArray[np.float64]] | None = None
    at = 0
    for part in requests():
        numbers, movies = _numbers(part, slot), tables.numbers(part["movieId"])
        ratings = tables.numbers(part["rating"])
        if chosen is not None:
            inside = (numbers >= chosen.start) & (numbers < chosen.stop)
            numbers, movies, ratings = numbers[inside], movies[inside], ratings[inside]
        key = keys[at : at + len(numbers)]
        key[:] = numbers
        key <<= MOVIE_BITS
        key |= movies
        key <<= RATING_BITS
        at += len(numbers)
        if others is None:
            halves = np.nan_to_num(ratings * 2 + 1, nan=0.0)
            with np.errstate(invalid="ignore"):
                # What does not fit is no half-star.
                codes = halves.astype(np.int16)
            if ((codes == halves) & (codes >= 0) & (codes < 1 << RATING_BITS)).all():
                key |= codes
                continue
            others = [_decoded(keys[: at - len(numbers)])]
            keys[:at] &= -1 << RATING_BITS
        others.append(ratings.astype(np.float64))
    if others is None:
        keys.sort()
        return Sorted(keys, None, None)
    order = np.argsort(keys, kind="stable")
    return Sorted(keys[order], np.concatenate(others)[order], None)


def _sorted_counts(requests: Requests, count: int, slot: str, chosen: range | None) -> Sorted:
    """Sort the keys of rows that stand for several requests each, in the chosen slots."""
    keys, counts = np.empty((2, count), np.int64)
    ratings = np.empty(count)
    at = 0
    for part in requests():
        numbers = _numbers(part, slot)
        columns = [numbers, *(tables.numbers(part[name]) for name in ("movieId", "rating", "count"))]
        if chosen is not None:
            inside = (numbers >= chosen.start) & (numbers < chosen.stop)
            columns = [column[inside] for column in columns]
        rows = slice(at, at + len(columns[0]))
        keys[rows] = ((columns[0].astype(np.int64) << MOVIE_BITS) | columns[1]) << RATING_BITS
        ratings[rows], counts[rows] = columns[2:]
        at = rows.stop
    order = np.argsort(keys, kind="stable")
    return Sorted(keys[order], ratings[order], np.append(0, np.cumsum(counts[order])))


def _decoded(keys: Keys) -> npt.NDArray[np.float64]:
    """Ratings in the last bits of keys, NaN for none."""
    codes = keys & LAST_BITS
    return np.where(codes > 0, (codes - 1) / 2, np.nan)


def _by_group(values: npt.NDArray[Any], starts: Any, ends: Any) -> npt.NDArray[np.int64]:
    """Add up whole numbers [n] from each group's start to its end."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    totals: npt.NDArray[np.int64] = sums[ends] - sums[starts]
    return totals


def _labelled(
    keys: Keys,
    block: slice,
    ratings: npt.NDArray[np.float64] | None,
    passed: npt.NDArray[np.int64] | None,
    look_up: Any,
) -> pa.RecordBatch:
    """Label a block of the sorted requests, whole groups of a slot and movie."""
    groups = keys[block] >> RATING_BITS
    starts = group_starts(groups)
    ends = np.append(starts[1:], len(groups))
    requests = ends - starts
    if passed is not None:
        requests = passed[block.start + ends] - passed[block.start + starts]
    if requests.max() > np.iinfo(np.int32).max:
        raise Fault(f"an item has {requests.max():,} requests in a slot: use shorter slots")
    label = requests.astype(np.int32)
    groups = groups[starts]
    if ratings is None:
        codes = keys[block] & LAST_BITS
        # A running sum of whole numbers is exact, and much cheaper than a sum by group.
        added = _by_group(codes, starts, ends)
        rated = label if codes.all() else _by_group(codes > 0, starts, ends)
        # A code is twice the stars and 1.
        sums = (added - rated) / 2
    else:
        weights = np.ones(1, np.int64) if passed is None else np.diff(passed[block.start : block.stop + 1])
        given = ~np.isnan(ratings[block])
        rated = _by_group(given * weights, starts, ends)
        sums = np.add.reduceat(np.where(given, ratings[block] * weights, 0.0), starts)
    avg_rating = (sums / np.maximum(rated, 1)).astype(np.float32)

    number = (groups >> MOVIE_BITS).astype(np.int32)
    movie_id = (groups & ((1 << MOVIE_BITS) - 1)).astype(np.int32)
    # All of a slot's requests stand together, within the block or beyond.
    firsts = group_starts(number)
    slot = number[firsts].astype(np.int64)
    shift = MOVIE_BITS + RATING_BITS
    bounds = np.searchsorted(keys, np.stack([slot, slot + 1]) << shift)
    before = bounds if passed is None else passed[bounds]
    totals = np.repeat(before[1] - before[0], np.diff(firsts, append=len(number)))
    columns = [number, movie_id, label, label / totals]
    return pa.record_batch(
        [
            *map(tables.array, columns),
            tables.array(avg_rating, rated > 0),
            *look_up(movie_id),
        ],
        schema=tables.LABELLED,
    )


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--joined", type=Path, nargs="+", required=True, help="joined.parquet, or its shards in order"
    )
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--slot", type=slots.Slot, required=True, help=slots.HELP)
    parser.add_argument(
        "--memory-mb", type=int, default=4000, help="memory that the requests may take (%(default)s)"
    )
    parser.add_argument("--shard", type=parse_shard, default=(0, 1), help=SHARD_HELP)
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet, to write")
    args = parser.parse_args()

    rows = sum(tables.count(path, tables.JOINED) for path in args.joined)
    if not rows:
        raise tables.no_rows(args.joined[0])
    schema = tables.joined_schema(args.joined[0])
    counted = "count" in schema.names
    columns = ["movieId", "rating", slot_column(args.slot), *(["count"] if counted else [])]
    labelled = label_popularity(
        lambda: (part for path in args.joined for part in tables.batches(path, schema, columns)),
        rows,
        tables.read(args.movies, tables.MOVIES),
        args.slot,
        args.memory_mb,
        args.shard,
        counted,
    )
    tables.write_batches(args.labelled, tables.LABELLED, labelled)


if __name__ == "__main__":
    run(main)
