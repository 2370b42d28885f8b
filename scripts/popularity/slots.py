"""Time slots: from a Unix timestamp to its slot's number, and back to the slot's start.

A slot holds its beginning and not its end. It is named by its length, and, where it is on the clock of a
time zone, by that: ``day``, ``15min``, ``day America/New_York``.
"""

import functools

import numpy as np
import numpy.typing as npt

from popularity.settings.slots import DAY_SECONDS, SLOT_SECONDS
from popularity.zones import Zone

#: Every slot that the workflow knows.
SLOTS = (*SLOT_SECONDS, "month", "year")

#: What programs say of their option of a slot.
HELP = f"length of a slot: {', '.join(SLOTS)}; and, after a blank, the time zone of its clock"

#: Days from the Monday before 1970 to its first day, a Thursday.
_MONDAY = 3
#: A time (s, UTC; 1 January 2020) whose minutes all hours of a zone begin at.
_HOURS_OF = 1_577_836_800

Ints = npt.NDArray[np.integer]


class Slot(str):
    """A slot as readers know it (``day``, ``15-minute slot``), with what it is.

    Attributes
    ----------
    length
        Its length, of :data:`SLOTS`.
    zone
        The time zone of its clock; None for UTC.
    """

    length: str
    zone: Zone | None

    def __new__(cls, text: str) -> "Slot":
        """Read a slot's name.

        Raises
        ------
        ValueError
            If there is no such slot, or no such time zone on this machine.
        """
        length, _, zone = text.partition(" ")
        if length not in SLOTS:
            raise ValueError(f"{length!r} is no slot: {', '.join(SLOTS)}")
        slot = super().__new__(cls, length.replace("min", "-minute slot"))
        slot.length = length
        try:
            slot.zone = Zone(zone) if zone else None
        except (OSError, KeyError) as error:
            raise ValueError(str(error)) from error
        return slot


@functools.cache
def _named(text: str) -> Slot:
    return Slot(text)


def _parsed(slot: str) -> Slot:
    return slot if isinstance(slot, Slot) else _named(slot)


def length_of(slot: str) -> str:
    """Give the length in a slot's name."""
    return _parsed(slot).length


def zone_of(slot: str) -> str:
    """Give the time zone that a slot's beginnings are told in, UTC by default."""
    zone = _parsed(slot).zone
    return zone.name if zone else "UTC"


def slot_of(timestamps: npt.NDArray[np.int64], slot: str) -> npt.NDArray[np.int32]:
    """Find the numbers of the slots of Unix timestamps (s, UTC).

    Hours and minutes are numbered as they pass, ``floor(timestamp / length) + 1``, so that an hour that
    the clock shows twice is two slots; in a zone whose hours begin at other minutes than those of UTC
    (in 2020), they begin there. Days are those of the calendar, 1 January 1970 being 1, and so are
    weeks (from Monday), months and years: those that hold this day are 1.
    """
    parsed = _parsed(slot)
    length, zone = parsed.length, parsed.zone
    if length == "hour" or length.endswith("min"):
        seconds = SLOT_SECONDS[length]
        return ((timestamps + _shift(zone, seconds)) // seconds + 1).astype(np.int32)
    local = timestamps if zone is None else zone.local(timestamps)
    days = local // DAY_SECONDS
    if length in ("month", "year"):
        return _months_or_years(days, length)
    if length == "week":
        days = (days + _MONDAY) // 7
    return (days + 1).astype(np.int32)


#: Days since 1970 of which :func:`_calendar` knows the month and the year: of the years 1600 to 2299.
_KNOWN_DAYS = range(-135_140, 120_530)


@functools.cache
def _calendar(length: str) -> npt.NDArray[np.int32]:
    """Numbers of the months or years that the days of :data:`_KNOWN_DAYS` are in."""
    return _numbers(np.arange(_KNOWN_DAYS.start, _KNOWN_DAYS.stop), length)


def _numbers(days: Ints, length: str) -> npt.NDArray[np.int32]:
    unit = "datetime64[M]" if length == "month" else "datetime64[Y]"
    return np.asarray(days.astype("datetime64[D]").astype(unit).astype(np.int32) + np.int32(1))


def _months_or_years(days: Ints, length: str) -> npt.NDArray[np.int32]:
    """Numbers of the months or years that days since 1970 are in."""
    # A look-up takes a twentieth of the time that NumPy's calendar does.
    if len(days) and days.min() >= _KNOWN_DAYS.start and days.max() < _KNOWN_DAYS.stop:
        return _calendar(length).take(days - _KNOWN_DAYS.start)
    return _numbers(days, length)


def slot_start(numbers: Ints, slot: str) -> npt.NDArray[np.datetime64]:
    """Date and time, to the second, at which the slots of these numbers begin, on their zone's clock."""
    parsed = _parsed(slot)
    length, zone = parsed.length, parsed.zone
    before = numbers.astype(np.int64) - 1
    if length in ("month", "year"):
        return before.astype("datetime64[M]" if length == "month" else "datetime64[Y]").astype(
            "datetime64[s]"
        )
    if length == "week":
        return ((7 * before - _MONDAY) * DAY_SECONDS).astype("datetime64[s]")
    seconds = SLOT_SECONDS[length]
    if length == "day":
        return (before * seconds).astype("datetime64[s]")
    times = before * seconds - _shift(zone, seconds)
    return (times if zone is None else zone.local(times)).astype("datetime64[s]")


def clock_numbers(numbers: Ints, slot: str) -> npt.NDArray[np.int64]:
    """Give slots the numbers that the clock shows: in UTC they keep theirs.

    So slots of the same hour of the day are whole days apart, also when clocks change.
    """
    seconds = SLOT_SECONDS.get(length_of(slot), DAY_SECONDS)
    if seconds >= DAY_SECONDS:
        return numbers.astype(np.int64)
    return slot_start(numbers, slot).astype(np.int64) // seconds + 1


def local_times(timestamps: npt.NDArray[np.int64], slot: str) -> npt.NDArray[np.int64]:
    """Seconds from 1970 on the clock of a slot's zone."""
    zone = _parsed(slot).zone
    return timestamps if zone is None else zone.local(timestamps)


def _shift(zone: Zone | None, seconds: int) -> int:
    """Seconds by which slots of this length begin earlier than in UTC."""
    if zone is None:
        return 0
    time = np.array([_HOURS_OF])
    return int((zone.local(time) - time)[0]) % seconds
