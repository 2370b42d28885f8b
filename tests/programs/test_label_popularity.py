"""Labelling: each slot and movie's requests, shares and mean rating, against their definition."""

import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import label_popularity
from popularity import keys, tables
from popularity.program import Fault
from popularity.slots import SLOTS

SCRIPT = Path(label_popularity.__file__)
LARGEST = 2**31 - 1
LENGTHS = {**{f"{minutes}min": 60 * minutes for minutes in (5, 10, 15, 20, 30)}, "hour": 3600, "day": 86400}

#: A request: movie, rating (or none), timestamp.
Request = tuple[int, float | None, int]
Row = tuple[int, int, int, float, float | None]

MOVIES = [(0, 1, 1990), (7, 2, None), (8, None, 2001), (LARGEST, 3, 2015)]


def number(time: int, slot: str) -> int:
    date = datetime.fromtimestamp(time, UTC)
    if slot == "year":
        return date.year - 1969
    if slot == "month":
        return (date.year - 1970) * 12 + date.month
    if slot == "week":
        return (date.date() - datetime(1969, 12, 29).date()).days // 7 + 1
    return time // LENGTHS[slot] + 1


def joined(log: Sequence[Request]) -> pa.Table:
    """Table of `tables.JOINED`; what labelling leaves unused is 0 or null."""
    rows = [
        (0, movie, rating, time, *(number(time, slot) for slot in ("hour", "day", "year")), None, None)
        for movie, rating, time in log
    ]
    return table(rows, tables.JOINED)


def catalogue() -> pa.Table:
    rows = [(movie, str(movie), "A", "B", genres, year, None) for movie, genres, year in MOVIES]
    return table(rows, tables.MOVIES)


