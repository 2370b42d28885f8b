"""How a log writes its times: found from its first rows, and read as seconds since 1970 (UTC)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity.log.pieces import Wanted, parse_texts
from popularity.tables import numbers
from popularity.zones import Zone

Ints = npt.NDArray[np.int64]

#: The first second (UTC) of the year 1700, from which on a time may be, and of 2200, before which it must.
EARLIEST, TOO_LATE = -8_520_336_000, 7_258_118_400

#: Units of a number since 1970, by their names in ``time_format``: how many make a second.
UNITS = {
    "seconds": 1,
    "milliseconds": 10**3,
    "microseconds": 10**6,
    "nanoseconds": 10**9,
}

#: Below this a number is taken for seconds, a thousand times it for milliseconds, and so on.
_LARGEST_SECONDS = 10**11

#: Numbers, and numbers with a decimal comma.
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")

_NUMBER = re.compile(rf"\s*{NUMBER}\s*")
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:[0-9]{2}(:[0-9]{2}(?P<fraction>\.[0-9]{1,9})?)?)?"
    r"(?P<zone>Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)
_FRACTION = r"(:[0-9]{2})\.[0-9]+"

_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d.%m.%Y", "%Y.%m.%d", "%d-%m-%Y", "%m-%d-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M", "T%H:%M:%S")
#: Dates written as digits alone, by how many there are.
_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
#: Other ways to write a time, which are tried.
_PATTERNS = (
    *map("".join, product(_DATES, _CLOCKS)),
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S GMT",
)
#: Times that are tried one by one where no way fits all.
_FEW = 50


class TimeError(ValueError):
    """Times that cannot be told."""


@dataclass(frozen=True)
class TimeFormat:
    """A way to write times.

    Attributes
    ----------
    name
        What it is, for the log and the report.
    type, patterns
        What texts are read as: see :class:`pieces.Wanted`.
    per_second
        Of a number, how many make a second.
    least
        The least absolute number: what is below is of another unit.
    zoned
        Whether a time says of itself what it is in UTC.
    fraction
        Whether fractions of a second are cut off the text first, as strptime knows none.
    """

    name: str
    type: pa.DataType
    patterns: tuple[str, ...] = ()
    per_second: int = 1
    least: int = 0
    zoned: bool = True
    fraction: bool = False

    def seconds(self, times: pa.Array, zone: Zone | None) -> Ints:
        """Seconds since 1970 (UTC) of times as they are in the file, rounded down.

        A time without a zone of its own is one on the clock of ``zone`` (default: UTC).

        Raises
        ------
        pyarrow.ArrowInvalid
            If one is missing, or none.
        """
        if pa.types.is_dictionary(times.type):
            times = times.cast(times.type.value_type)
        if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
            times = self.parsed(times)
        if times.null_count:
            raise pa.ArrowInvalid("a time is missing")
        if pa.types.is_timestamp(times.type):
            per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[times.type.unit]
            zoned = times.type.tz is not None or self.patterns_zoned
            seconds = _floor(numbers(times.cast(pa.int64())), per_second)
        elif pa.types.is_date(times.type):
            zoned, seconds = False, numbers(times.cast(pa.timestamp("s")).cast(pa.int64()))
        elif pa.types.is_integer(times.type) or pa.types.is_floating(times.type):
            if self.patterns:
                # Dates as numbers: 20150101.
                return self.seconds(times.cast(pa.int64()).cast(pa.string()), zone)
            zoned, values = True, numbers(times)
            if self.least and len(values) and np.abs(values).min() < self.least:
                raise pa.ArrowInvalid("a time is of another unit")
            seconds = _floor(values, self.per_second)
        else:
            raise pa.ArrowInvalid(f"a {times.type} is no time")
        if len(seconds) and not (seconds.min() >= EARLIEST and seconds.max() < TOO_LATE):
            raise pa.ArrowInvalid("a time is out of its range")
        return seconds if zoned or zone is None else zone.utc(seconds)

    @property
    def patterns_zoned(self) -> bool:
        """Whether its pattern names UTC by a word."""
        return any(pattern.endswith(("UTC", "GMT")) for pattern in self.patterns)

    def parsed(self, texts: pa.Array) -> pa.Array:
        """Read texts."""
        if self.fraction:
            cut = [re.sub(_FRACTION, r"\1", text or "", count=1) for text in texts.to_pylist()]
            texts = pa.array(cut, pa.string())
        return parse_texts(texts, Wanted(0, self.type, self.patterns))


def _floor(values: npt.NDArray[Any], per_second: int) -> Ints:
    if values.dtype.kind == "f":
        values = values / per_second
        if len(values) and not (np.abs(values).max() < 2.0**62):
            raise pa.ArrowInvalid("a time is no finite number")
        return np.floor(values).astype(np.int64)
    whole = values.astype(np.int64)
    return whole if per_second == 1 else whole // per_second


def typed(kind: pa.DataType) -> TimeFormat | None:
    """Give the format of times that a file has as a type of its own; None if they are texts or numbers."""
    if pa.types.is_timestamp(kind):
        return TimeFormat(
            f"timestamps {'with' if kind.tz else 'without'} a zone", kind, zoned=bool(kind.tz)
        )
    if pa.types.is_date(kind):
        return TimeFormat("dates", kind, zoned=False)
    return None


def numbered(unit: str, *, fraction: bool = False, strict: bool = False) -> TimeFormat:
    """Numbers since 1970 in a unit of :data:`UNITS`; ``strict`` refuses those that look like another's."""
    per_second = UNITS[unit]
    least = _LARGEST_SECONDS * per_second // 1000 if strict and per_second > 1 else 0
    whole = "" if fraction else "whole "
    kind = pa.float64() if fraction else pa.int64()
    return TimeFormat(f"{whole}{unit} since 1970 (UTC)", kind, per_second=per_second, least=least)


