"""Sequences: each movie's series and the places of its windows, against their definition."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import build_sequences
from popularity import tables
from small_logs import sequences_of

SCRIPT = Path(build_sequences.__file__)
LARGEST = 2**31 - 1

#: Requests and mean rating by slot and movie.
Log = dict[tuple[int, int], tuple[int, float | None]]

HAND: Log = {
    (3, 9): (2, 4.0),
    (3, 5): (2, None),
    (4, 9): (1, 2.5),
    (6, 9): (3, 5.0),
    (6, LARGEST): (1, 0.5),
    (7, 5): (1, 3.0),
}


def by_time(log: Log) -> pa.Table:
    totals = dict.fromkeys((slot for slot, _ in log), 0)
    for (slot, _), (label, _) in log.items():
        totals[slot] += label
    rows = [
        (slot, movie, label, label / totals[slot], rating, None, None)
        for (slot, movie), (label, rating) in sorted(log.items())
    ]
    columns = zip(zip(*rows, strict=True), tables.LABELLED, strict=True)
    return pa.table([pa.array(c, f.type) for c, f in columns], schema=tables.LABELLED)


def defined(log: Log, window: int, gaps: str) -> list[dict[str, Any]]:
    """What `tables.SEQUENCES` and the script's docstring say, movie by movie."""
    last = max(slot for slot, _ in log)
    shares = {(row["slot"], row["movieId"]): row["label_n"] for row in by_time(log).to_pylist()}
    rows = []
    for movie in sorted({movie for _, movie in log}):
        slots = sorted(slot for slot, other in log if other == movie)
        if gaps == "calendar":
            first, targets = slots[0] + 1, range(slots[0] + 1, last + 1)
        else:
            first, targets = window, range(window, len(slots))
        rows.append(
            {
                "movieId": movie,
                "slot": slots,
                "label": [log[slot, movie][0] for slot in slots],
                "label_n": [shares[slot, movie] for slot in slots],
                "avg_rating": [log[slot, movie][1] for slot in slots],
                "first_target": first,
                "windows": len(targets),
            }
        )
    return rows


