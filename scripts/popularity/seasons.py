"""Seasons of the log, such as the hours of a day: what was requested at the same place of earlier ones."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from popularity.decay import Decay
from popularity.series import Ints, Series, distinct, stable_order
from popularity.settings.slots import DAY_SECONDS, SLOT_SECONDS
from popularity.slots import length_of

Floats = npt.NDArray[np.float64]

#: How many times a log has to hold a season for the season to be used.
LEAST_SEASONS = 3
#: Up to so many places of a season and movies it is remembered where each movie's requests were last
#: looked up, and used up to so many seasons later; otherwise they are searched for.
MOST_PLACES = 1 << 25
MOST_SEASONS = 8


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
        self._decay = Decay(half_lives, self._end)
        self._movies = len(series.movie_ids)
        keys, labels = self._ordered(series)
        self._sums = self._running_sums(keys, labels)
        # With one that is after all others.
        self._keys = np.append(keys, np.iinfo(np.int64).max)
        self._last_places: dict[int, tuple[int, Ints]] = {}
        places = shown - self._first * season
        totals = np.bincount(places, series.totals, self._end * season).reshape(self._end, season)
        # All movies' sums before each season and after the last, [seasons + 1, places, half-lives].
        self._totals = np.zeros((self._end + 1, season, len(half_lives)))
        for at, requests in enumerate(totals):
            self._totals[at + 1] = self._totals[at] * self._decay.factors + requests[:, None]

    def _ordered(self, series: Series) -> tuple[npt.NDArray[np.int64], Floats]:
        """List the keys of the elements, in order, and their requests."""
        shown = self._clock(series.slot)
        # Each movie's elements are in the order of time already.
        by_place = stable_order(shown % self._season)
        keys = self._key(series.movie, shown)[by_place]
        # An hour that the clock shows twice is one element.
        new = np.diff(keys, prepend=-1) != 0
        labels = np.add.reduceat(series.label[by_place].astype(np.float64), np.flatnonzero(new))
        return keys[new], labels

    def _key(self, movies: Ints, shown: Ints) -> npt.NDArray[np.int64]:
        """Order by place, movie and season: a number for each; slots are numbered by the clock."""
        at = np.clip(shown // self._season - self._first, 0, self._end)
        keys: npt.NDArray[np.int64] = self._group(movies, shown) * (self._end + 1) + at
        return keys

    def _group(self, movies: Ints, shown: Ints) -> npt.NDArray[np.int64]:
        return movies.astype(np.int64) + shown % self._season * self._movies

    def _running_sums(self, keys: npt.NDArray[np.int64], labels: Floats) -> npt.NDArray[np.float32]:
        """Compute the sums up to and with each element, in the order of the keys, [K, half-lives]."""
        group, at = np.divmod(keys, self._end + 1)
        gap = np.diff(at, prepend=0)
        first = np.diff(group, prepend=-1) != 0
        sums = np.repeat(labels[:, None].astype(np.float32), len(self._decay.factors), axis=1)
        # Season by season, so that the element before is complete.
        by_season = stable_order(at)
        for elements in np.split(by_season, np.cumsum(np.bincount(at, minlength=self._end))[:-1]):
            later = elements[~first[elements]]
            sums[later] += sums[later - 1] * self._decay(gap[later])
        return sums

    def __call__(self, movies: Ints, slots: Ints) -> Floats:
        """Compute the decayed requests of movies [n] before slots [n], float64 [n, half-lives]."""
        shown = self._clock(distinct(slots))
        last = self._places(movies, shown) - 1
        group, at = np.divmod(self._keys[last], self._end + 1)
        found = (last >= 0) & (group == self._group(movies, shown))
        back = np.where(found, shown // self._season - self._first - 1 - at, 0)
        return np.where(found[:, None], self._sums[last] * self._decay(back), 0.0)

    def _places(self, movies: Ints, shown: Ints) -> Ints:
        """Find where the keys of movies [n] and slots, [n] or [1], would be."""
        if len(shown) == 1 and self._season * self._movies <= MOST_PLACES:
            return self._places_of_all(int(shown[0]))[movies]
        return np.searchsorted(self._keys, self._key(movies, shown))

    def _places_of_all(self, shown: int) -> Ints:
        """Update those of all movies from the last call for the same place of the season.

        Forecasts go from slot to slot, and few seasons lie between two calls.
        """
        keys = self._key(np.arange(self._movies), np.array([shown]))
        season, place = divmod(shown, self._season)
        last, places = self._last_places.get(place, (season + 1, None))
        if places is None or not last <= season <= last + MOST_SEASONS:
            places = np.searchsorted(self._keys, keys)
        else:
            for _ in range(season - last):
                places = places + (self._keys[places] < keys)
        # Replaced as one and never changed, so that threads may share it.
        self._last_places[place] = season, places.astype(np.int32)
        return places

    def totals(self, slots: Ints) -> Floats:
        """Compute the sums of all movies before slots [n], float64 [n, half-lives]."""
        shown = self._clock(slots)
        at = shown // self._season - self._first
        inside = np.clip(at, 0, self._end)
        sums: Floats = self._totals[inside, shown % self._season]
        return sums * self._decay(np.maximum(at, inside) - inside)