def patterned(pattern: str) -> TimeFormat:
    """Give times as strptime has them; ``.%f`` is a fraction of a second, which is passed over."""
    name, fraction = f"{pattern!r}", ".%f" in pattern
    plain = pattern.replace(".%f", "", 1)
    if "%" not in plain or "%f" in plain:
        raise TimeError(
            f"`time_format` is {pattern!r}: it must be {', '.join(UNITS)}, or a pattern of strptime such as"
            ' "%d/%m/%Y %H:%M" (%f only after %S.)'
        )
    zoned = "%z" in plain
    kind = pa.timestamp("s", "UTC" if zoned else None)
    return TimeFormat(
        name, kind, (plain,), zoned=zoned or plain.endswith(("UTC", "GMT")), fraction=fraction
    )


def of_settings(text: str) -> TimeFormat:
    """Give the format that ``time_format`` names: a unit, or a pattern.

    Raises
    ------
    TimeError
        If it is neither.
    """
    return numbered(text) if text in UNITS else patterned(text)


def found(texts: Sequence[str]) -> TimeFormat:
    """Find how a log writes its times from those of its first rows.

    It is the way in which most of them can be read, and at least half. Digits that can be read as
    dates (20150101) are dates: as seconds they would all lie in August 1970.

    Raises
    ------
    TimeError
        If there is none, or if there are two.
    """
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise TimeError("no row of the first ones has a time")
    sample = pa.array(texts, pa.string())
    stripped = [text.strip() for text in texts]
    digits = [text for text in stripped if _NUMBER.fullmatch(text)]
    if 2 * len(digits) >= len(texts):
        return _of_numbers(digits, fraction=not all(map(_WHOLE.fullmatch, digits)))
    isos = [match for match in map(_ISO.fullmatch, texts) if match]
    if 2 * len(isos) >= len(texts):
        return _of_iso(isos)
    ways = [patterned(pattern) for pattern in _PATTERNS]
    if any(re.search(_FRACTION, text) for text in texts):
        ways = [patterned(pattern.replace("%S", "%S.%f")) for pattern in _PATTERNS if "%S" in pattern]
    fits = {way: _readable(way, sample) for way in ways}
    most = max(fits.values())
    if most < len(texts):
        fits = {way: sum(_readable(way, sample[at : at + 1]) for at in range(_FEW)) for way in ways}
        most, texts = max(fits.values()), texts[:_FEW]
    best = [way for way, count in fits.items() if count == most]
    if 2 * most < len(texts):
        if DECIMAL_COMMA.fullmatch(stripped[0]):
            raise TimeError(f"{stripped[0]!r:.60} has a decimal comma: write a decimal point")
        raise TimeError(
            f"{stripped[0]!r:.60} is no time that is known: say how it is written as `time_format:`,"
            ' such as "%d/%m/%Y %H:%M"'
        )
    if len(best) > 1:
        raise TimeError(
            f"{stripped[0]!r:.60} can be read in two ways: set `time_format: {best[0].name}` or"
            f" `time_format: {best[1].name}`"
        )
    return best[0]


def _readable(way: TimeFormat, sample: pa.Array) -> int:
    """How many texts there are, if all can be read so; otherwise 0."""
    try:
        return len(way.seconds(sample, None))
    except pa.ArrowInvalid:
        return 0


def _of_numbers(texts: Sequence[str], *, fraction: bool) -> TimeFormat:
    lengths = {len(text) for text in texts}
    if not fraction and len(lengths) == 1 and (pattern := _DIGITS.get(lengths.pop())):
        dates = patterned(pattern)
        try:
            times = dates.seconds(pa.array(texts, pa.string()), None)
            if len(times) and _year(times.min()) >= 1900:
                return dates
        except pa.ArrowInvalid:
            pass
    middle = float(np.median(np.abs(np.array(texts, np.float64))))
    for unit, per_second in UNITS.items():
        if middle < _LARGEST_SECONDS * per_second or unit == "nanoseconds":
            return numbered(unit, fraction=fraction, strict=True)
    raise AssertionError


def _year(time: np.int64) -> int:
    return int(time.astype("datetime64[s]").astype("datetime64[Y]").astype(int)) + 1970


def _of_iso(matches: Sequence[re.Match[str]]) -> TimeFormat:
    zoned = 2 * sum(bool(match["zone"]) for match in matches) > len(matches)
    digits = max(len(match["fraction"] or "") - 1 for match in matches)
    unit = "s" if digits <= 0 else "us" if digits <= 6 else "ns"
    dates = all(len(match[0]) == 10 for match in matches)
    name = "dates as in 2024-12-31" if dates else "ISO 8601" + (" with a zone" if zoned else "")
    return TimeFormat(name, pa.timestamp(unit, "UTC" if zoned else None), zoned=zoned)


def described(format: TimeFormat, zone: Zone | None) -> str:
    """Say what the times were taken for."""
    if format.zoned:
        return format.name
    return f"{format.name}, on the clock of {zone.name if zone else 'UTC'}"
