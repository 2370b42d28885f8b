"""Slots: which one a timestamp falls into, and when each begins."""

import calendar
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from popularity.settings.slots import SLOT_SECONDS
from popularity.slots import SLOTS, Slot, clock_numbers, slot_of, slot_start, zone_of
from popularity.zones import Zone

#: Timestamps of every log lie in the years 1700 to 2199.
TIMES = st.integers(-8_520_336_000, 7_258_118_399)
ZONES = (
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
)
HOURS = ("5min", "15min", "30min", "hour")


def number(timestamp: int, slot: str) -> int:
    return int(slot_of(np.array([timestamp], np.int64), slot)[0])


def start(slot_number: int, slot: str) -> int:
    return int(slot_start(np.array([slot_number], np.int32), slot)[0].astype(np.int64))


def at(*date: int) -> int:
    return calendar.timegm((*date, 0, 0, 0)[:6])


@pytest.mark.parametrize(("slot", "length"), [("5min", 300), ("hour", 3600), ("day", 86400)])
def test_a_slot_holds_its_beginning_and_not_its_end(slot: str, length: int) -> None:
    times = [-length - 1, -length, -1, 0, 1, length - 1, length, 2 * length - 1, 2 * length, 99 * length]
    numbers = slot_of(np.array(times, np.int64), slot)
    assert numbers.tolist() == [-1, 0, 0, 1, 1, 1, 2, 2, 3, 100]
    assert numbers.dtype == np.int32


@pytest.mark.parametrize(
    ("slot", "time", "slot_number"),
    [
        ("week", at(1969, 12, 28, 23, 59, 59), 0),
        ("week", at(1969, 12, 29), 1),
        ("week", at(1970, 1, 4, 23, 59, 59), 1),
        ("week", at(1970, 1, 5), 2),
        ("week", at(2024, 7, 1), 2845),
        ("month", at(1969, 12, 31, 23, 59, 59), 0),
        ("month", 0, 1),
        ("month", at(1970, 1, 31, 23, 59, 59), 1),
        ("month", at(1970, 2, 1), 2),
        ("month", at(1972, 2, 28), 26),
        ("month", at(1972, 2, 29, 23, 59, 59), 26),
        ("month", at(1972, 3, 1), 27),
        ("month", at(1999, 12, 31, 23, 59, 59), 360),
        ("month", at(2000, 1, 1), 361),
        ("month", at(2100, 2, 28, 23, 59, 59), 1562),
        ("month", at(2100, 3, 1), 1563),
        ("year", at(1969, 12, 31, 23, 59, 59), 0),
        ("year", at(1970, 1, 1), 1),
        ("year", at(2014, 12, 31, 23, 59, 59), 45),
        ("year", at(2015, 1, 1), 46),
    ],
)
def test_weeks_begin_on_monday_and_months_and_years_are_the_calendar_s(
    slot: str, time: int, slot_number: int
) -> None:
    assert number(time, slot) == slot_number


@pytest.mark.parametrize(
    ("slot", "slot_number", "begin"),
    [
        ("15min", 2, "1970-01-01T00:15:00"),
        ("hour", 2, "1970-01-01T01:00:00"),
        ("day", 1, "1970-01-01T00:00:00"),
        ("day", 0, "1969-12-31T00:00:00"),
        ("week", 2, "1970-01-05T00:00:00"),
        ("month", 1, "1970-01-01T00:00:00"),
        ("month", 27, "1972-03-01T00:00:00"),
        ("year", 2, "1971-01-01T00:00:00"),
        ("year", 46, "2015-01-01T00:00:00"),
        ("day America/New_York", 1, "1970-01-01T00:00:00"),
        ("hour America/New_York", 1, "1969-12-31T19:00:00"),
        ("hour Asia/Kolkata", 1, "1970-01-01T05:00:00"),
    ],
)
def test_the_time_at_which_a_slot_begins(slot: str, slot_number: int, begin: str) -> None:
    assert slot_start(np.array([slot_number], np.int32), slot).astype(str).tolist() == [begin]


@settings(max_examples=150, deadline=None)
@given(TIMES)
def test_months_and_years_are_those_of_the_datetime_module(time: int) -> None:
    date = datetime.fromtimestamp(time, UTC)
    assert number(time, "month") == (date.year - 1970) * 12 + date.month
    assert number(time, "year") == date.year - 1969


@pytest.mark.parametrize("slot", SLOTS)
@settings(max_examples=80, deadline=None)
@given(time=TIMES)
def test_each_time_is_between_its_slot_s_beginning_and_the_next(slot: str, time: int) -> None:
    slot_number = number(time, slot)
    begin, end = start(slot_number, slot), start(slot_number + 1, slot)
    assert begin <= time < end
    assert [number(t, slot) for t in (begin, end - 1)] == [slot_number] * 2
    if slot in SLOT_SECONDS:
        assert end - begin == SLOT_SECONDS[slot]


