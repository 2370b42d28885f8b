"""Sorting by time: by slot, then movie, whole rows, as a command."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sort_by_time
from popularity import tables

SCRIPT = Path(sort_by_time.__file__)
LARGEST = 2**31 - 1
ROWS = [
    (0, 5, 3, 0.75, 2.5, 1, 1990),
    (0, LARGEST, 1, 0.25, None, None, None),
    (2, 0, 2, 0.5, 5.0, 7, None),
    (2, 5, 1, 0.25, None, None, 2001),
    (2, 6, 1, 0.25, 0.5, 2, 1899),
    (LARGEST, 1, 1, 1.0, 4.0, 3, 2199),
]


Row = tuple[int, int, int, float, float | None, int | None, int | None]


def labelled(rows: list[Row]) -> pa.Table:
    columns = [
        pa.array(column, field.type)
        for column, field in zip(zip(*rows, strict=True), tables.LABELLED, strict=True)
    ]
    return pa.table(columns, schema=tables.LABELLED)


def program(folder: Path) -> subprocess.CompletedProcess[str]:
    options = ["--labelled", str(folder / "labelled.parquet"), "--sorted", str(folder / "sorted.parquet")]
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_sorted_table_stays_byte_for_byte(tmp_path: Path) -> None:
    tables.write(tmp_path / "labelled.parquet", labelled(ROWS))
    done = program(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "sorted.parquet").read_bytes() == (tmp_path / "labelled.parquet").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [1, 0, 2, 3, 4, 5], [2, 5, 0, 4, 1, 3]])
def test_whole_rows_are_put_in_order(tmp_path: Path, order: list[int]) -> None:
    # Two row groups, so that it is read in chunks.
    path = tmp_path / "labelled.parquet"
    pq.write_table(labelled([ROWS[i] for i in order]), path, row_group_size=4)
    done = program(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    by_time = pq.read_table(tmp_path / "sorted.parquet")
    assert by_time.schema.equals(tables.LABELLED)
    assert [tuple(row.values()) for row in by_time.to_pylist()] == ROWS

    # As the labelling would have written them.
    tables.write_batches(path, tables.LABELLED, labelled(ROWS).to_batches())
    assert (tmp_path / "sorted.parquet").read_bytes() == path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, LARGEST) | st.integers(0, 3), st.integers(0, LARGEST) | st.integers(0, 3)),
        min_size=1,
    )
)
def test_keys_order_as_slot_and_movie_do(pairs: list[tuple[int, int]]) -> None:
    keys = sort_by_time.time_keys(labelled([(*pair, *ROWS[0][2:]) for pair in pairs])).tolist()
    by_key = sorted(zip(keys, pairs, strict=True))
    assert [pair for _, pair in by_key] == sorted(pairs)
    assert len(set(keys)) == len(set(pairs))


def test_a_wrong_table_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labelled.parquet"
    pq.write_table(labelled(ROWS).drop_columns("label_n"), path)
    done = program(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {path}: column label_n is missing")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["labelled.parquet"]


def test_a_damaged_table_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "labelled.parquet"
    tables.write(path, labelled(sorted(ROWS)))
    assert program(tmp_path).returncode == 0
    (tmp_path / "sorted.parquet").unlink()
    with pq.ParquetFile(path) as file:
        # In the last column's page, after which the footer comes.
        column = file.metadata.row_group(0).column(file.metadata.num_columns - 1)
    sound = bytearray(path.read_bytes())
    sound[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    path.write_bytes(sound)
    done = program(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path}: refused, or not readable (")
    assert [file.name for file in tmp_path.iterdir()] == ["labelled.parquet"]
