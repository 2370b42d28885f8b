"""Tables: what is read is checked, what is written is whole, and lookups by movie."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from popularity import tables
from popularity.program import Fault


def movies(ids: list[int]) -> pa.Table:
    rows = [(movie, str(movie), "t", "g", 10 + movie % 5, 1990 + movie % 7, 9) for movie in ids]
    return pa.table([pa.array(column) for column in zip(*rows, strict=True)], schema=tables.MOVIES)


@pytest.mark.parametrize("largest", [0, 50_000_000])
def test_lookup_is_the_same_by_table_and_by_search(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    monkeypatch.setattr(tables, "_LARGEST_LOOKUP", largest)
    catalogue = movies([7, 0, 3]).set_column(4, "genres", pa.array([70, None, 30], pa.int16()))
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
    with pytest.raises(
        Fault, match=r"movies\.parquet: .*column title is missing \(found: movieId, .*; delete"
    ):
        tables.read(path, tables.MOVIES)
    pq.write_table(movies([1]).set_column(0, "movieId", pa.array([1], pa.int64())), path)
    with pytest.raises(Fault, match="column movieId is int64, int32 is needed"):
        tables.read(path, tables.MOVIES)
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(Fault, match=r"movies\.parquet: refused, or not readable \(.*; delete it"):
        tables.read(path, tables.MOVIES)
    path.unlink()
    with pytest.raises(Fault, match=r"movies\.parquet: there is no such file"):
        tables.read(path, tables.MOVIES)


def labelled(rows: int) -> pa.Table:
    draw = np.random.default_rng(1)
    columns = [np.arange(rows) // 30, np.arange(rows) % 30, draw.integers(1, 9, rows), draw.random(rows)]
    columns += [draw.random(rows), draw.integers(1, 20, rows), draw.integers(1990, 2000, rows)]
    arrays = [
        pa.array(column).cast(field.type) for column, field in zip(columns, tables.LABELLED, strict=True)
    ]
    return pa.table(arrays, tables.LABELLED)


def small_sequences(rows: int) -> pa.Table:
    lists = {
        name: [[at, at + 1] for at in range(rows)] for name in ("slot", "label", "label_n", "avg_rating")
    }
    columns = {"movieId": range(rows), **lists, "first_target": range(rows), "windows": range(rows)}
    return pa.table({name: list(values) for name, values in columns.items()}, tables.SEQUENCES)


@pytest.mark.parametrize("table", [movies(list(range(40))), labelled(90), small_sequences(40)], ids=len)
def test_any_bit_that_is_not_as_written_is_noticed(tmp_path: Path, table: pa.Table) -> None:
    path = tmp_path / "table.parquet"
    if table.schema == tables.MOVIES:
        tables.write(path, table)
    else:
        tables.write_batches(path, table.schema, table.to_batches(), group=30)
    sound = path.read_bytes()
    outcomes = set()
    # All bytes, with one bit of each, take three times as long, and come to the same.
    for place in range(0, len(sound), 3):
        bit = 1 << place // 3 % 8
        path.write_bytes(sound[:place] + bytes([sound[place] ^ bit]) + sound[place + 1 :])
        try:
            whole = tables.read(path, table.schema)
            parts = pa.concat_tables(tables.batches(path, table.schema, table.schema.names))
            # What says who wrote the file may change, or a column's statistics, which nothing reads.
            outcomes.add("read as it was" if whole == table == parts else f"read otherwise: {place}, {bit}")
        except Fault as fault:
            assert str(fault).startswith(f"{path}: ")
            assert str(fault).endswith("; delete it, and the next run writes it anew")
            outcomes.add("refused")
    assert outcomes == {"read as it was", "refused"}


@pytest.mark.parametrize("kept", [0, 1, 8, 500, -1])
def test_a_table_that_was_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "table.parquet"
    tables.write_batches(path, tables.LABELLED, labelled(300).to_batches())
    path.write_bytes(path.read_bytes()[:kept])
    for read in (tables.read, tables.count, tables.row_groups):
        with pytest.raises(Fault, match=r"table\.parquet: .*; delete it, and the next run writes it anew"):
            read(path, tables.LABELLED)


def test_what_a_log_may_lack_is_null_and_all_else_never() -> None:
    lacking = {field.name for field in tables.JOINED if field.nullable}
    assert lacking == {"rating", "genres", "releaseDate"}
    lacking = {field.name for field in tables.LABELLED if field.nullable}
    assert lacking == {"avg_rating", "genres", "releaseDate"}


def test_a_large_table_has_no_statistics_which_nothing_reads(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    tables.write_batches(path, tables.LABELLED, labelled(90).to_batches())
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        assert [group.column(at).statistics for at in range(group.num_columns)] == [
            None
        ] * group.num_columns


def test_a_large_table_takes_a_fifth_of_its_numbers_bytes(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    rows = np.arange(40_000)
    # 100 slots of 400 movies, whose shares repeat within each slot.
    label = draw.integers(1, 9, len(rows))
    share = label / np.bincount(rows // 400, label)[rows // 400]
    stars = draw.integers(1, 11, len(rows)) / 2
    columns = [rows // 400, rows % 400 * 17, label, share, stars, rows % 19, 1950 + rows % 60]
    arrays = [
        pa.array(column).cast(field.type) for column, field in zip(columns, tables.LABELLED, strict=True)
    ]
    table = pa.table(arrays, tables.LABELLED)
    path = tmp_path / "table.parquet"
    tables.write_batches(path, tables.LABELLED, table.to_batches())
    assert path.stat().st_size < table.nbytes / 5
    assert tables.read(path, tables.LABELLED) == table
