"""Averages of what was requested before a slot, exponentially weighted."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from popularity.decay import Decay
from popularity.offsets import Component, families
from popularity.seasons import SeasonalSums
from popularity.series import Ints, Series, distinct
from popularity.states import States, Values

Floats = npt.NDArray[np.float64]

#: Requests for which a movie's share of all earlier requests counts in an average over one place of a
#: season, which may have few (Dirichlet smoothing: Zhai and Lafferty 2001, "A study of smoothing methods
#: for language models applied to ad hoc information retrieval").
SEASON_SMOOTHING = 1.0

#: Share of an average that is spread evenly over the candidates, so that none is held impossible: a part
#: of the forecast, unlike the ``SMOOTHING_SHARE`` that the scores give every forecast.
UNIFORM_SHARE = 0.02


def requested_with_decayed_sums(
    series: Series, of: str, half_lives: Sequence[float]
) -> Iterator[tuple[int, Ints, Floats, Ints]]:
    """Walk the slots that have requests, keeping a decayed sum of each movie's ``counts`` or ``shares``.

    Parameters
    ----------
    half_lives
        In slots: a value counts half as much after so many.

    Yields
    ------
    A slot, its elements, and for each of their movies the sums over the slots s before this one of
    ``0.5 ** ((l - s) / H) * value(s)``, [elements, half-lives], as of its latest slot l, [elements].
    """
    decay = Decay(half_lives, len(series.totals))
    current = np.zeros((len(series.movie_ids), len(half_lives)))
    latest = np.full(len(series.movie_ids), series.first_slot)
    for elements in series.elements_by_slot():
        movies, slot = series.movie[elements], int(series.slot[elements[0]])
        sums, since = current.take(movies, axis=0), latest[movies]
        yield slot, elements, sums, since
        values = series.label[elements] if of == "counts" else series.shares_of(elements)
        current[movies] = sums * decay(slot - since) + values[:, None]
        latest[movies] = slot


def decayed_totals(
    values: npt.NDArray[np.integer | np.floating], slots: Ints, half_lives: Sequence[float]
) -> Floats:
    """Compute the decayed sums of the values up to and with each of the (rising) slots, [n, half-lives]."""
    decay = Decay(half_lives, 1).factors
    totals = np.zeros((len(slots), len(decay)))
    current = np.zeros(len(decay))
    gaps = np.diff(slots, prepend=slots[:1])
    for at, value in enumerate(values):
        current = current * decay ** gaps[at] + value
        totals[at] = current
    return totals


#: What sums are of: requests, shares of a slot's requests, rated requests, and their ratings.
VALUES = ("counts", "shares", "rated", "ratings")


class DecayedSums:
    """Decayed sums of what each movie's slots before any slot hold, for all that reads them.

    The sum of half-life H before slot t is the sum over slots s < t of ``0.5 ** ((l - s) / H) * value(s)``,
    as of the latest slot l < t with requests: after a long silence all sums would vanish.

    Parameters
    ----------
    wanted
        Pairs of a value (:data:`VALUES`) and a half-life in slots, infinity for plain sums.
    """

    def __init__(self, series: Series, wanted: Sequence[tuple[str, float]]) -> None:
        self.series = series
        self.requested = series.requested_slots(range(series.first_slot, series.last_slot + 1))
        # By value, so that the columns of each lie side by side.
        self._columns = sorted(dict.fromkeys(wanted), key=lambda one: VALUES.index(one[0]))
        names = [of for of, _ in self._columns]
        self._columns_of = {of: slice(names.index(of), names.index(of) + names.count(of)) for of in names}
        self._decay = Decay([half_life for _, half_life in self._columns], len(series.totals))
        log = np.arange(series.first_slot, series.last_slot + 2)
        self._latest: Ints = np.searchsorted(self.requested, log) - 1
        # Sums of each movie up to and with its latest request.
        none = np.zeros((len(series.movie_ids), len(self._columns)))
        self._states = States(series, none, self._added)
        self._last: tuple[Ints, Ints, Floats] | None = None

    def columns(self, wanted: Iterable[tuple[str, float]]) -> list[int]:
        """Find the columns of pairs of a value and a half-life."""
        return [self._columns.index(one) for one in wanted]

    def latest(self, slots: Ints) -> Ints:
        """Find the places in ``requested`` of the latest slots before slots [n]."""
        places: Ints = self._latest[np.clip(slots - self.series.first_slot, 0, len(self._latest) - 1)]
        return places

    def __call__(self, movies: Ints, slots: Ints) -> Floats:
        """Compute the sums of movies [n] before slots [n], float64 [n, columns].

        Each movie has to be a candidate of its slot. The last arrays that were given are remembered.
        """
        known = self._last
        if known is not None and known[0] is movies and known[1] is slots:
            return known[2]
        as_of = self.requested[self.latest(distinct(slots))]
        gaps = as_of - self.series.latest_slots(movies, slots)
        sums: Floats = self._states(movies, slots) * self._decay(gaps)
        # Replaced as one and never changed, so that threads may share it.
        self._last = movies, slots, sums
        return sums

    def _added(self, sums: Values, elements: Ints) -> Values:
        """Add elements [n] to their movies' sums [n, columns], which are as of the elements before."""
        series = self.series
        # Before a movie's first element its sums are 0, whatever the gap.
        gaps = np.maximum(series.slot[elements] - series.slot[elements - 1], 0)
        added = sums * self._decay(gaps)
        for of, columns in self._columns_of.items():
            added[:, columns] += _values(series, of, elements)[:, None]
        return added


