"""Series and windows: every look-up against its definition, and the split of the slots."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popularity import tables
from popularity.program import Fault
from popularity.series import Series, read_series, split_range, split_slots, spread, stable_order
from popularity.settings.slots import FoldSplit
from small_logs import sequences_of

#: Requests by movie (0, 1, ...) and slot.
Log = dict[tuple[int, int], int]

HAND: Log = {(0, 3): 2, (0, 7): 1, (1, 3): 2, (1, 4): 1, (1, 6): 3, (2, 6): 1}


def series_of(log: Log) -> Series:
    """Series whose movie ids are 10 times the movies' numbers."""
    log = dict(sorted(log.items()))
    counts = np.bincount([movie for movie, _ in log])
    return Series(
        np.arange(len(counts), dtype=np.int32) * 10,
        np.append(0, np.cumsum(counts)),
        np.array([slot for _, slot in log], np.int32),
        np.array(list(log.values()), np.int32),
        np.full(len(log), np.nan, np.float32),
    )


def slots_of(log: Log, movie: int) -> list[int]:
    return sorted(slot for other, slot in log if other == movie)


def targets(series: Series, log: Log) -> tuple[np.ndarray, np.ndarray]:
    """Every movie with every slot of interest, some outside the log."""
    around = list(range(series.first_slot - 3, series.last_slot + 4))
    if len(around) > 60:
        around = [*around[:5], *around[-5:], *sorted({slot + d for _, slot in log for d in (0, 1)})]
    pairs = [(movie, slot) for movie in range(len(series.movie_ids)) for slot in around]
    movies, slots = np.array(pairs).T
    return movies, slots


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Logs whose movies have a request each, in few slots, many, or all in one."""
    slots = draw(st.sampled_from([st.integers(5, 20), st.integers(0, 500_000), st.just(9)]))
    series = draw(
        st.lists(st.dictionaries(slots, st.integers(1, 9), min_size=1, max_size=8), min_size=1, max_size=6)
    )
    return {(movie, slot): label for movie, labels in enumerate(series) for slot, label in labels.items()}


def test_look_ups_by_hand() -> None:
    series = series_of(HAND)
    assert (series.first_slot, series.last_slot) == (3, 7)
    assert series.totals.tolist() == [4, 1, 0, 4, 1]
    assert series.label_n.tolist() == [0.5, 1.0, 0.5, 1.0, 0.75, 0.25]
    assert series.movie.tolist() == [0, 0, 1, 1, 1, 2]
    assert series.requests(np.array([2, 3, 5, 7, 8])).tolist() == [0, 4, 0, 1, 0]
    assert series.requested_slots(range(1, 10)).tolist() == [3, 4, 6, 7]
    assert series.candidates(3).tolist() == []
    assert series.candidates(4).tolist() == [0, 1]
    assert series.candidates(6).tolist() == [0, 1]
    assert series.candidates(7).tolist() == [0, 1, 2]
    movies = np.array([0, 1, 2])
    assert series.elements_before(movies, 3).tolist() == [0, 2, 5]
    assert series.elements_before(movies, 5).tolist() == [1, 4, 5]
    assert series.elements_before(movies, np.array([8, 6, 7])).tolist() == [2, 4, 6]
    assert series.labels(movies, 6).tolist() == [0, 3, 1]
    assert series.labels(movies, np.array([7, 4, 7])).tolist() == [1, 1, 0]


def test_calendar_windows_by_hand() -> None:
    labels, slots = series_of(HAND).windows(np.array([0, 1, 2, 1]), np.array([8, 6, 6, 4]), 3, "calendar")
    assert labels.tolist() == [[0, 0, 1], [2, 1, 0], [0, 0, 0], [0, 0, 2]]
    assert slots.tolist() == [[5, 6, 7], [3, 4, 5], [3, 4, 5], [1, 2, 3]]


def test_observed_windows_by_hand() -> None:
    labels, slots = series_of(HAND).windows(np.array([0, 1, 2, 1]), np.array([8, 8, 6, 6]), 3, "observed")
    assert labels.tolist() == [[0, 2, 1], [2, 1, 3], [0, 0, 0], [0, 2, 1]]
    assert slots.tolist() == [[2, 3, 7], [3, 4, 6], [2, 2, 2], [2, 3, 4]]


@settings(max_examples=100, deadline=None)
@given(logs())
def test_requests_are_as_defined(log: Log) -> None:
    series = series_of(log)
    around = range(series.first_slot - 2, min(series.last_slot + 3, series.first_slot + 200))
    expected = [sum(label for (_, at), label in log.items() if at == slot) for slot in around]
    assert series.requests(np.array(around)).tolist() == expected
    requested = [slot for slot, requests in zip(around, expected, strict=True) if requests]
    assert series.requested_slots(around).tolist() == requested


@settings(max_examples=100, deadline=None)
@given(logs())
def test_candidates_were_requested_in_an_earlier_slot(log: Log) -> None:
    series = series_of(log)
    for slot in {at + d for _, at in log for d in (-1, 0, 1)}:
        expected = sorted({movie for movie, at in log if at < slot})
        assert series.candidates(slot).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(logs())
def test_labels_and_elements_are_as_defined(log: Log) -> None:
    series = series_of(log)
    movies, slots = targets(series, log)
    pairs = list(zip(movies.tolist(), slots.tolist(), strict=True))
    assert series.labels(movies, slots).tolist() == [log.get(pair, 0) for pair in pairs]
    elements = sorted(log)
    expected = [sum(element < pair for element in elements) for pair in pairs]
    assert series.elements_before(movies, slots).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(logs(), st.integers(1, 12))
def test_calendar_windows_are_as_defined(log: Log, length: int) -> None:
    series = series_of(log)
    movies, slots = targets(series, log)
    labels, at = series.windows(movies, slots, length, "calendar")
    before = [range(slot - length, slot) for slot in slots.tolist()]
    assert at.tolist() == [list(window) for window in before]
    pairs = zip(movies.tolist(), before, strict=True)
    assert labels.tolist() == [[log.get((movie, slot), 0) for slot in window] for movie, window in pairs]


@settings(max_examples=100, deadline=None)
@given(logs(), st.integers(1, 12))
def test_observed_windows_are_as_defined(log: Log, length: int) -> None:
    series = series_of(log)
    movies, slots = targets(series, log)
    labels, at = series.windows(movies, slots, length, "observed")
    for movie, slot, *found in zip(
        movies.tolist(), slots.tolist(), labels.tolist(), at.tolist(), strict=True
    ):
        seen = [earlier for earlier in slots_of(log, movie) if earlier < slot][-length:]
        missing = length - len(seen)
        expected = [0] * missing + [log[movie, earlier] for earlier in seen]
        assert found == [expected, [series.first_slot - 1] * missing + seen]


@pytest.mark.parametrize("gaps", ["calendar", "observed"])
def test_one_slot_serves_all_movies(gaps: str) -> None:
    series, movies = series_of(HAND), np.arange(3)
    for one, each in zip(
        series.windows(movies, 7, 4, gaps), series.windows(movies, np.full(3, 7), 4, gaps), strict=True
    ):
        np.testing.assert_array_equal(one, each)


def test_narrow_movie_numbers_find_the_same_as_wide_ones() -> None:
    # Movies times slots are more than 2^31.
    log = {(movie, slot): 1 + movie for movie in range(5000) for slot in (0, 500_000)}
    series = series_of(log)
    movies = np.arange(5000, dtype=np.int32)
    assert series.labels(movies, 500_000).tolist() == list(range(1, 5001))
    assert series.windows(movies, 500_000, 2, "observed")[0].tolist() == [[0, 1 + m] for m in range(5000)]


def test_a_table_is_read_as_it_was_built(tmp_path: Path) -> None:
    rows = [
        (3, 10, 2, 0.5, 4.5, None, None),
        (3, 2**31 - 1, 2, 0.5, None, None, None),
        (4, 10, 1, 1.0, 0.5, None, None),
    ]
    columns = zip(zip(*rows, strict=True), tables.LABELLED, strict=True)
    by_time = pa.table([pa.array(c, f.type) for c, f in columns], schema=tables.LABELLED)
    sequences = sequences_of(by_time, 14, "calendar")
    tables.write(tmp_path / "sequences.parquet", sequences)
    series = read_series(tmp_path / "sequences.parquet", "day")
    assert series.movie_ids.tolist() == [10, 2**31 - 1]
    assert series.starts.tolist() == [0, 2, 3]
    assert series.slot.tolist() == [3, 4, 3]
    assert series.label.tolist() == [2, 1, 2]
    assert series.label_n.tolist() == [0.5, 1.0, 0.5]
    np.testing.assert_array_equal(series.avg_rating, [4.5, 0.5, np.nan])


@pytest.mark.parametrize(
    ("first", "last", "shares", "sizes"),
    [
        (1, 100, (0.15, 0.15), (70, 15, 15)),
        (2500, 2519, (0.15, 0.15), (14, 3, 3)),
        (0, 9, (0.2, 0.3), (5, 2, 3)),
        (7, 7, (0.15, 0.15), (1, 0, 0)),
        (7, 9, (0.34, 0.34), (1, 1, 1)),
        (1, 10, (0.0, 0.0), (10, 0, 0)),
    ],
)
def test_the_last_slots_are_test_and_those_before_validation(
    first: int, last: int, shares: tuple[float, float], sizes: tuple[int, int, int]
) -> None:
    split = split_range(first, last, FoldSplit(*shares))
    assert list(split) == ["training", "validation", "test"]
    assert tuple(len(part) for part in split.values()) == sizes
    assert [slot for part in split.values() for slot in part] == list(range(first, last + 1))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 500_000), st.integers(1, 5000), st.floats(0, 0.5, exclude_max=True), st.floats(0, 0.45)
)
def test_a_split_keeps_shares_and_order_and_loses_nothing(
    first: int, slots: int, validation: float, test: float
) -> None:
    split = split_range(first, first + slots - 1, FoldSplit(validation, test))
    parts = list(split.values())
    assert (parts[0].start, parts[-1].stop) == (first, first + slots)
    assert all(earlier.stop == later.start for earlier, later in pairwise(parts))
    shares = {"training": 1 - validation - test, "validation": validation, "test": test}
    for name, share in shares.items():
        # Two roundings by a half make one; the shares have rounding errors of their own.
        assert abs(len(split[name]) - share * slots) <= 1 + 1e-9


def test_earlier_folds_have_the_blocks_of_test_slots_before() -> None:
    # Of 100 slots 15 and 20.
    folds = [split_range(7, 106, FoldSplit(0.2, 0.15, fold)) for fold in range(4)]
    assert folds[0] == split_range(7, 106, FoldSplit(0.2, 0.15))
    assert [fold["test"] for fold in folds] == [range(end - 15, end) for end in (107, 92, 77, 62)]
    assert [fold["validation"] for fold in folds] == [range(end - 20, end) for end in (92, 77, 62, 47)]
    assert [fold["training"] for fold in folds] == [range(7, end) for end in (72, 57, 42, 27)]


def test_the_slots_of_a_series_are_split_from_its_first_to_its_last() -> None:
    log = {(0, 11): 1, (0, 20): 1, (1, 16): 1}
    split = split_slots(series_of(log), FoldSplit(0.2, 0.3))
    parts = {"training": range(11, 16), "validation": range(16, 18), "test": range(18, 21)}
    assert split == parts


@pytest.mark.parametrize(
    ("slots", "reason"),
    [
        ((11, 15, 20), "no request in the 2 of them that are validation slots"),
        ((11,), "no request in the 0 of them that are validation slots"),
    ],
)
def test_a_part_without_requests_is_a_fault(slots: tuple[int, ...], reason: str) -> None:
    series = series_of({(0, slot): 1 for slot in slots})
    with pytest.raises(Fault, match=reason):
        split_slots(series, FoldSplit(0.2, 0.3))


@pytest.mark.parametrize(
    ("requests", "told"),
    [
        # Slot 1 is 1 January 1970. The few are the last, or the first.
        (
            {1: 5, 2: 4, 5: 4, 200: 2, 201: 1},
            "3 requests are of 1970-07-19 to 1970-07-20, far from all others, of 1970-01-01 to 1970-01-05 ",
        ),
        (
            {1: 2, 199: 5, 200: 4, 201: 4},
            "2 requests are of 1970-01-01, far from all others, of 1970-07-18 to 1970-07-20 ",
        ),
        # Half of the 20 slots are no more than half.
        ({1: 2, 2: 1, 12: 3, 20: 1}, "; use shorter slots or another split"),
        ({1: 2, 2: 1, 13: 3, 20: 1}, "; 3 requests are of 1970-01-01 to 1970-01-02, far from all others"),
    ],
)
def test_requests_far_from_all_others_are_told(requests: dict[int, int], told: str) -> None:
    with pytest.raises(Fault) as fault:
        split_slots(series_of({(0, slot): count for slot, count in requests.items()}), FoldSplit(0.3, 0.05))
    assert told in str(fault.value)


@settings(max_examples=30, deadline=None)
@given(logs(), st.lists(st.integers(-5, 60), min_size=1, max_size=12))
def test_all_movies_of_one_slot_are_looked_up_at_once_alike(log: Log, offsets: list[int]) -> None:
    series, at_once = series_of(log), series_of(log)
    movies = np.arange(len(series.movie_ids))
    with pytest.MonkeyPatch.context() as patch:
        for slot in (series.first_slot + offset for offset in offsets):
            found = []
            # Which of both ways is taken depends on the number of movies.
            for one, most in ((series, len(movies)), (at_once, 0)):
                patch.setattr("popularity.series.MANY", most)
                same = np.full(len(movies), slot)
                found.append([one.elements_before(movies, slot), one.labels(movies, slot)])
                found[-1] += [one.elements_before(movies, same), *one.windows(movies, slot, 3, "calendar")]
            for plain, fast in zip(*found, strict=True):
                assert plain.tolist() == fast.tolist()
                assert plain.dtype == fast.dtype


@pytest.mark.parametrize("labels", [[0, 5, 2], [3, 0, 0], [0, 0, 1], [0, 0, 0]])
def test_a_log_that_goes_on_is_the_longer_log(labels: list[int]) -> None:
    series = series_of(HAND)
    slot = series.last_slot + 2
    found = series.extended(slot, np.arange(3), np.array(labels))
    longer = series_of(HAND | {(movie, slot): label for movie, label in enumerate(labels) if label})
    for name in ("movie_ids", "starts", "slot", "label", "label_n", "totals", "movie", "first_request"):
        assert np.array_equal(getattr(found, name), getattr(longer, name)), name
    assert (found.first_slot, found.last_slot) == (longer.first_slot, longer.last_slot)
    # The shorter one is as it was.
    assert np.array_equal(series.slot, series_of(HAND).slot)


@given(log=logs(), offsets=st.lists(st.integers(1, 12), min_size=1, max_size=8))
@settings(deadline=None)
def test_slots_of_latest_requests_are_looked_up_alike(log: Log, offsets: list[int]) -> None:
    made = series_of(log)
    for slot in (made.first_slot + offset for offset in offsets):
        movies = made.candidates(slot)
        expected = [max(at for at in slots_of(log, movie) if at < slot) for movie in movies.tolist()]
        with pytest.MonkeyPatch.context() as patch:
            for many in (1000, 0):
                patch.setattr("popularity.series.MANY", many)
                assert made.latest_slots(movies, np.full(len(movies), slot)).tolist() == expected
                assert made.idle(movies, slot, 2).tolist() == [at < slot - 2 for at in expected]


@given(logs(), st.integers(1, 7))
@settings(deadline=None)
def test_a_log_is_counted_and_ordered_alike_in_parts(log: Log, size: int) -> None:
    whole = series_of(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("popularity.series.ELEMENTS_AT_ONCE", size)
        parts = series_of(log)
        found = [part.tolist() for part in parts.elements_by_slot()]
    assert found == [part.tolist() for part in whole.elements_by_slot()]
    by_slot = sorted(range(len(whole.slot)), key=lambda at: (whole.slot[at], at))
    assert [at for part in found for at in part] == by_slot
    assert parts.totals.tolist() == whole.totals.tolist()


@given(log=logs(), begin=st.integers(-3, 22), end=st.integers(-3, 22))
@settings(deadline=None)
def test_elements_of_a_range_of_slots_are_walked(log: Log, begin: int, end: int) -> None:
    made = series_of(log)
    slots = range(made.first_slot + begin, made.first_slot + end)
    walked = [part.tolist() for part in made.elements_by_slot(slots)]
    inside = [part.tolist() for part in made.elements_by_slot() if made.slot[part[0]] in slots]
    assert walked == inside


@pytest.mark.parametrize("highest", [3, 70_000])
def test_an_order_is_stable_however_large_the_numbers(highest: int) -> None:
    numbers = np.array([highest, 1, 0, highest, 1, 2, 0])
    assert stable_order(numbers).tolist() == [2, 6, 1, 4, 5, 0, 3]
    assert stable_order(numbers[:0]).tolist() == []


def test_few_of_many_slots_are_spread_evenly() -> None:
    slots = np.arange(40, 50)
    assert spread(slots, 10).tolist() == spread(slots, 300).tolist() == slots.tolist()
    assert spread(slots, 4).tolist() == [40, 42, 45, 47]
    assert spread(slots, 1).tolist() == [40]
    assert spread(slots, 9).tolist() == [40, 41, 42, 43, 44, 45, 46, 47, 48]
