"""Label every slot and movie with its number of requests and its share of the slot's requests."""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa

from popularity import slots, tables
from popularity.program import run


def label_popularity(joined: pa.Table, movies: pa.Table, slot: str) -> pa.Table:
    """Count the requests of each slot and movie, sorted by slot and movie.

    Parameters
    ----------
    joined
        Columns ``movieId``, ``rating`` and the slot's own: see :func:`slot_column`.
    movies
        The catalogue (:data:`tables.MOVIES`), which gives ``genres`` and ``releaseDate``.
    slot
        A name of :data:`slots.SLOTS`.

    Returns
    -------
    A table of :data:`tables.LABELLED`: ``label`` is the number of requests, ``label_n`` the label
    divided by all requests of the slot, ``avg_rating`` the mean of the ratings given (null without
    one).
    """
    column = tables.numbers(joined[slot_column(slot)])
    numbers = column if slot in ("hour", "day", "year") else slots.slot_of(column, slot)
    movie_ids = tables.numbers(joined["movieId"])
    rating_codes, rating_values = _coded_ratings(joined["rating"])

    # One sort of one packed integer groups the rows: (slot, movie, rating), most significant first.
    # If another log's ratings are too many to fit in, slot and movie alone are the key.
    first = int(numbers.min())
    movie_bits = int(movie_ids.max()).bit_length()
    rating_bits = (len(rating_values) - 1).bit_length()
    keys = numbers.astype(np.int64)
    keys -= first
    keys <<= movie_bits
    keys |= movie_ids
    if int(keys.max()).bit_length() + rating_bits < 64:
        keys <<= rating_bits
        keys |= rating_codes
        keys.sort()
        codes = keys & ((1 << rating_bits) - 1)
        keys >>= rating_bits
    else:
        order = np.argsort(keys, kind="stable")
        keys, codes = keys[order], rating_codes[order]

    starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
    label = np.diff(starts, append=len(keys)).astype(np.int32)
    groups = keys[starts]
    number = (groups >> movie_bits).astype(np.int32) + np.int32(first)
    movie_id = (groups & ((1 << movie_bits) - 1)).astype(np.int32)
    totals = np.bincount(groups >> movie_bits, weights=label)
    rated = np.add.reduceat((codes > 0).astype(np.int32), starts)
    stars = np.add.reduceat(rating_values[codes], starts)
    with np.errstate(invalid="ignore"):
        avg_rating = (stars / rated).astype(np.float32)

    genres, release = tables.genres_and_release(movies)(movie_id)
    return pa.table(
        [
            tables.array(number),
            tables.array(movie_id),
            tables.array(label),
            tables.array(label / totals[groups >> movie_bits]),
            tables.array(avg_rating, rated > 0),
            genres,
            release,
        ],
        schema=tables.LABELLED,
    )


def slot_column(slot: str) -> str:
    """Name the column of the joined table that tells the slot."""
    return f"tstamp_{slot}" if slot in ("hour", "day", "year") else "timestamp"


def _coded_ratings(ratings: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Code the ratings from 1, 0 for none; and the value of each code (float64)."""
    encoded = ratings.combine_chunks().dictionary_encode()
    values = np.concatenate([[0.0], tables.numbers(encoded.dictionary)])
    if encoded.null_count == len(ratings):
        return np.zeros(len(ratings), np.int32), values
    codes = tables.numbers(encoded.indices.fill_null(-1)) + np.int32(1)
    return codes, values


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet")
    parser.add_argument("--slot", choices=slots.SLOTS, required=True, help="length of a slot")
    parser.add_argument("--labelled", type=Path, required=True, help="labelled.parquet, to write")
    args = parser.parse_args()

    joined = tables.read(args.joined, tables.JOINED, ["movieId", "rating", slot_column(args.slot)])
    movies = tables.read(args.movies, tables.MOVIES)
    tables.write(args.labelled, label_popularity(joined, movies, args.slot))


if __name__ == "__main__":
    run(main)