# On the clock of a zone


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=60, deadline=None)
@given(time=TIMES)
@example(time=at(2013, 11, 3, 5, 30))
@example(time=at(2011, 12, 30, 9, 59, 59))
def test_local_times_are_those_of_zoneinfo(zone: str, time: int) -> None:
    local = datetime.fromtimestamp(time, ZoneInfo(zone))
    expected = calendar.timegm(local.timetuple())
    found = int(Zone(zone).local(np.array([time]))[0])
    # Offsets of the 19th century have fractions of a second in no zone, but seconds in many.
    assert found == expected
    for length, first in (("day", datetime(1970, 1, 1)), ("month", None), ("year", None)):
        slot_number = number(time, f"{length} {zone}")
        if first is not None:
            assert slot_number == (local.replace(tzinfo=None) - first).days + 1
        elif length == "month":
            assert slot_number == (local.year - 1970) * 12 + local.month
        else:
            assert slot_number == local.year - 1969


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=60, deadline=None)
@given(time=st.integers(0, 4_000_000_000))
def test_local_times_come_back(zone: str, time: int) -> None:
    local = Zone(zone).local(np.array([time]))
    back = int(Zone(zone).utc(local)[0])
    # Of two times that the clock shows alike it is the first.
    assert back <= time
    assert int(Zone(zone).local(np.array([back]))[0]) == int(local[0])


def test_what_the_clock_shows_twice_is_the_first_and_what_it_leaves_out_the_change() -> None:
    local = np.array([at(2013, 11, 3, 1, 30), at(2013, 11, 3, 2, 30), at(2013, 3, 10, 2, 30)])
    found = Zone("America/New_York").utc(local).tolist()
    assert found == [at(2013, 11, 3, 5, 30), at(2013, 11, 3, 7, 30), at(2013, 3, 10, 7)]


@pytest.mark.parametrize("slot", [*SLOTS, "day Pacific/Apia", "week America/New_York"])
def test_in_utc_and_from_a_day_on_the_clock_shows_the_slots_own_numbers(slot: str) -> None:
    numbers = np.arange(-5, 500, dtype=np.int32)
    assert clock_numbers(numbers, slot).tolist() == numbers.tolist()


@pytest.mark.parametrize(
    ("slot", "time", "number"),
    [
        # 19 hours of 31 December 1969, and 5 and a half of the day after.
        ("hour America/New_York", at(1970, 1, 1), 1 - 5),
        ("30min Asia/Kolkata", at(1970, 1, 1), 1 + 11),
        # In summer the clock is 4 hours behind.
        ("hour America/New_York", at(1970, 7, 1), 1 + 181 * 24 - 4),
    ],
)
def test_numbers_of_slots_as_the_clock_shows_them(slot: str, time: int, number: int) -> None:
    assert clock_numbers(slot_of(np.array([time]), slot), slot).tolist() == [number]


def test_days_of_23_and_of_25_hours() -> None:
    hours = np.arange(at(2013, 3, 8), at(2013, 11, 6), 3600)
    days = slot_of(hours, "day America/New_York")
    assert np.bincount(days - days[0])[1:-1].tolist().count(24) == len(set(days.tolist())) - 4
    assert sorted(np.bincount(days - days[0])[1:-1].tolist())[0] == 23
    assert sorted(np.bincount(days - days[0])[1:-1].tolist())[-1] == 25
    # Each hour is a slot of its own, though two of them begin at one o'clock.
    numbers = slot_of(hours, "hour America/New_York")
    assert np.diff(numbers).tolist() == [1] * (len(hours) - 1)
    begins = slot_start(numbers, "hour America/New_York").astype(str).tolist()
    assert begins.count("2013-11-03T01:00:00") == 2
    assert begins.count("2013-03-10T02:00:00") == 0


@pytest.mark.parametrize("length", HOURS)
@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Asia/Kolkata", "America/New_York"])
def test_hours_begin_with_those_of_the_zone(length: str, zone: str) -> None:
    times = np.arange(at(2024, 7, 1), at(2024, 7, 2), 60)
    numbers = slot_of(times, f"{length} {zone}")
    minutes = slot_start(numbers, f"{length} {zone}").astype(np.int64) // 60 % 60
    assert set((minutes % (SLOT_SECONDS[length] // 60)).tolist()) == {0}


@pytest.mark.parametrize("text", ["", "decade", "7min", "day Europe/Atlantis", "day ../etc/passwd"])
def test_other_slots_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Slot(text)


def test_a_slot_is_written_for_readers() -> None:
    assert [str(Slot(text)) for text in ("day", "15min Asia/Kolkata")] == ["day", "15-minute slot"]
    times = np.array([1_700_000_000])
    assert slot_of(times, Slot("day Asia/Kolkata")) == slot_of(times, "day Asia/Kolkata")


def test_a_slot_names_its_zone() -> None:
    assert [zone_of(text) for text in ("day", "5min Asia/Kolkata")] == ["UTC", "Asia/Kolkata"]