def _values(series: Series, of: str, elements: Ints) -> Floats:
    if of == "shares":
        return series.shares_of(elements)
    label = series.label[elements].astype(np.float64)
    if of == "counts":
        return label
    rating = series.avg_rating[elements]
    rated = np.isfinite(rating)
    return np.where(rated, label if of == "rated" else rating * label, 0.0)


class DecayedShares:
    """Exponentially weighted averages of the movies' counts, as shares, before any slot.

    The average of half-life H before slot t is the sum over slots s < t of
    ``0.5 ** ((t - 1 - s) / H) * count(s)``, divided by the same sum over all movies (simple
    exponential smoothing of counts). With ``of="shares"`` a movie's share of its slot stands in the
    place of its count. Then :data:`UNIFORM_SHARE` of it is spread evenly over the slot's candidates.

    Parameters
    ----------
    sums
        Those that it reads, if others read them, too.
    """

    def __init__(
        self,
        series: Series,
        half_lives: Sequence[float],
        of: str = "counts",
        sums: DecayedSums | None = None,
    ) -> None:
        wanted = [(of, float(half_life)) for half_life in half_lives]
        self._sums = sums or DecayedSums(series, wanted)
        self._columns = self._sums.columns(wanted)
        self._decay = Decay(half_lives, 1)
        requested = self._sums.requested
        totals = series.requests(requested) if of == "counts" else np.ones(len(requested))
        self._totals = decayed_totals(totals, requested, half_lives)

    def sums(self, movies: Ints, slots: Ints) -> Floats:
        """Decayed sums themselves, as of the slot before; see :meth:`__call__`."""
        gaps = slots - 1 - self._sums.requested[self._sums.latest(distinct(slots))]
        return self._sums(movies, slots).take(self._columns, axis=1) * self._decay(gaps)

    def __call__(
        self, movies: Ints, slots: Ints, candidates: Floats, uniform_share: float = UNIFORM_SHARE
    ) -> Floats:
        """Shares of movies before slots.

        Parameters
        ----------
        movies, slots
            int [n]; each movie has to be a candidate of its slot.
        candidates
            [n] number of candidates of each slot.

        Returns
        -------
        float64 [n, half-lives]
        """
        totals = self._totals.take(self._sums.latest(distinct(slots)), axis=0)
        shares: Floats = self._sums(movies, slots).take(self._columns, axis=1) / totals
        if not uniform_share:
            return shares
        return (1 - uniform_share) * shares + uniform_share / candidates[:, None]