def program(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    paths = ["--sorted", str(folder / "sorted.parquet"), "--sequences", str(folder / "s" / "out.parquet")]
    command = [sys.executable, str(SCRIPT), *paths, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("gaps", "window", "places"),
    [
        ("calendar", 2, [(5, 4, 4), (9, 4, 4), (LARGEST, 7, 1)]),
        ("calendar", 99, [(5, 4, 4), (9, 4, 4), (LARGEST, 7, 1)]),
        ("observed", 1, [(5, 1, 1), (9, 1, 2), (LARGEST, 1, 0)]),
        ("observed", 2, [(5, 2, 0), (9, 2, 1), (LARGEST, 2, 0)]),
        ("observed", 99, [(5, 99, 0), (9, 99, 0), (LARGEST, 99, 0)]),
    ],
)
def test_places_of_windows_by_hand(gaps: str, window: int, places: list[tuple[int, int, int]]) -> None:
    sequences = sequences_of(by_time(HAND), window, gaps)
    assert sequences.schema.equals(tables.SEQUENCES)
    columns = [sequences[name].to_pylist() for name in ("movieId", "first_target", "windows")]
    assert list(zip(*columns, strict=True)) == places


def test_series_by_hand() -> None:
    sequences = sequences_of(by_time(HAND), 3, "observed")
    assert sequences["slot"].to_pylist() == [[3, 7], [3, 4, 6], [6]]
    assert sequences["label"].to_pylist() == [[2, 1], [2, 1, 3], [1]]
    assert sequences["label_n"].to_pylist() == [[0.5, 1.0], [0.5, 1.0, 0.75], [0.25]]
    assert sequences["avg_rating"].to_pylist() == [[None, 3.0], [4.0, 2.5, 5.0], [0.5]]


@pytest.mark.parametrize("gaps", build_sequences.GAPS)
@pytest.mark.parametrize("slot", [0, LARGEST - 1])
def test_a_single_request_has_no_window(gaps: str, slot: int) -> None:
    sequences = sequences_of(by_time({(slot, LARGEST): (1, None)}), 1, gaps)
    assert sequences["movieId"].to_pylist() == [LARGEST]
    assert sequences["slot"].to_pylist() == [[slot]]
    assert sequences["avg_rating"].to_pylist() == [[None]]
    assert sequences["windows"].to_pylist() == [0]


MOVIES = st.sampled_from([0, 1, 2, 3, LARGEST - 1, LARGEST])
RATINGS = st.none() | st.integers(1, 10).map(lambda n: n / 2)
LOGS = st.one_of(
    [
        st.dictionaries(
            st.tuples(slots, MOVIES), st.tuples(st.integers(1, 9), ratings), min_size=1, max_size=40
        )
        for slots in (st.integers(0, 12), st.integers(0, 500_000), st.just(7))
        for ratings in (st.none(), RATINGS)
    ]
)


@pytest.mark.parametrize("gaps", build_sequences.GAPS)
@settings(max_examples=150, deadline=None)
@given(log=LOGS, window=st.integers(1, 15))
def test_series_and_windows_are_as_defined(gaps: str, log: Log, window: int) -> None:
    sequences = sequences_of(by_time(log), window, gaps)
    sequences.validate(full=True)
    assert sequences.schema.equals(tables.SEQUENCES)
    assert sequences.to_pylist() == defined(log, window, gaps)


@settings(max_examples=50, deadline=None)
@given(LOGS, st.integers(1, 9), st.integers(0, 8))
def test_little_memory_changes_nothing(log: Log, rows: int, cut: int) -> None:
    whole = by_time(log)
    read = [part for part in (whole.slice(0, cut), whole.slice(cut)) if len(part)]
    with pytest.MonkeyPatch.context() as patch:
        # So a budget of some megabytes is one of so many rows.
        patch.setattr(build_sequences, "ROW_BYTES", 1_000_000)
        parts = build_sequences.build_sequences(lambda: read, len(whole), 2, "calendar", memory_mb=rows)
        little = pa.Table.from_batches(parts, tables.SEQUENCES)
    assert little.combine_chunks().equals(sequences_of(whole, 2, "calendar"))


@settings(max_examples=50, deadline=None)
@given(LOGS, st.integers(0, 5))
def test_chunks_of_the_table_change_nothing(log: Log, cut: int) -> None:
    whole = by_time(log)
    chunked = pa.concat_tables([whole.slice(0, cut), whole.slice(cut)])
    sequences = [sequences_of(table, 2, "observed") for table in (whole, chunked)]
    assert sequences[0].equals(sequences[1])


@pytest.mark.parametrize("gaps", build_sequences.GAPS)
def test_as_a_command(tmp_path: Path, gaps: str) -> None:
    tables.write(tmp_path / "sorted.parquet", by_time(HAND))
    done = program(tmp_path, "--window", "2", "--gaps", gaps)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    sequences = pq.read_table(tmp_path / "s" / "out.parquet")
    assert sequences.schema.equals(tables.SEQUENCES)
    assert sequences.to_pylist() == defined(HAND, 2, gaps)
    assert [file.name for file in (tmp_path / "s").iterdir()] == ["out.parquet"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (by_time(HAND).drop_columns("label"), "column label is missing"),
        (
            by_time(HAND).set_column(0, "slot", pa.array(np.arange(len(HAND)))),
            "column slot is int64, int32 is needed",
        ),
        (by_time(HAND).slice(0, 0), "has no rows"),
    ],
)
def test_a_wrong_table_is_one_line_and_leaves_nothing(tmp_path: Path, table: pa.Table, reason: str) -> None:
    path = tmp_path / "sorted.parquet"
    pq.write_table(table, path)
    done = program(tmp_path, "--window", "2", "--gaps", "calendar")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {path}: {reason}")
    assert done.stderr.count("\n") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["sorted.parquet"]


def test_a_window_holds_at_least_one_slot(tmp_path: Path) -> None:
    tables.write(tmp_path / "sorted.parquet", by_time(HAND))
    done = program(tmp_path, "--window", "0", "--gaps", "calendar")
    assert done.returncode == 2
    assert "--window is 0: it must be at least 1" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["sorted.parquet"]


def test_no_more_rows_than_fit_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = by_time({(slot, movie): (1, 3.0) for slot in range(5) for movie in range(8)})
    readings: list[int] = []

    def read() -> list[pa.Table]:
        readings.append(1)
        return [rows]

    monkeypatch.setattr(build_sequences, "ROW_BYTES", 1_000_000)
    parts = build_sequences.build_sequences(read, len(rows), 2, "calendar", memory_mb=10)
    assert sum(map(len, parts)) == 8
    # One to count them, and one for each two movies.
    assert len(readings) == 5
    readings.clear()
    parts = build_sequences.build_sequences(read, len(rows), 2, "calendar", memory_mb=40)
    assert sum(map(len, parts)) == 8
    assert len(readings) == 1
