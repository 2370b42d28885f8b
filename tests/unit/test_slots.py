"""Slots: which one a timestamp falls into, and when each begins."""

import calendar
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from popularity.slots import SLOT_SECONDS, SLOTS, slot_of, slot_start

#: Timestamps of every log lie in the years 1970 to 2199.
TIMES = st.integers(0, 7_258_118_399)


def number(timestamp: int, slot: str) -> int:
    return int(slot_of(np.array([timestamp], np.int64), slot)[0])


def start(slot_number: int, slot: str) -> int:
    return int(slot_start(np.array([slot_number], np.int32), slot)[0].astype(np.int64))


def at(*date: int) -> int:
    return calendar.timegm((*date, 0, 0, 0)[:6])


@pytest.mark.parametrize(
    ("slot", "length"), [("hour", 3600), ("day", 86400), ("week", 604800), ("year", 31536000)]
)
def test_a_slot_holds_its_end_and_not_its_beginning(slot: str, length: int) -> None:
    times = [0, 1, length - 1, length, length + 1, 2 * length, 2 * length + 1, 99 * length]
    numbers = slot_of(np.array(times, np.int64), slot)
    assert numbers.tolist() == [0, 1, 1, 1, 2, 2, 3, 99]
    assert numbers.dtype == np.int32


@pytest.mark.parametrize(
    ("time", "month"),
    [
        (0, 1),
        (at(1970, 1, 31, 23, 59, 59), 1),
        (at(1970, 2, 1), 2),
        (at(1972, 2, 28), 26),
        (at(1972, 2, 29, 23, 59, 59), 26),
        (at(1972, 3, 1), 27),
        (at(1999, 12, 31, 23, 59, 59), 360),
        (at(2000, 1, 1), 361),
        (at(2000, 2, 29), 362),
        (at(2100, 2, 28, 23, 59, 59), 1562),
        (at(2100, 3, 1), 1563),
    ],
)
def test_a_month_is_that_of_the_calendar(time: int, month: int) -> None:
    assert number(time, "month") == month


@pytest.mark.parametrize(
    ("slot", "slot_number", "begin"),
    [
        ("hour", 2, "1970-01-01T01:00:00"),
        ("day", 1, "1970-01-01T00:00:00"),
        ("day", 0, "1969-12-31T00:00:00"),
        ("week", 2, "1970-01-08T00:00:00"),
        ("month", 1, "1970-01-01T00:00:00"),
        ("month", 27, "1972-03-01T00:00:00"),
        ("year", 2, "1971-01-01T00:00:00"),
        ("year", 4, "1972-12-31T00:00:00"),
    ],
)
def test_the_time_at_which_a_slot_begins(slot: str, slot_number: int, begin: str) -> None:
    assert slot_start(np.array([slot_number], np.int32), slot).astype(str).tolist() == [begin]


@settings(max_examples=150, deadline=None)
@given(TIMES)
def test_months_are_those_of_the_datetime_module(time: int) -> None:
    date = datetime.fromtimestamp(time, UTC)
    assert number(time, "month") == (date.year - 1970) * 12 + date.month


@pytest.mark.parametrize("slot", SLOTS)
@settings(max_examples=80, deadline=None)
@given(time=TIMES)
def test_each_time_is_between_its_slot_s_beginning_and_the_next(slot: str, time: int) -> None:
    slot_number = number(time, slot)
    begin, end = start(slot_number, slot), start(slot_number + 1, slot)
    if slot == "month":
        assert begin <= time < end
        assert [number(t, slot) for t in (begin, end - 1)] == [slot_number] * 2
    else:
        assert begin < time <= end == begin + SLOT_SECONDS[slot]
        assert [number(t, slot) for t in (begin + 1, end)] == [slot_number] * 2
