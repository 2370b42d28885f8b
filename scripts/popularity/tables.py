"""Tables that cross a rule's border: their columns and types, checked where they are read."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from popularity.program import ANEW, Fault, atomic_write, reading, unreadable

T = TypeVar("T")

#: One row per rating, in the order of the log. What is never null takes less time to write and read.
JOINED = pa.schema(
    [
        pa.field("userId", pa.int32(), nullable=False),
        pa.field("movieId", pa.int32(), nullable=False),
        ("rating", pa.float32()),
        pa.field("timestamp", pa.int64(), nullable=False),
        pa.field("tstamp_hour", pa.int32(), nullable=False),
        pa.field("tstamp_day", pa.int32(), nullable=False),
        pa.field("tstamp_year", pa.int32(), nullable=False),
        ("genres", pa.int16()),
        ("releaseDate", pa.int16()),
    ]
)

#: A further column of such a table where a row stands for several requests.
COUNT = pa.field("count", pa.int64(), nullable=False)

#: One row per movie of the catalogue, in its order there. ``item`` is the id as the log has it; in other
#: logs than MovieLens' ``movieId`` just numbers them. ``size`` is in bytes.
MOVIES = pa.schema(
    [
        ("movieId", pa.int32()),
        ("item", pa.string()),
        ("title", pa.string()),
        ("genre_names", pa.string()),
        ("genres", pa.int16()),
        ("releaseDate", pa.int16()),
        ("size", pa.int64()),
    ]
)

#: One row per slot and reactive cache: its policy, what it holds as a share of the catalogue, how many
#: requests it served in that slot, and how much these take in a cache.
HITS = pa.schema(
    [
        pa.field("policy", pa.string(), nullable=False),
        pa.field("size", pa.float64(), nullable=False),
        pa.field("slot", pa.int32(), nullable=False),
        pa.field("hits", pa.int64(), nullable=False),
        pa.field("volume", pa.int64(), nullable=False),
    ]
)

#: One row per slot and movie with a request.
LABELLED = pa.schema(
    [
        pa.field("slot", pa.int32(), nullable=False),
        pa.field("movieId", pa.int32(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("label_n", pa.float64(), nullable=False),
        ("avg_rating", pa.float32()),
        ("genres", pa.int16()),
        ("releaseDate", pa.int16()),
    ]
)

#: One row per movie: its series of slots with a request, in time's order, and where its windows are.
#: ``first_target`` is the target of the first window: a slot with the gaps ``calendar``, a position in
#: the series with ``observed``. The targets of all ``windows`` windows follow one another.
SEQUENCES = pa.schema(
    [
        ("movieId", pa.int32()),
        ("slot", pa.list_(pa.int32())),
        ("label", pa.list_(pa.int32())),
        ("label_n", pa.list_(pa.float64())),
        ("avg_rating", pa.list_(pa.float32())),
        ("first_target", pa.int32()),
        ("windows", pa.int32()),
    ]
)

#: One row per test slot and candidate.
PREDICTIONS = pa.schema(
    [
        ("slot", pa.int32()),
        ("movieId", pa.int32()),
        ("predicted", pa.float64()),
        ("label_n", pa.float64()),
    ]
)

#: Rows of a row group of a large table.
GROUP = 1 << 18
#: Largest movie id that is looked up in a table by id (2 bytes an id) rather than by search.
_LARGEST_LOOKUP = 50_000_000


def prefetch(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield the items. A thread computes the next ``depth`` items; its exceptions propagate."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield item  # type: ignore[misc]


def _open(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    """Open a table, its columns' names and types checked; its pages' checksums are as they are read."""
    with reading(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    groups = range(file.num_row_groups)
    # No checksum covers the footer, and pyarrow takes a row group's rows from it unseen.
    if sum(file.metadata.row_group(group).num_rows for group in groups) != file.metadata.num_rows:
        raise unreadable(path, "its row groups have more or fewer rows than it says")
    for field in schema:
        at = file.schema_arrow.get_field_index(field.name)
        if at < 0:
            found = ", ".join(file.schema_arrow.names)
            raise Fault(f"{path}: column {field.name} is missing (found: {found}); {ANEW}")
        if file.schema_arrow.field(at).type != field.type:
            found = file.schema_arrow.field(at).type
            raise Fault(f"{path}: column {field.name} is {found}, {field.type} is needed; {ANEW}")
    return file


def count(path: Path, schema: pa.Schema) -> int:
    """Count the rows of a table, checked like :func:`read`."""
    with _open(path, schema) as file:
        return int(file.metadata.num_rows)


def joined_schema(path: Path) -> pa.Schema:
    """Give the schema of a joined table, checked like :func:`read`: with a count where it has one."""
    with _open(path, JOINED) as file:
        return JOINED.append(COUNT) if COUNT.name in file.schema_arrow.names else JOINED


def read(
    path: Path, schema: pa.Schema, columns: Sequence[str] | None = None, others: bool = False
) -> pa.Table:
    """Read a table (or some of its columns, or with ``others`` also those that the schema lacks).

    Raises :class:`Fault` where the file is no Parquet file or is damaged, a column is missing or of
    another type, or there is no row.
    """
    with _open(path, schema) as file:
        if not file.metadata.num_rows:
            raise no_rows(path)
        with reading(path):
            return file.read(None if others else columns or schema.names)


def no_rows(path: Path) -> Fault:
    """Make the fault of a table without a row."""
    return Fault(f"{path}: has no rows; {ANEW}")


def row_groups(path: Path, schema: pa.Schema) -> list[int]:
    """Rows of each row group of a table, checked like :func:`read`."""
    with _open(path, schema) as file:
        return [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]


def batches(
    path: Path, schema: pa.Schema, columns: Sequence[str], groups: Sequence[int] | None = None
) -> Iterator[pa.Table]:
    """Read some columns part by part, the next part by a thread; checked like :func:`read`.

    A part is a row group: all of them, or those of ``groups``.
    """
    with _open(path, schema) as file:

        def part(group: int) -> pa.Table:
            with reading(path):
                return file.read_row_group(group, columns)

        yield from prefetch(map(part, range(file.num_row_groups) if groups is None else groups))


def write(path: Path, table: pa.Table) -> None:
    """Write a table, whole or not at all; the same table gives the same bytes."""
    with atomic_write(path) as partial:
        write_partial(partial, table)


def write_partial(path: Path, table: pa.Table) -> None:
    """Write a table to a path of `atomic_write`, as :func:`write` does."""
    pq.write_table(table, path, compression="lz4", use_dictionary=False, write_page_checksum=True)


def write_batches(
    path: Path, schema: pa.Schema, parts: Iterable[pa.RecordBatch], group: int = GROUP
) -> None:
    """Write a table of numbers part by part, whole or not at all; a thread makes the next part.

    The same rows give the same bytes, however they are divided into parts: the file's row groups have
    ``group`` rows each.
    """
    with atomic_write(path) as partial, open_writer(partial, schema) as writer:
        for part in prefetch(regrouped(parts, group)):
            writer.write_table(part)


def regrouped(parts: Iterable[pa.RecordBatch], group: int = GROUP) -> Iterator[pa.Table]:
    """Put batches together to tables of ``group`` rows; the last may have fewer."""
    waiting: list[pa.RecordBatch] = []
    for part in parts:
        waiting.append(part)
        while sum(map(len, waiting)) >= group:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, group)
            waiting = table.slice(group).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting)


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a large table to write it part by part, of numbers only (to a path of `atomic_write`).

    Measured on ratings, LZ4 with split byte streams is as fast to write and read as no encoding, at a
    third of the size; dictionaries, statistics and Zstandard cost time. Shares are not split: they
    repeat within a slot, and compress better whole.
    """
    split = [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in schema
        if field.type != pa.float64()
    ]
    return pq.ParquetWriter(
        path,
        schema,
        compression="lz4",
        use_dictionary=False,
        use_byte_stream_split=split,
        write_statistics=False,
        write_page_checksum=True,
    )