def seasonal_shares(
    sums: SeasonalSums, half_lives: Sequence[float], all_time: Floats, movies: Ints, slots: Ints
) -> Floats:
    """Shares of the requests at one place of a season, smoothed, [n, half-lives]."""
    columns = sums.columns(half_lives)
    smoothed = sums(movies, slots).take(columns, axis=1) + SEASON_SMOOTHING * all_time[:, None]
    shares: Floats = smoothed / (sums.totals(distinct(slots)).take(columns, axis=1) + SEASON_SMOOTHING)
    return shares


@dataclass(frozen=True)
class LogSums:
    """The decayed sums that some averages of a log read, each of them computed once.

    Attributes
    ----------
    decayed
        Of all slots.
    seasonal
        Of the same place of a season, by its slots.
    """

    decayed: DecayedSums
    seasonal: dict[int, SeasonalSums]

    @classmethod
    def of(
        cls, series: Series, components: Iterable[Component], more: Iterable[tuple[str, float]] = ()
    ) -> "LogSums":
        """Make those of the components of mixtures, and decayed sums of more values and half-lives."""
        decayed, seasonal = list(more), {}
        for (of, season), members in families(components).items():
            half_lives = [component.half_life for component in members]
            if of == "season":
                seasonal[season] = SeasonalSums(series, season, half_lives)
            elif of in VALUES:
                decayed += [(of, half_life) for half_life in half_lives]
        return cls(DecayedSums(series, decayed), seasonal)


class AllTimeShares:
    """A movie's share of all requests before a slot."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._totals = np.concatenate([[0.0], np.cumsum(series.totals)])
        narrow = self._totals[-1] <= np.iinfo(np.uint32).max
        self._sums: Ints = np.zeros(len(series.label) + 1, np.uint32 if narrow else np.int64)
        np.cumsum(series.label, dtype=self._sums.dtype, out=self._sums[1:])

    def __call__(self, movies: Ints, slots: Ints) -> Floats:
        """Compute them for movies [n] before slots [n], float64 [n]."""
        ends = self._series.elements_before(movies, slots)
        counts = self._sums[ends] - self._sums[self._series.starts[movies]]
        at = np.clip(distinct(slots) - self._series.first_slot, 0, len(self._totals) - 1)
        shares: Floats = counts / np.maximum(self._totals[at], 1.0)
        return shares


def requested_pairs(
    series: Series, slots: range, most: int | None = None
) -> tuple[Ints, npt.NDArray[np.float32]]:
    """List the elements of candidates in these slots, by slot, and their requests.

    Of a slot with more than ``most`` elements they are evenly spread ones, which stand for all of its
    requests.
    """
    elements = series.elements_in(slots)
    elements = elements[series.first_request[series.movie[elements]] < series.slot[elements]]
    labels = series.label[elements].astype(np.float32)
    at = series.slot[elements] - slots.start
    counts = np.bincount(at)
    if most is None or not len(counts) or counts.max() <= most:
        return elements, labels
    place = np.arange(len(elements)) - (np.cumsum(counts) - counts)[at]
    some = place % -(-counts // most)[at] == 0
    of_all, of_some = np.bincount(at, labels), np.bincount(at[some], labels[some])
    scale = of_all / np.maximum(of_some, 1)
    return elements[some], labels[some] * scale[at[some]].astype(np.float32)


def candidate_numbers(series: Series, slots: Ints) -> npt.NDArray[np.float32]:
    """Count the candidates of slots [n]."""
    return np.searchsorted(np.sort(series.first_request), slots).astype(np.float32)