def table(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def label(log: Sequence[Request], slot: str) -> pa.Table:
    # In two chunks (the first of a single row is empty), as a table of two row groups is read.
    whole, half = joined(log), len(log) // 2
    chunked = pa.concat_tables([whole.slice(0, half), whole.slice(half)])
    parts = label_popularity.label_popularity(lambda: [chunked], len(chunked), catalogue(), slot)
    return pa.Table.from_batches(parts, tables.LABELLED)


def defined(log: list[Request], slot: str) -> list[Row]:
    """Slot, movie, label, label_n and avg_rating, as design has them."""
    requests: dict[tuple[int, int], list[float | None]] = defaultdict(list)
    for movie, rating, time in log:
        requests[number(time, slot), movie].append(rating)
    totals = Counter(number(time, slot) for _, _, time in log)
    rows = []
    for (slot_number, movie), ratings in sorted(requests.items()):
        given = [rating for rating in ratings if rating is not None]
        mean = float(np.float32(sum(given) / len(given))) if given else None
        rows.append((slot_number, movie, len(ratings), len(ratings) / totals[slot_number], mean))
    return rows


def values(labelled: pa.Table) -> list[Row]:
    return [tuple(row.values())[:5] for row in labelled.to_pylist()]


#: Timestamps that logs share slots by, at both sides of the slots' ends.
TIMES = st.one_of(
    st.sampled_from(
        [n * length + d for length in LENGTHS.values() for n in (1, 2, 52) for d in (-1, 0, 1)]
    ),
    st.sampled_from([-1, 0, 951_782_399, 951_782_400, 951_868_799, 951_868_800, 7_258_118_399]),
    st.integers(-8_520_336_000, 7_258_118_399),
)
MOVIE_IDS = st.one_of(st.sampled_from([0, 1, 7, 8, LARGEST - 1, LARGEST]), st.integers(0, LARGEST))
HALF_STARS = st.integers(1, 10).map(lambda n: n / 2)
LOGS = st.one_of(
    [
        st.lists(st.tuples(MOVIE_IDS, ratings, TIMES), min_size=1, max_size=40)
        for ratings in (HALF_STARS, st.none(), st.none() | HALF_STARS)
    ]
)


def test_by_hand() -> None:
    log = [
        (7, 4.0, 86400),
        (0, 0.5, 86399),
        (7, 5.0, 172799),
        (7, None, 0),
        (5, 3.0, 100000),
        (7, 3.5, 100000),
        (7, 3.5, 100000),
        (LARGEST, 5.0, 863999),
        (8, None, 863999),
    ]
    labelled = label(log, "day")
    assert labelled.schema.equals(tables.LABELLED)
    assert [tuple(row.values()) for row in labelled.to_pylist()] == [
        (1, 0, 1, 0.5, 0.5, 1, 1990),
        (1, 7, 1, 0.5, None, 2, None),
        (2, 5, 1, 0.2, 3.0, None, None),
        (2, 7, 4, 0.8, 4.0, 2, None),
        (10, 8, 1, 0.5, None, None, 2001),
        (10, LARGEST, 1, 0.5, 5.0, 3, 2015),
    ]


@pytest.mark.parametrize(
    ("slot", "rows"),
    [
        (
            "hour",
            [(24, 7, 1, 1.0, 1.0), (25, 7, 1, 1.0, 2.0), (721, 7, 1, 0.5, 4.0), (721, 8, 1, 0.5, 5.0)],
        ),
        ("day", [(1, 7, 1, 1.0, 1.0), (2, 7, 1, 1.0, 2.0), (31, 7, 1, 0.5, 4.0), (31, 8, 1, 0.5, 5.0)]),
        ("week", [(1, 7, 2, 1.0, 1.5), (5, 7, 1, 0.5, 4.0), (5, 8, 1, 0.5, 5.0)]),
        ("month", [(1, 7, 3, 0.75, float(np.float32(7 / 3))), (1, 8, 1, 0.25, 5.0)]),
        ("year", [(1, 7, 3, 0.75, float(np.float32(7 / 3))), (1, 8, 1, 0.25, 5.0)]),
    ],
)
def test_every_slot_by_hand(slot: str, rows: list[Row]) -> None:
    log = [(7, 1.0, 86399), (7, 2.0, 86400), (8, 5.0, 30 * 86400), (7, 4.0, 30 * 86400 + 3599)]
    assert values(label(log, slot)) == rows


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("request_", [(0, 0.5, 0), (LARGEST, 5.0, 7_258_118_399), (7, None, 86400)])
def test_a_single_request_is_all_of_its_slot(slot: str, request_: Request) -> None:
    movie, rating, time = request_
    assert values(label([request_], slot)) == [(number(time, slot), movie, 1, 1.0, rating)]


@pytest.mark.parametrize("slot", SLOTS)
@settings(max_examples=60, deadline=None)
@given(log=LOGS)
@example(log=[(7, 2.5, 3600 * k) for k in (1, 1, 2, 9000)])
@example(log=[(movie, None, 5) for movie in (3, LARGEST, 0, 3)])
def test_labels_are_as_defined(slot: str, log: list[Request]) -> None:
    labelled = label(log, slot)
    assert labelled.schema.equals(tables.LABELLED)
    assert values(labelled) == defined(log, slot)

    shares = defaultdict(list)
    for row in labelled.to_pylist():
        shares[row["slot"]].append(row["label_n"])
    assert all(abs(math.fsum(parts) - 1) <= 1e-12 for parts in shares.values())

    known = {movie: (genres, year) for movie, genres, year in MOVIES}
    for row in labelled.to_pylist():
        assert (row["genres"], row["releaseDate"]) == known.get(row["movieId"], (None, None))


@settings(max_examples=60, deadline=None)
@given(LOGS, st.randoms(use_true_random=False), st.sampled_from(SLOTS))
def test_the_order_of_the_log_does_not_matter(log: list[Request], random: Random, slot: str) -> None:
    shuffled = random.sample(log, len(log))
    assert label(shuffled, slot).equals(label(log, slot))


def test_many_requests_of_a_slot_add_up_to_one() -> None:
    log = [(movie * movie % 997, None, 1) for movie in range(20_000)]
    labelled = label(log, "year")
    assert sum(labelled["label"].to_pylist()) == 20_000
    assert abs(math.fsum(labelled["label_n"].to_pylist()) - 1) <= 1e-12


def test_ratings_are_added_up_in_the_order_of_the_log_whatever_parts_it_is_read_in() -> None:
    # Half-stars at first, so that a part may hold them beside the keys; in another order the sum differs.
    log = joined([(7, 2.0, 5), (7, 0.5, 5), (7, 1e17, 5), (7, -1e17, 5), (7, 3.0, 5)])
    for cut in range(len(log)):
        parts = [log.slice(0, cut), log.slice(cut)]
        made = label_popularity.label_popularity(lambda: parts, len(log), catalogue(), "day")  # noqa: B023
        expected = label_popularity.label_popularity(lambda: [log], len(log), catalogue(), "day")
        assert [batch.to_pylist() for batch in made] == [batch.to_pylist() for batch in expected]


def test_more_different_ratings_than_fit_beside_slot_and_movie() -> None:
    random = np.random.default_rng(1)
    ratings = random.normal(size=3000).astype(np.float32).tolist()
    times = random.choice([3600, 3601, 7_258_118_399], 3000).tolist()
    movies = random.choice([0, LARGEST - 1, LARGEST], 3000).tolist()
    log = list(zip(movies, ratings, times, strict=True))
    found, expected = values(label(log, "hour")), defined(log, "hour")
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    assert [row[4] for row in found] == pytest.approx([row[4] for row in expected], rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(log=LOGS, requests=st.integers(1, 9), slot=st.sampled_from(SLOTS))
def test_little_memory_changes_nothing(log: list[Request], requests: int, slot: str) -> None:
    whole = joined(log)
    with pytest.MonkeyPatch.context() as patch:
        # So a budget of some megabytes is one of so many requests, and a block holds two.
        patch.setattr(label_popularity, "REQUEST_BYTES", 1_000_000)
        patch.setattr(keys, "BLOCK", 2)
        parts = label_popularity.label_popularity(lambda: [whole], len(whole), catalogue(), slot, requests)
        little = pa.Table.from_batches(parts, tables.LABELLED)
    assert little.combine_chunks().equals(label(log, slot).combine_chunks())


@settings(max_examples=60, deadline=None)
@given(
    log=st.lists(
        st.tuples(st.tuples(MOVIE_IDS, st.none() | HALF_STARS, TIMES), st.integers(1, 5)),
        min_size=1,
        max_size=20,
    ),
    slot=st.sampled_from(SLOTS),
    requests=st.sampled_from([1, 3, 4000]),
)
def test_a_row_that_stands_for_several_requests_is_as_many_rows(
    log: list[tuple[Request, int]], slot: str, requests: int
) -> None:
    counts = pa.array([count for _, count in log], pa.int64())
    counted = joined([request for request, _ in log]).append_column(tables.COUNT, counts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_popularity, "COUNTED_BYTES", 1_000_000)
        patch.setattr(keys, "BLOCK", 2)
        parts = label_popularity.label_popularity(
            lambda: [counted], len(counted), catalogue(), slot, requests, counted=True
        )
        found = pa.Table.from_batches(parts, tables.LABELLED)
    expected = label([request for request, count in log for _ in range(count)], slot)
    assert found.combine_chunks().equals(expected.combine_chunks())


def test_more_requests_of_an_item_in_a_slot_than_a_label_holds_are_a_fault() -> None:
    counts = pa.array([2**31 - 1, 1], pa.int64())
    counted = joined([(7, None, 0), (7, None, 1)]).append_column(tables.COUNT, counts)
    with pytest.raises(Fault, match=r"2,147,483,648 requests in a slot: use shorter slots"):
        list(label_popularity.label_popularity(lambda: [counted], 2, catalogue(), "day", counted=True))
    # The most that it holds.
    most = counted.slice(0, 1)
    (row,) = label_popularity.label_popularity(lambda: [most], 1, catalogue(), "day", counted=True)
    assert row["label"].to_pylist() == [2**31 - 1]


def program(folder: Path, slot: str = "day") -> subprocess.CompletedProcess[str]:
    paths = {name: str(folder / f"{name}.parquet") for name in ("joined", "movies", "labelled")}
    options = [word for name, path in paths.items() for word in (f"--{name}", path)]
    command = [sys.executable, str(SCRIPT), *options, "--slot", slot]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tables.write(tmp_path / "joined.parquet", joined([(7, 4.0, 86400), (0, None, 86399)]))
    tables.write(tmp_path / "movies.parquet", catalogue())
    return tmp_path


@pytest.mark.parametrize(("slot", "slots"), [("day", [1, 2]), ("week", [1, 1]), ("month", [1, 1])])
def test_as_a_command(folder: Path, slot: str, slots: list[int]) -> None:
    done = program(folder, slot)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    labelled = pq.read_table(folder / "labelled.parquet")
    assert labelled.schema.equals(tables.LABELLED)
    assert labelled["slot"].to_pylist() == slots
    assert labelled["movieId"].to_pylist() == [0, 7]
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    ("name", "wrong", "reason"),
    [
        ("joined", joined([(7, 4.0, 1)]).drop_columns("rating"), "column rating is missing"),
        ("joined", joined([(7, 4.0, 1)]).slice(0, 0), "has no rows"),
        ("movies", joined([(7, 4.0, 1)]), "column item is missing"),
    ],
)
def test_a_wrong_table_is_one_line_and_leaves_nothing(
    folder: Path, name: str, wrong: pa.Table, reason: str
) -> None:
    path = folder / f"{name}.parquet"
    pq.write_table(wrong, path)
    done = program(folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {path}: {reason}")
    assert done.stderr.count("\n") == 1
    assert sorted(file.name for file in folder.iterdir()) == ["joined.parquet", "movies.parquet"]


def test_no_more_requests_than_fit_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    log = [(movie, 3.0, 86_400 * slot) for slot in range(20) for movie in range(5)]
    whole = joined(log)
    readings: list[int] = []

    def read() -> list[pa.Table]:
        readings.append(1)
        return [whole]

    monkeypatch.setattr(label_popularity, "REQUEST_BYTES", 1_000_000)
    parts = label_popularity.label_popularity(read, len(whole), catalogue(), "day", 10)
    assert sum(map(len, parts)) == len(log)
    # One to count them, and one for each two slots.
    assert len(readings) == 11
    readings.clear()
    parts = label_popularity.label_popularity(read, len(whole), catalogue(), "day", 100)
    assert sum(map(len, parts)) == len(log)
    assert len(readings) == 1


@pytest.mark.parametrize("shards", [2, 3, 4, 7])
def test_shards_have_about_as_many_requests_each(shards: int) -> None:
    # Later slots have more requests.
    log = [(movie, 3.0, 86_400 * slot) for slot in range(60) for movie in range(1 + slot // 20)]
    whole = joined(log)
    sizes = []
    for shard in range(shards):
        parts = label_popularity.label_popularity(
            lambda: [whole], len(whole), catalogue(), "day", shard=(shard, shards)
        )
        sizes.append(sum(map(len, parts)))
    assert sum(sizes) == len(log)
    # A slot is in one shard alone, so that they differ by what a slot holds at either end.
    assert max(sizes) - min(sizes) <= 2 * 3
