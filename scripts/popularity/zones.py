"""Time zones: from seconds since 1970 (UTC) to local time, and back."""

import functools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from popularity.settings.slots import DAY_SECONDS

Ints = npt.NDArray[np.int64]


class Zone:
    """A time zone by its IANA name, such as ``America/New_York``.

    Raises
    ------
    zoneinfo.ZoneInfoNotFoundError, ValueError
        If there is no such zone on this machine.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._zone = ZoneInfo(name)
        self._changes = functools.lru_cache(maxsize=8)(self._find_changes)

    def local(self, times: Ints) -> Ints:
        """Local times, as seconds from 1970 on the zone's clock, of times (s, UTC)."""
        if not len(times):
            return times
        begins, offsets = self._changes(*_years(times))
        at = np.searchsorted(begins, times, side="right") - 1
        return np.asarray(times + offsets[at])

    def utc(self, local: Ints) -> Ints:
        """Find the times (s, UTC) of local ones; an hour that the clock shows twice is its first.

        An hour that the clock leaves out is taken for the moment at which it does.
        """
        if not len(local):
            return local
        begins, offsets = self._changes(*_years(local))
        # A span of one offset ends, on its own clock, where the next begins.
        at = np.searchsorted(begins[1:] + offsets[:-1], local, side="right")
        first = begins.copy()
        first[0] = np.iinfo(np.int64).min
        return np.asarray(np.maximum(local - offsets[at], first[at]))

    def _find_changes(self, first: int, last: int) -> tuple[Ints, Ints]:
        """Beginnings (s, UTC) of spans of one offset (s) within some years, and these offsets."""
        end = _new_year(last + 1)
        begins = [_new_year(first)]
        offsets = [self._offset(begins[0])]
        for day in range(begins[0] + DAY_SECONDS, end + DAY_SECONDS, DAY_SECONDS):
            if (offset := self._offset(day)) != offsets[-1]:
                low, high = day - DAY_SECONDS, day
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (low, middle) if self._offset(middle) == offset else (middle, high)
                begins.append(high)
                offsets.append(offset)
        return np.array(begins, np.int64), np.array(offsets, np.int64)

    def _offset(self, time: int) -> int:
        offset = datetime.fromtimestamp(time, self._zone).utcoffset()
        return round(offset.total_seconds()) if offset else 0


def _new_year(year: int) -> int:
    return round(datetime(year, 1, 1, tzinfo=UTC).timestamp())


def _years(times: Ints) -> tuple[int, int]:
    """Give the years of the first and the last time, and one more at each end, as zones differ."""
    least, most = np.array([times.min(), times.max()]).astype("datetime64[s]").astype("datetime64[Y]")
    return int(least.astype(int)) + 1969, int(most.astype(int)) + 1971
