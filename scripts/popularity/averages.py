"""Averages of what was requested before a slot, exponentially weighted."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from popularity.decay import Decay
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
        sums, since = current[movies], latest[movies]
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


class DecayedShares:
    """Exponentially weighted averages of the movies' counts, as shares, before any slot.

    The average of half-life H before slot t is the sum over slots s < t of
    ``0.5 ** ((t - 1 - s) / H) * count(s)``, divided by the same sum over all movies (simple
    exponential smoothing of counts). With ``of="shares"`` a movie's share of its slot stands in the
    place of its count. Then :data:`UNIFORM_SHARE` of it is spread evenly over the slot's candidates.
    """

    def __init__(self, series: Series, half_lives: Sequence[float], of: str = "counts") -> None:
        self._series = series
        self._decay = Decay(half_lives, len(series.totals))
        self._requested = series.requested_slots(range(series.first_slot, series.last_slot + 1))
        self._by_count = of == "counts"
        totals = series.requests(self._requested) if self._by_count else np.ones(len(self._requested))
        # Decayed sum of each movie up to and with its latest request.
        self._sums = States(series, np.zeros((len(series.movie_ids), len(half_lives))), self._added)
        self._totals = decayed_totals(totals, self._requested, half_lives)

    def _added(self, sums: Values, elements: Ints) -> Values:
        """Add elements [n] to their movies' sums [n, half-lives], which are as of the elements before."""
        series = self._series
        # Before a movie's first element its sums are 0, whatever the gap.
        gaps = np.maximum(series.slot[elements] - series.slot[elements - 1], 0)
        values = series.label[elements] if self._by_count else series.shares_of(elements)
        return sums * self._decay(gaps) + values[:, None]

    def sums(self, movies: Ints, slots: Ints) -> Floats:
        """Decayed sums themselves, as of the slot before; see :meth:`__call__`."""
        return self._decayed(movies, slots, slots - 1)

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
        # As of the latest slot with requests: after a long silence both sums would vanish.
        latest = np.searchsorted(self._requested, distinct(slots)) - 1
        shares = self._decayed(movies, slots, self._requested[latest]) / self._totals[latest]
        return (1 - uniform_share) * shares + uniform_share / candidates[:, None]

    def _decayed(self, movies: Ints, slots: Ints, as_of: Ints) -> Floats:
        gaps = as_of - self._series.latest_slots(movies, slots)
        decayed: Floats = self._sums(movies, slots) * self._decay(gaps)
        return decayed


def seasonal_shares(sums: SeasonalSums, all_time: Floats, movies: Ints, slots: Ints) -> Floats:
    """Shares of the requests at one place of a season, smoothed, [n, half-lives]."""
    smoothed = sums(movies, slots) + SEASON_SMOOTHING * all_time[:, None]
    shares: Floats = smoothed / (sums.totals(distinct(slots)) + SEASON_SMOOTHING)
    return shares


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
