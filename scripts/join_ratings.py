"""Join each rating with its movie's genres and release year, and number its hour, day and year."""

import argparse
import contextlib
import json
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import popularity.start

import pyarrow as pa

from popularity.log.catalogue import with_codes
from popularity.log.facts import Facts
from popularity.log.rejects import POLICIES, Rejects
from popularity.log.request_log import RequestLog
from popularity.log.text import BLOCK_BYTES
from popularity.program import SHARD_HELP, Shard, atomic_write, parse_shard, run
from popularity.settings.datasets import LogSettings
from popularity.settings.fields import json_argument
from popularity.slots import slot_of
from popularity.tables import (
    COUNT,
    JOINED,
    array,
    genres_and_release,
    numbers,
    open_writer,
    prefetch,
    regrouped,
    write,
)


def join(
    requests: Iterable[pa.RecordBatch], movies: pa.Table, timezone: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Put each rating's slots, genres and release year beside it.

    Parameters
    ----------
    requests
        Batches of userId, movieId, rating and timestamp, and maybe count.
    movies
        A table of :data:`tables.MOVIES`.
    timezone
        Whose clock the slots are on.

    Yields
    ------
    Batches of :data:`tables.JOINED`, in the same order, with a count if there is one; genres and
    releaseDate are null for a movie that has none, or that ``movies`` lacks.
    """
    look_up = genres_and_release(movies)
    suffix = f" {timezone}" if timezone else ""
    for batch in requests:
        times = numbers(batch["timestamp"])
        slots = [array(slot_of(times, slot + suffix)) for slot in ("hour", "day", "year")]
        joined = look_up(numbers(batch["movieId"]))
        columns = [*batch.columns[:4], *slots, *joined, *batch.columns[4:]]
        yield pa.record_batch(columns, JOINED.append(COUNT) if batch.num_columns > 4 else JOINED)


def join_ratings(
    log: RequestLog,
    joined: Path,
    movies: Path,
    block_bytes: int = BLOCK_BYTES,
    shard: Shard = (0, 1),
    timezone: str | None = None,
) -> int:
    """Write the joined ratings and the movies of a log; give the number of ratings.

    Of ``shard`` (i, n) it is the i-th of n parts of the ratings, in the log's order.

    Raises
    ------
    Fault
        If the log is not as it must be; then neither file is written.
    """
    rows = 0
    # Each shard reads the catalogue, and the first one notes what is wrong with it.
    catalogue = log.catalogue(log.rejects if shard[0] == 0 else log.rejects.unlisted())
    table = with_codes(catalogue)
    schema = JOINED.append(COUNT) if COUNT.name in log.schema.names else JOINED
    with atomic_write(joined) as partial:
        with open_writer(partial, schema) as writer:
            # Three at work: one inflates, one parses, this one joins and writes.
            for part in regrouped(join(prefetch(log.requests(block_bytes, shard), 4), table, timezone)):
                writer.write_table(part)
                rows += len(part)
        catalogue = pa.concat_tables([catalogue, log.uncatalogued()])
        # Within, so that if this fails joined.parquet does not appear either.
        write(movies, with_codes(catalogue, log.sizes(len(catalogue))))
    return rows


def describe(facts: Facts) -> Iterator[str]:
    """Say what was read, a line for each fact."""
    yield f"read {', '.join(facts.files)}"
    if facts.left_aside:
        yield f"not read, though named alike: {', '.join(facts.left_aside)}"
    yield f"times taken for: {facts.times}"
    if facts.ignored:
        yield f"columns that are not read: {', '.join(facts.ignored)}"
    if facts.catalogue is not None:
        yield f"read {facts.catalogue} for the items"
    if not facts.titled:
        yield "no column of titles is named (`catalogue_columns`): items are shown by id"
    if facts.catalogue_ignored:
        yield f"columns of {facts.catalogue} that are not read: {', '.join(facts.catalogue_ignored)}"
    if facts.first is not None and facts.last is not None:
        yield "requests from {} to {} (UTC)".format(*facts.dates())
    if facts.excluded:
        yield f"{facts.excluded} rows left out by `where`"
    if facts.guests:
        yield f"{facts.guests} rows without a user"
    if facts.uncatalogued:
        yield f"{facts.uncatalogued} items that the catalogue lacks are shown by id"
    for place in facts.far:
        yield f"far from nearly all other requests in time: {place}"


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True, help="zip of the ratings")
    parser.add_argument(
        "--log",
        type=json_argument(LogSettings),
        default=LogSettings(),
        help="JSON: what config.yaml says of how the log is written (default: a release of MovieLens)",
    )
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
    parser.add_argument("--facts", type=Path, help="JSON to write: what was read")
    options = parser.parse_args()
    how = options.log
    with contextlib.ExitStack() as stack:
        file = None
        if options.rejected:
            partial = stack.enter_context(atomic_write(options.rejected))
            file = stack.enter_context(partial.open("w", encoding="utf-8", newline=""))
        rejects = Rejects(options.on_bad_rows, file)
        log = stack.enter_context(RequestLog(options.archive, how, rejects, options.max_unpacked_gb * 1e9))
        rows = join_ratings(log, options.joined, options.movies, shard=options.shard, timezone=how.timezone)
        if options.facts:
            with atomic_write(options.facts) as partial:
                partial.write_text(json.dumps(asdict(log.facts), indent=2) + "\n", encoding="utf-8")
    for line in describe(log.facts):
        logging.info(line)
    logging.info("%d ratings joined", rows)
    if rejects.total:
        logging.warning("%d bad rows left out: %s", rejects.total, rejects.summary())


if __name__ == "__main__":
    run(main)
