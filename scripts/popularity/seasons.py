"""Seasons of the log, such as the hours of a day: what was requested at the same place of earlier ones."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from popularity.series import Ints, Series
from popularity.settings.slots import DAY_SECONDS, SLOT_SECONDS
from popularity.slots import length_of

Floats = npt.NDArray[np.float64]

#: How many times a log has to hold a season for the season to be used.
LEAST_SEASONS = 3


def covered_seasons(series: Series, seasons: Sequence[int]) -> list[int]:
    """Those of the seasons, in slots, that the log holds at least :data:`LEAST_SEASONS` times."""
    return [season for season in seasons if LEAST_SEASONS * season <= len(series.totals)]


def season_clock(series: Series, season: int) -> Callable[[Ints], npt.NDArray[np.int64]]:
    """Make what numbers slots so that those of one place of a season are whole seasons apart.

    Seasons of whole days follow the clock of the log's time zone, also when it changes: the hour that it
    shows twice is one place, the one that it leaves out is missing. Shorter ones follow the slots.
    """
    seconds = SLOT_SECONDS.get(length_of(series.slot_name), DAY_SECONDS)
    if season * seconds % DAY_SECONDS:
        return lambda slots: slots.astype(np.int64)
    return series.clock


class SeasonalSums:
    """Decayed requests of each movie at one place of a season, before any slot.

    A slot's place in a season of P slots is that of the slots P, 2P, … before it, on the clock
    (:func:`season_clock`). The sum of half-life H before slot t is the sum over k = 1, 2, … of
    ``0.5 ** ((k - 1) / H) * count(t - k P)``.

    Parameters
    ----------
    season
        Slots of a season.
    half_lives
        In seasons.
    """

    def __init__(self, series: Series, season: int, half_lives: Sequence[float]) -> None:
        self._season = season
        self._clock = season_clock(series, season)
        shown = self._clock(np.arange(series.first_slot, series.last_slot + 1))
        self._first = int(shown.min()) // season
        # From the season of the first slot to the one after that of the last.
        self._end = int(shown.max()) // season - self._first + 1
        self._decay = 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))
        # An hour that the clock shows twice is one element.
        keys = self._key(series.movie, self._clock(series.slot))
        self._keys, element = np.unique(keys, return_inverse=True)
        labels = np.bincount(element, series.label).astype(np.float64)
        self._sums = self._running_sums(labels, self._keys)
        places = shown - self._first * season
        totals = np.bincount(places, series.totals, self._end * season).reshape(self._end, season)
        # All movies' sums before each season and after the last, [seasons + 1, places, half-lives].
        self._totals = np.zeros((self._end + 1, season, len(self._decay)))
        for at, requests in enumerate(totals):
            self._totals[at + 1] = self._totals[at] * self._decay + requests[:, None]

    def _key(self, movies: Ints, shown: Ints) -> npt.NDArray[np.int64]:
        """Order by movie, place and season: a number for each; slots are numbered by the clock."""
        at = np.clip(shown // self._season - self._first, 0, self._end)
        keys: npt.NDArray[np.int64] = self._group(movies, shown) * (self._end + 1) + at
        return keys

    def _group(self, movies: Ints, shown: Ints) -> npt.NDArray[np.int64]:
        return movies.astype(np.int64) * self._season + shown % self._season

    def _running_sums(self, labels: Floats, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Compute the sums up to and with each element, in the order of the keys, [K, half-lives]."""
        group, at = np.divmod(keys, self._end + 1)
        gap = np.diff(at, prepend=0)
        first = np.diff(group, prepend=-1) != 0
        sums = np.repeat(labels[:, None].astype(np.float32), len(self._decay), axis=1)
        # Season by season, so that the element before is complete.
        by_season = np.argsort(at, kind="stable")
        for elements in np.split(by_season, np.searchsorted(at[by_season], np.arange(1, self._end))):
            later = elements[~first[elements]]
            sums[later] += sums[later - 1] * self._decay ** gap[later, None]
        return sums

    def __call__(self, movies: Ints, slots: Ints) -> Floats:
        """Compute the decayed requests of movies [n] before slots [n], float64 [n, half-lives]."""
        shown = self._clock(slots)
        last = np.searchsorted(self._keys, self._key(movies, shown)) - 1
        group, at = np.divmod(self._keys[last], self._end + 1)
        found = (last >= 0) & (group == self._group(movies, shown))
        back = np.where(found, shown // self._season - self._first - 1 - at, 0)
        return np.where(found[:, None], self._sums[last] * self._decay ** back[:, None], 0.0)

    def totals(self, slots: Ints) -> Floats:
        """Compute the sums of all movies before slots [n], float64 [n, half-lives]."""
        shown = self._clock(slots)
        at = shown // self._season - self._first
        inside = np.clip(at, 0, self._end)
        sums: Floats = self._totals[inside, shown % self._season]
        return sums * self._decay ** (np.maximum(at, inside) - inside)[:, None]
