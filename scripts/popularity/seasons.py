"""Seasons of the log, such as the hours of a day: what was requested at the same place of earlier ones."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from popularity.decay import Decay
from popularity.series import MANY, Ints, Series, distinct, grouped
from popularity.settings.slots import DAY_SECONDS, SLOT_SECONDS
from popularity.slots import length_of
from popularity.states import Replay

Floats = npt.NDArray[np.float64]
#: Sums of requests, which float32 holds well enough.
Sums = npt.NDArray[np.float32]

#: How many times a log has to hold a season for the season to be used.
LEAST_SEASONS = 3
#: Up to so many places of a season and movies the sums of all are carried from season to season.
MOST_PLACES = 1 << 22
#: Of so many elements of a chain the sums after one are kept.
EVERY = 8
#: Up to so many it is remembered where their requests are, which otherwise are searched for.
MOST_CHAINS = 1 << 25


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
        In seasons; each once.
    """

    def __init__(self, series: Series, season: int, half_lives: Sequence[float]) -> None:
        self._series = series
        self._season = season
        self._half_lives = list(dict.fromkeys(half_lives))
        self._clock = season_clock(series, season)
        self._slots = _SlotsShown(series, season, self._clock)
        self._first = self._slots.first
        # From the season of the first slot to the one after that of the last.
        self._end = int(self._slots.seasons.max()) + 1
        self._decay = Decay(self._half_lives, self._end)
        self._movies = len(series.movie_ids)
        self._carried: dict[int, tuple[int, Sums, Ints]] = {}
        self._last: tuple[Ints, Ints, Floats] | None = None
        places = self._slots.seasons * season + self._slots.places
        requests = np.bincount(places, series.totals, self._end * season).reshape(self._end, season, 1)
        # All movies' sums before each season and after the last, [seasons + 1, places, half-lives].
        totals = np.zeros((self._end + 1, season, len(self._half_lives)))
        for at, added in enumerate(requests):
            totals[at + 1] = totals[at] * self._decay.factors + added
        self._totals = totals.reshape(-1, len(self._half_lives))

    def columns(self, half_lives: Sequence[float]) -> list[int]:
        """Find the columns of these half-lives."""
        return [self._half_lives.index(half_life) for half_life in half_lives]

    def __call__(self, movies: Ints, slots: Ints) -> Floats:
        """Compute the decayed requests of movies [n] before slots [n], float64 [n, half-lives].

        The last arrays that were given are remembered.
        """
        known = self._last
        if known is not None and known[0] is movies and known[1] is slots:
            return known[2]
        shown = self._clock(distinct(slots))
        if len(shown) == 1 and len(movies) > MANY:
            sums, at = (of_all.take(movies, axis=0) for of_all in self._sums_of_all(int(shown[0])))
        else:
            begins, ends = self._chains.before(movies, shown)
            sums, at = self._chains.sums(begins, ends), self._chains.seasons(begins, ends)
        decayed: Floats = sums * self._decay(np.maximum(shown // self._season - self._first - 1 - at, 0))
        # Replaced as one and never changed, so that threads may share it.
        self._last = movies, slots, decayed
        return decayed

    def _sums_of_all(self, shown: int) -> tuple[Sums, Ints]:
        """Compute the sums of all movies up to and with their latest season, and that season.

        Forecasts go from slot to slot: where a season has few places, the sums of each are carried from
        season to season; otherwise they are made anew of the seasons, which then are few.

        Returns
        -------
        float32 [M, half-lives] and int32 [M], 0 for movies without a request at that place.
        """
        season, place = divmod(shown - self._first * self._season, self._season)
        last, sums, at = self._carried.get(place, (season + 1, None, None))
        if sums is None or at is None or season < last:
            last, sums = 0, np.zeros((self._movies, len(self._decay.factors)), np.float32)
            at = np.zeros(self._movies, np.int32)
        elif season > last:
            sums, at = sums.copy(), at.copy()
        for earlier in range(last, min(season, self._end)):
            movies, labels = self._requests_in((self._first + earlier) * self._season + place)
            sums[movies] = labels[:, None] + sums.take(movies, axis=0) * self._decay(earlier - at[movies])
            at[movies] = earlier
        if self._season * self._movies <= MOST_PLACES:
            # Replaced as one and never changed, so that threads may share it.
            self._carried[place] = max(season, last), sums, at
        return sums, at

    def _requests_in(self, shown: int) -> tuple[Ints, Floats]:
        """List the movies requested in what the clock shows as one slot, and their requests."""
        slots = self._slots.showing(shown)
        parts = [self._series.elements_in(range(slot, slot + 1)) for slot in slots.tolist()]
        elements = np.concatenate([*parts, np.zeros(0, np.int32)])
        movies, labels = self._series.movie[elements], self._series.label[elements].astype(np.float64)
        if len(parts) > 1:
            # An hour that the clock shows twice.
            movies, places = np.unique(movies, return_inverse=True)
            labels = np.bincount(places, labels)
        return movies, labels

    @functools.cached_property
    def _chains(self) -> "_Chains":
        return _Chains(self._series, self._season, self._slots, self._decay)

    def totals(self, slots: Ints) -> Floats:
        """Compute the sums of all movies before slots [n], float64 [n, half-lives]."""
        shown = self._clock(slots)
        at = shown // self._season - self._first
        inside = np.clip(at, 0, self._end)
        sums: Floats = self._totals.take(inside * self._season + shown % self._season, axis=0)
        return sums * self._decay(np.maximum(at, inside) - inside)


class _SlotsShown:
    """The log's slots as the clock shows them.

    Attributes
    ----------
    first
        Number of the log's first season.
    seasons, places
        int64 [slots of the log] season of each, from 0, and place in it.
    """

    def __init__(self, series: Series, season: int, clock: Callable[[Ints], Ints]) -> None:
        shown = clock(np.arange(series.first_slot, series.last_slot + 1))
        self.first = int(shown.min()) // season
        self.seasons, self.places = np.divmod(shown - self.first * season, season)
        order = np.argsort(shown, kind="stable")
        self._shown = shown[order]
        self._slots = order + series.first_slot

    def showing(self, shown: int) -> Ints:
        """List the slots that the clock shows as this: none, one or two."""
        first, end = np.searchsorted(self._shown, [shown, shown + 1])
        return self._slots[first:end]


class _Chains:
    """The elements of each movie at each place of a season, and their decayed sums.

    A chain is a range of positions in an order by place, movie and slot.

    Attributes
    ----------
    sums
        Makes the sums of chains [n], float32 [n, half-lives].
    """

    def __init__(self, series: Series, season: int, slots: _SlotsShown, decay: Decay) -> None:
        self._series = series
        self._season = season
        self._decay = decay
        self._first = slots.first
        self._starts, self._order = grouped(
            len(series.slot), season, lambda some: slots.places[series.slot[some] - series.first_slot]
        )
        # Season of each position.
        seasons = slots.seasons.astype(np.min_scalar_type(-1 - int(slots.seasons.max())))
        self._seasons = seasons[series.slot - series.first_slot][self._order]
        self._bounds = self._bounds_of_all()
        self.sums = Replay(len(self._order), self._begins, self._none, self._added, EVERY)

    def _bounds_of_all(self) -> Ints | None:
        """Find where each chain begins, and the end of the last, by place and movie; None for too many."""
        movies = len(self._series.movie_ids)
        if movies * self._season > MOST_CHAINS:
            return None
        counts: Ints = np.zeros(
            movies * self._season + 1, np.int32 if len(self._order) < 1 << 31 else np.int64
        )
        for place in range(self._season):
            movie = self._series.movie[self._order[self._starts[place] : self._starts[place + 1]]]
            counts[1 + place * movies : 1 + (place + 1) * movies] = np.bincount(movie, minlength=movies)
        np.cumsum(counts, out=counts)
        return counts

    def _of(self, movies: Ints, places: Ints) -> tuple[Ints, Ints]:
        """Find the chains of movies [n] at places [n]: where they begin and end."""
        if self._bounds is not None:
            at = places * np.int64(len(self._series.movie_ids)) + movies
            return self._bounds[at].astype(np.int64), self._bounds[at + 1].astype(np.int64)
        first, end = self._starts[places], self._starts[places + 1]
        begins = self._search(first, end, lambda at: self._series.movie[self._order[at]] < movies)
        return begins, self._search(first, end, lambda at: self._series.movie[self._order[at]] <= movies)

    def _search(self, begins: Ints, ends: Ints, earlier: Callable[[Ints], npt.NDArray[np.bool_]]) -> Ints:
        """Find the first positions from ``begins`` to ``ends`` [n] that are not ``earlier``."""
        found, longest = begins, int((ends - begins).max(initial=0))
        for stride in (1 << at for at in reversed(range(longest.bit_length()))):
            further = found + stride
            at = np.minimum(further, ends) - 1
            found = np.where((further <= ends) & earlier(at), further, found)
        return found

    def before(self, movies: Ints, shown: Ints) -> tuple[Ints, Ints]:
        """Find the chains of movies [n] at the places of slots, [n] or [1] as the clock shows them.

        Returns
        -------
        int [n] where they begin, and where their elements of earlier seasons end.
        """
        shown = np.broadcast_to(shown, len(movies))
        begins, ends = self._of(movies, shown % self._season)
        season = shown // self._season - self._first
        return begins, self._search(begins, ends, lambda at: self._seasons[at] < season)

    def seasons(self, begins: Ints, ends: Ints) -> Ints:
        """Give the season of the last elements of chains before ``ends``, 0 where there is none."""
        found: Ints = np.where(ends > begins, self._seasons[ends - 1], 0)
        return found

    def _begins(self, at: Ints) -> Ints:
        movies = self._series.movie[self._order[at]]
        return self._of(movies, np.searchsorted(self._starts, at, side="right") - 1)[0]

    def _none(self, begins: Ints) -> Sums:
        return np.zeros((len(begins), len(self._decay.factors)), np.float32)

    def _added(self, sums: Sums, at: Ints) -> Sums:
        # Before a chain's first element its sums are 0, whatever the gap.
        gaps = np.maximum(self._seasons[at] - self._seasons[at - 1], 0)
        added = self._series.label[self._order[at], None] + sums * self._decay(gaps)
        return added.astype(np.float32)
