"""Seasons of the log, such as the hours of a day: what was requested at the same place of earlier ones."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from popularity.series import Ints, Series

Floats = npt.NDArray[np.float64]

#: How many times a log has to hold a season for the season to be used.
LEAST_SEASONS = 3


def covered_seasons(series: Series, seasons: Sequence[int]) -> list[int]:
    """Those of the seasons, in slots, that the log holds at least :data:`LEAST_SEASONS` times."""
    return [season for season in seasons if LEAST_SEASONS * season <= len(series.totals)]


class SeasonalSums:
    """Decayed requests of each movie at one place of a season, before any slot.

    A slot's place in a season of P slots is that of the slots P, 2P, … before it. The sum of half-life H
    before slot t is the sum over k = 1, 2, … of ``0.5 ** ((k - 1) / H) * count(t - k P)``.

    Parameters
    ----------
    season
        Slots of a season.
    half_lives
        In seasons.
    """

    def __init__(self, series: Series, season: int, half_lives: Sequence[float]) -> None:
        self._season = season
        self._first = series.first_slot // season
        # From the season of the first slot to the one after that of the last.
        self._end = series.last_slot // season - self._first + 1
        self._decay = 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))
        keys = self._key(series.movie, series.slot)
        order = np.argsort(keys)
        self._keys = keys[order]
        self._sums = self._running_sums(series.label[order], keys[order])
        slots = np.arange(self._first * season, (self._first + self._end) * season)
        totals = series.requests(slots).reshape(self._end, season)
        # All movies' sums before each season and after the last, [seasons + 1, places, half-lives].
        self._totals = np.zeros((self._end + 1, season, len(self._decay)))
        for at, requests in enumerate(totals):
            self._totals[at + 1] = self._totals[at] * self._decay + requests[:, None]

    def _key(self, movies: Ints, slots: Ints) -> npt.NDArray[np.int64]:
        """Order by movie, place and season: a number for each."""
        at = np.clip(slots // self._season - self._first, 0, self._end)
        keys: npt.NDArray[np.int64] = self._group(movies, slots) * (self._end + 1) + at
        return keys

    def _group(self, movies: Ints, slots: Ints) -> npt.NDArray[np.int64]:
        return movies.astype(np.int64) * self._season + slots % self._season

    def _running_sums(self, labels: Ints, keys: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
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
        last = np.searchsorted(self._keys, self._key(movies, slots)) - 1
        group, at = np.divmod(self._keys[last], self._end + 1)
        found = (last >= 0) & (group == self._group(movies, slots))
        back = np.where(found, slots // self._season - self._first - 1 - at, 0)
        return np.where(found[:, None], self._sums[last] * self._decay ** back[:, None], 0.0)

    def totals(self, slots: Ints) -> Floats:
        """Compute the sums of all movies before slots [n], float64 [n, half-lives]."""
        at = slots // self._season - self._first
        inside = np.clip(at, 0, self._end)
        sums: Floats = self._totals[inside, slots % self._season]
        return sums * self._decay ** (np.maximum(at, inside) - inside)[:, None]
