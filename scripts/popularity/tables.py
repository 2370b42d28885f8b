"""Tables that cross a rule's border: their columns and types, checked where they are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from popularity.program import Fault, whole

#: One row per rating, in the order of the log.
JOINED = pa.schema(
    [
        ("userId", pa.int32()),
        ("movieId", pa.int32()),
        ("rating", pa.float32()),
        ("timestamp", pa.int64()),
        ("tstamp_hour", pa.int32()),
        ("tstamp_day", pa.int32()),
        ("tstamp_year", pa.int32()),
        ("genres", pa.int16()),
        ("releaseDate", pa.int16()),
    ]
)

#: One row per movie of the catalogue, in its order there.
MOVIES = pa.schema(
    [
        ("movieId", pa.int32()),
        ("title", pa.string()),
        ("genre_names", pa.string()),
        ("genres", pa.int16()),
        ("releaseDate", pa.int16()),
    ]
)

#: One row per slot and movie with a request.
LABELLED = pa.schema(
    [
        ("slot", pa.int32()),
        ("movieId", pa.int32()),
        ("label", pa.int32()),
        ("label_n", pa.float64()),
        ("avg_rating", pa.float32()),
        ("genres", pa.int16()),
        ("releaseDate", pa.int16()),
    ]
)

#: One row per movie: its series of slots with a request, in time's order, and where its windows are.
#: ``first_target`` is the first slot that a window precedes (calendar) or the series' first such
#: position (observed); its other targets follow one by one, ``windows`` of them in all.
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

#: Largest movie id that is looked up in a table by id (2 bytes an id) rather than by search.
_LARGEST_LOOKUP = 50_000_000


def read(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table (or some of its columns), its columns' names and types checked.

    Raises :class:`Fault` where the file is no Parquet file or has no rows, or a column is missing or of
    another type.
    """
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise Fault(f"{path}: no readable Parquet file ({error}); delete it and run again") from None
    with file:
        for field in schema:
            at = file.schema_arrow.get_field_index(field.name)
            if at < 0:
                found = ", ".join(file.schema_arrow.names)
                raise Fault(f"{path}: column {field.name} is missing (found: {found})")
            if file.schema_arrow.field(at).type != field.type:
                found = file.schema_arrow.field(at).type
                raise Fault(f"{path}: column {field.name} is {found}, {field.type} is needed")
        if not file.metadata.num_rows:
            raise Fault(f"{path}: has no rows; delete it and run again")
        return file.read(columns=columns or schema.names)


def write(path: Path, table: pa.Table) -> None:
    """Write a table, whole or not at all; the same table gives the same bytes."""
    with whole(path) as partial:
        pq.write_table(table, partial, compression="lz4", use_dictionary=False)


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a large table to write it part by part, of numbers only (to a path of `whole`).

    Bytes split by their place and LZ4 are, measured on ratings, as fast to write and read as no
    encoding at all, at a third of the size; dictionaries, statistics and Zstandard cost time.
    """
    return pq.ParquetWriter(
        path,
        schema,
        compression="lz4",
        use_dictionary=False,
        use_byte_stream_split=True,
        write_statistics=False,
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
    """View a column of numbers without nulls as a NumPy array; copied only if it is in chunks.

    `to_numpy` does it, too, but imports pandas as `pyarrow.array` does.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.from_dlpack(column)


def text_array(texts: Sequence[str | None]) -> pa.Array:
    """Make an Arrow array of texts; see `array`."""
    encoded = [(text or "").encode() for text in texts]
    ends = np.zeros(len(texts) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=ends[1:])
    valid = np.array([text is not None for text in texts], bool)
    buffers = [np.packbits(valid, bitorder="little"), ends, b"".join(encoded)]
    return pa.Array.from_buffers(pa.string(), len(texts), list(map(pa.py_buffer, buffers)))


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
    A function of ids [n], none negative, to two int16 arrays [n], null where nothing is known.
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
            # Whatever is beyond the largest id is clipped to the last entry, a 0.
            found = dense.take(wanted, axis=1, mode="clip")
        else:
            place = order[np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)]
            found = np.where(ids[place] == wanted, np.stack(known)[:, place], np.int16(0))
        genres, release = np.ascontiguousarray(found)
        return array(genres, genres != 0), array(release, release != 0)

    return look_up
