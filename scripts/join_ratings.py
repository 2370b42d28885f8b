"""Join each rating with its movie's genres and release year, and number its hour, day and year."""

import argparse
import contextlib
import json
import logging
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import popularity.start

import numpy as np
import pyarrow as pa

from popularity.log.archive import BLOCK_BYTES, FORMS, Archive
from popularity.log.rejects import POLICIES, Rejects
from popularity.program import SHARD_HELP, Fault, Shard, atomic_write, parse_shard, run
from popularity.slots import slot_of
from popularity.tables import (
    JOINED,
    MOVIES,
    array,
    genres_and_release,
    numbers,
    open_writer,
    prefetch,
    regrouped,
    write,
)

#: A year in parentheses, or a range of years, whose first counts: (1995), (2006–2007), (2007- ).
YEAR = re.compile(r"\(\s*((?:1[89]|2[01])\d\d)\s*(?:[-–]\s*(?:\d{4})?\s*)?\)", re.ASCII)


def release_year(title: str) -> int | None:
    """Year in the last parentheses that hold one (of a range its first); None if none do."""
    years = YEAR.findall(title)
    return int(years[-1]) if years else None


def movies_table(catalogue: pa.Table) -> pa.Table:
    """Give each movie the code of its genres and its release year.

    Args:
        catalogue: the columns movieId, title and genre_names.

    Returns:
        The columns of `tables.MOVIES`, in the same order. The code numbers the strings of genres by
        first appearance, from 1, and is null where there are none.

    Raises:
        Fault: if there are more strings of genres than codes.
    """
    names = catalogue["genre_names"].to_pylist()
    codes = {name: code for code, name in enumerate(dict.fromkeys(filter(None, names)), 1)}
    if len(codes) > np.iinfo(np.int16).max:
        raise Fault(f"the movies have {len(codes)} different genres: at most 32767 have a code")
    genres = np.array([codes.get(name, 0) for name in names], np.int16)
    titles = catalogue["title"].to_pylist()
    years = np.array([release_year(title) or 0 for title in titles], np.int16)
    return pa.table(
        [
            *catalogue.columns,
            # 0 is no code and no year.
            array(genres, genres != 0),
            array(years, years != 0),
        ],
        MOVIES,
    )


def join(requests: Iterable[pa.RecordBatch], movies: pa.Table) -> Iterator[pa.RecordBatch]:
    """Put each rating's slots, genres and release year beside it.

    Args:
        requests: batches of userId, movieId, rating and timestamp.
        movies: `tables.MOVIES`.

    Yields:
        Batches of `tables.JOINED`, in the same order; genres and releaseDate are null for a movie
        that has none, or that ``movies`` lacks.
    """
    look_up = genres_and_release(movies)
    for batch in requests:
        times = numbers(batch["timestamp"])
        slots = [array(slot_of(times, slot)) for slot in ("hour", "day", "year")]
        joined = look_up(numbers(batch["movieId"]))
        yield pa.record_batch([*batch.columns, *slots, *joined], JOINED)


def join_ratings(
    log: Archive, joined: Path, movies: Path, block_bytes: int = BLOCK_BYTES, shard: Shard = (0, 1)
) -> int:
    """Write the joined ratings and the movies of an archive; give the number of ratings.

    Of ``shard`` (i, n) it is the i-th of n parts of the ratings, in the log's order.

    Raises:
        Fault: if the archive is not as it must be; then neither file is written.
    """
    rows = 0
    # Each shard reads the catalogue, and the first one tells of it.
    catalogue = log.catalogue(log.rejects if shard[0] == 0 else log.rejects.unlisted())
    table = movies_table(catalogue)
    with atomic_write(joined) as partial:
        with open_writer(partial, JOINED) as writer:
            # Three at work: one inflates, one parses, this one joins and writes.
            for part in regrouped(join(prefetch(log.requests(block_bytes, shard), 4), table)):
                writer.write_table(part)
                rows += len(part)
        if len(more := log.uncatalogued()):
            table = movies_table(pa.concat_tables([catalogue, more]))
        # Within, so that if this fails joined.parquet does not appear either.
        write(movies, table)
    return rows


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="zip of the ratings")
    parser.add_argument("--format", choices=FORMS, required=True, help="how its tables are written")
    parser.add_argument("--columns", help="JSON: the headers of user, item, time (and rating)")
    parser.add_argument("--requests", help="member with the requests, * for any part of its name")
    parser.add_argument("--catalogue", help="member with the movies")
    parser.add_argument(
        "--on-bad-rows",
        choices=POLICIES,
        default="error",
        help="whether a row that cannot be used is a fault",
    )
    parser.add_argument("--rejected", type=Path, help="CSV file to write: the rows that were dropped")
    parser.add_argument(
        "--max-unpacked-gb", type=float, default=math.inf, help="what the zip may unpack to"
    )
    parser.add_argument("--shard", type=parse_shard, default=(0, 1), help=SHARD_HELP)
    parser.add_argument("--joined", type=Path, required=True, help="joined.parquet to write")
    parser.add_argument("--movies", type=Path, required=True, help="movies.parquet to write")
    options = parser.parse_args()
    try:
        columns = json.loads(options.columns) if options.columns else None
    except json.JSONDecodeError as error:
        raise Fault(f"--columns is no JSON: {error}") from error
    if columns is not None and not (
        isinstance(columns, dict) and all(isinstance(name, str) for name in columns.values())
    ):
        raise Fault(f"--columns is {options.columns}: it must be an object of texts")
    with contextlib.ExitStack() as stack:
        file = None
        if options.rejected:
            partial = stack.enter_context(atomic_write(options.rejected))
            file = stack.enter_context(partial.open("w", encoding="utf-8", newline=""))
        rejects = Rejects(options.on_bad_rows, file)
        log = stack.enter_context(
            Archive(
                options.archive,
                options.format,
                columns,
                options.requests,
                options.catalogue,
                rejects,
                options.max_unpacked_gb * 1e9,
            )
        )
        rows = join_ratings(log, options.joined, options.movies, shard=options.shard)
    logging.info("%d ratings joined", rows)
    if rejects.total:
        logging.warning("%d bad rows left out: %s", rejects.total, rejects.told())


if __name__ == "__main__":
    run(main)