def array(values: npt.NDArray[np.number], valid: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Make an Arrow array of a contiguous NumPy array, without a copy; null where not ``valid``.

    `pyarrow.array` does it, too, but at its first call imports pandas (0.2 s) if it finds it.
    """
    bits = None
    if valid is not None and not valid.all():
        bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [bits, pa.py_buffer(values)])


def numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """View a column of numbers as a NumPy array, copied only if it has several chunks or nulls.

    Nulls become NaN; a column of whole numbers must have none. `to_numpy` does it, too, but imports
    pandas as `pyarrow.array` does.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        column = column.fill_null(np.nan)
    return np.from_dlpack(column)


def text_array(texts: Sequence[str | None]) -> pa.Array:
    """Make an Arrow array of texts; see `array`."""
    encoded = [(text or "").encode() for text in texts]
    ends = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=ends[1:])
    valid = np.array([text is not None for text in texts], bool)
    buffers = [np.packbits(valid, bitorder="little"), ends, b"".join(encoded)]
    return pa.Array.from_buffers(pa.string(), len(texts), list(map(pa.py_buffer, buffers)))


def release_memory() -> None:
    """Give what reading tables took, and nobody holds, back to the system, where other libraries get it."""
    pa.default_memory_pool().release_unused()


def items_of(movies: pa.Table, ids: npt.NDArray[np.integer]) -> list[str]:
    """Give the log's own ids of movies, of a table of :data:`MOVIES`.

    One that the catalogue lacks, as only MovieLens' may, is numbered by its id.
    """
    known = dict(zip(movies["movieId"].to_pylist(), movies["item"].to_pylist(), strict=True))
    return [known.get(movie, str(movie)) for movie in ids.tolist()]


def genres_and_release(
    movies: pa.Table,
) -> Callable[[npt.NDArray[np.integer]], tuple[pa.Array, pa.Array]]:
    """Make the function that looks up movies' ``genres`` and ``releaseDate`` by their ids.

    Parameters
    ----------
    movies
        A table of :data:`MOVIES`.

    Returns
    -------
    A function of ids [n] to two int16 arrays [n], null where nothing is known.
    """
    ids = numbers(movies["movieId"])
    # 0 stands for null: neither a code nor a year is 0.
    known = [
        np.array([value or 0 for value in movies[name].to_pylist()], np.int16)
        for name in ("genres", "releaseDate")
    ]
    largest = int(ids.max(initial=0))
    order = np.argsort(ids)
    dense = np.zeros((2, largest + 2 if largest <= _LARGEST_LOOKUP else 0), np.int16)
    if dense.size:
        dense[:, ids] = known

    def look_up(wanted: npt.NDArray[np.integer]) -> tuple[pa.Array, pa.Array]:
        if dense.size:
            # Ids beyond the largest one are clipped to the last entry, a 0. Negative ids are no
            # movie's: one of them stands for all other movies together.
            found = dense.take(wanted, axis=1, mode="clip")
            found[:, wanted < 0] = 0
        else:
            place = order[np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)]
            found = np.where(ids[place] == wanted, np.stack(known)[:, place], np.int16(0))
        genres, release = np.ascontiguousarray(found)
        return array(genres, genres != 0), array(release, release != 0)

    return look_up
