"""Tables: what is read is checked, what is written is whole, and lookups by movie."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from popularity import tables
from popularity.program import Fault


def movies(ids: list[int]) -> pa.Table:
    rows = [(movie, "t", "g", 10 + movie % 5, 1990 + movie % 7) for movie in ids]
    return pa.table([pa.array(column) for column in zip(*rows, strict=True)], schema=tables.MOVIES)


@pytest.mark.parametrize("largest", [0, 50_000_000])
def test_lookup_is_the_same_by_table_and_by_search(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    monkeypatch.setattr(tables, "_LARGEST_LOOKUP", largest)
    catalogue = movies([7, 0, 3]).set_column(3, "genres", pa.array([70, None, 30], pa.int16()))
    wanted = np.array([3, 8, 0, 7, 2147483647, 1, 3, -1, -2147483648], np.int32)
    genres, release = tables.genres_and_release(catalogue)(wanted)
    assert genres.to_pylist() == [30, None, None, 70, None, None, 30, None, None]
    assert release.to_pylist() == [1993, None, 1990, 1990, None, None, 1993, None, None]


def test_arrays_equal_those_of_pyarrow() -> None:
    values = np.array([1.5, 2.5, 3.5])
    assert tables.array(values, np.array([True, False, True])).to_pylist() == [1.5, None, 3.5]
    assert tables.array(values).null_count == 0
    assert tables.text_array(["a", None, "é"]).to_pylist() == ["a", None, "é"]
    assert tables.numbers(pa.chunked_array([[1, 2], [3]])).tolist() == [1, 2, 3]


def test_write_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "movies.parquet"
    tables.write(path, movies([1, 2]))
    assert tables.read(path, tables.MOVIES) == movies([1, 2])
    assert tables.read(path, tables.MOVIES, ["title"]).column_names == ["title"]
    assert [file.name for file in path.parent.iterdir()] == ["movies.parquet"]


def test_a_wrong_table_is_told_by_column(tmp_path: Path) -> None:
    path = tmp_path / "movies.parquet"
    pq.write_table(movies([1]).drop_columns("title"), path)
    with pytest.raises(Fault, match=r"movies\.parquet: column title is missing \(found: movieId, "):
        tables.read(path, tables.MOVIES)
    pq.write_table(movies([1]).set_column(0, "movieId", pa.array([1], pa.int64())), path)
    with pytest.raises(Fault, match="column movieId is int64, int32 is needed"):
        tables.read(path, tables.MOVIES)
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(Fault, match="no readable Parquet file"):
        tables.read(path, tables.MOVIES)
