"""What a model sees of a movie before a slot: each feature is computed from earlier slots alone."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.series import Ints, Series
from popularity.slots import slot_start

#: Features that have a value at every step of the window.
STEP_FEATURES = {
    "label_n": "the movie's share of the slot's requests",
    "log_count": "log(1 + the movie's requests in the slot)",
    "log_share": "log(1 + the movie's share x the candidates of the predicted slot)",
    "log_total": "log(1 + all requests of the slot)",
}

#: Features that have one value for a movie and a predicted slot.
STATIC_FEATURES = {
    "ewma_H": "log of the exponentially weighted average share of half-life H slots, e.g. ewma_7",
    "ewma_share_H": "as ewma_H, but averaging the slots' shares, so that quiet slots count like busy ones",
    "decayed_count_H": "log(1 + the movie's requests, each halved every H slots), e.g. decayed_count_60",
    "log_requests": "log(1 + the movie's requests so far)",
    "log_requests_capped": "the same with at most 20 requests: how far a rare movie is known",
    "requested_once": "1 for a movie requested once so far, else 0",
    "requested_up_to_3": "1 for a movie requested up to 3 times so far, else 0",
    "log_age": "log(1 + slots since the movie's first request)",
    "first_seen_recently": "1 if the movie's first request was at most 5 slots ago, else 0",
    "log_idle": "log(1 + slots since the movie's last request)",
    "log_idle_capped": "the same with at most 40 slots",
    "mean_rating": "the movie's mean rating so far, shrunk to 3.5 as if 5 had given that",
    "log_release_age": "log(1 + years since the movie's release, 0 to 90; 0 where unknown)",
    "new_release": "1 if the movie was released less than 1.2 years ago, else 0; 0 where unknown",
    "new_release_idle": "new_release x log_idle_capped",
    "log_slot_total": "log(1 + all requests of the slot before)",
    "calendar": "sine and cosine of the predicted slot's place in the week, year or day",
    "genres": "for each genre (the 32 most frequent of the catalogue) 1 if the movie has it, else 0",
}

#: The features that take a half-life, as they are written.
_WITH_HALF_LIFE = re.compile(r"(ewma|ewma_share|decayed_count)_(\d+)")

#: Most genres that ``genres`` tells: MovieLens has 20, another catalogue may have thousands.
MOST_GENRES = 32

#: Slots after which the calendar comes round: hours by the day, days by the week, the rest by year.
_CYCLES = {"hour": 24.0, "day": 7.0, "week": 365.2425 / 7, "month": 12.0, "year": 1.0}

#: Share of an average that is spread evenly over the candidates, so that none is held impossible: a part
#: of the forecast, unlike the ``SMOOTHING_SHARE`` that the scores give every forecast.
UNIFORM_SHARE = 0.02

Floats = npt.NDArray[np.float64]


def requested_with_decayed_sums(
    series: Series, values: npt.NDArray[np.integer | np.floating], half_lives: Sequence[float]
) -> Iterator[tuple[int, Ints, Floats, Ints]]:
    """Walk the slots that have requests, keeping a decayed sum of each movie's values.

    Parameters
    ----------
    values
        [K] a number for each element of the series, such as its requests.
    half_lives
        In slots: a value counts half as much after so many.

    Yields
    ------
    A slot, its elements, and for each of their movies the sums over the slots s before this one of
    ``0.5 ** ((l - s) / H) * value(s)``, [elements, half-lives], as of its latest slot l, [elements].
    """
    decay = _decay(half_lives)
    current = np.zeros((len(series.movie_ids), len(decay)))
    latest = np.full(len(series.movie_ids), series.first_slot)
    for elements in series.elements_by_slot():
        movies, slot = series.movie[elements], int(series.slot[elements[0]])
        yield slot, elements, current[movies], latest[movies]
        current[movies] *= decay ** (slot - latest[movies])[:, None]
        current[movies] += values[elements, None]
        latest[movies] = slot


def decayed_totals(
    values: npt.NDArray[np.integer | np.floating], slots: Ints, half_lives: Sequence[float]
) -> Floats:
    """Decayed sum of the slots' values up to and with each of these (rising) slots, [n, half-lives]."""
    decay = _decay(half_lives)
    totals = np.zeros((len(slots), len(decay)))
    current = np.zeros(len(decay))
    gaps = np.diff(slots, prepend=slots[:1])
    for at, value in enumerate(values):
        current = current * decay ** gaps[at] + value
        totals[at] = current
    return totals


def _decay(half_lives: Sequence[float]) -> Floats:
    return 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))


class DecayedShares:
    """Exponentially weighted averages of the movies' counts, as shares, before any slot.

    The average of half-life H before slot t is the sum over slots s < t of
    ``0.5 ** ((t - 1 - s) / H) * count(s)``, divided by the same sum over all movies (simple
    exponential smoothing of counts). With ``of="shares"`` a movie's share of its slot stands in the
    place of its count. Then :data:`UNIFORM_SHARE` of it is spread evenly over the slot's candidates.
    """

    def __init__(self, series: Series, half_lives: Sequence[float], of: str = "counts") -> None:
        self._series = series
        self._decay = _decay(half_lives)
        self._requested = series.requested_slots(range(series.first_slot, series.last_slot + 1))
        by_count = of == "counts"
        values = series.label if by_count else series.label_n
        totals = series.requests(self._requested) if by_count else np.ones(len(self._requested))
        # Decayed sum of each element's movie up to and with the element, [K, half-lives].
        self._states = np.zeros((len(series.slot), len(self._decay)))
        for slot, elements, sums, latest in requested_with_decayed_sums(series, values, half_lives):
            self._states[elements] = sums * self._decay ** (slot - latest)[:, None]
            self._states[elements] += values[elements, None]
        self._totals = decayed_totals(totals, self._requested, half_lives)

    def sums(self, movies: Ints, slots: Ints) -> Floats:
        """Decayed sums themselves, as of the slot before; see :meth:`__call__`."""
        last = self._series.elements_before(movies, slots) - 1
        return self._states[last] * self._decay ** (slots - 1 - self._series.slot[last])[:, None]

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
        last = self._series.elements_before(movies, slots) - 1
        # As of the latest slot with requests: after a long silence both sums would vanish.
        latest = np.searchsorted(self._requested, slots) - 1
        gap = self._requested[latest] - self._series.slot[last]
        shares = self._states[last] * self._decay ** gap[:, None] / self._totals[latest]
        return (1 - uniform_share) * shares + uniform_share / candidates[:, None]


def genre_names(movies: pa.Table) -> list[str]:
    """Name the catalogue's genres that ``genres`` tells: the most frequent, by name."""
    texts = movies["genre_names"].to_pylist()
    counts = Counter(name for text in texts for name in (text or "").split("|") if name)
    # Of those equally frequent the first by name, so that the order of the catalogue does not matter.
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_GENRES]
    return sorted(frequent)


def genre_flags(movies: pa.Table, movie_ids: Ints, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Tell for movies, by id, which of the genres they have: [movies, names]."""
    columns = {name: at for at, name in enumerate(names)}
    rows = {movie: row for row, movie in enumerate(movie_ids.tolist())}
    flags = np.zeros((len(movie_ids), len(names)), dtype=bool)
    for movie, text in zip(movies["movieId"].to_pylist(), movies["genre_names"].to_pylist(), strict=True):
        if movie in rows:
            known = [columns[name] for name in (text or "").split("|") if name in columns]
            flags[rows[movie], known] = True
    return flags


class Features:
    """The arrays that a network reads for pairs of a slot and one of its candidates.

    Parameters
    ----------
    series
        The log.
    release_years
        float [M] release year of each movie, NaN where unknown.
    names
        Which features, of :data:`STEP_FEATURES` and :data:`STATIC_FEATURES`.
    slot
        Length of a slot, a name of ``slots.SLOTS``.
    window, gaps
        Steps, and what they are made of: see ``build_sequences``.
    offset
        What the network starts from: the log of a weighted sum of averages, given by ``half_lives``
        and their ``weights``, or None for no offset.
    genres
        bool [M, genres] which genres each movie has: :func:`genre_flags`.
    """

    def __init__(
        self,
        series: Series,
        release_years: npt.NDArray[np.float64],
        names: Sequence[str],
        slot: str,
        window: int,
        gaps: str,
        offset: Mapping[str, Sequence[float]] | None,
        genres: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.series = series
        self._release_years = release_years
        self._slot = slot
        self._window = window
        self._gaps = gaps
        self._steps = [name for name in names if name in STEP_FEATURES]
        self._static = [
            name for name in names if name not in STEP_FEATURES and not _WITH_HALF_LIFE.fullmatch(name)
        ]
        self._weights = None if offset is None else np.asarray(offset["weights"], dtype=np.float64)
        # The averages of the offset come last.
        self._counts = _averages(series, names, "ewma", [] if offset is None else offset["half_lives"])
        self._shares = _averages(series, names, "ewma_share", [], "shares")
        self._decayed_counts = _averages(series, names, "decayed_count", [])
        self._genres = np.zeros((len(series.movie_ids), 0), bool) if genres is None else genres
        self._requests_so_far = _running_sums(series, series.label)
        rated = np.isfinite(series.avg_rating)
        self._rated_so_far = _running_sums(series, np.where(rated, series.label, 0))
        self._stars_so_far = _running_sums(series, np.where(rated, series.avg_rating, 0) * series.label)
        self._sorted_first_requests = np.sort(self.series.first_request)

    @classmethod
    def of_settings(cls, series: Series, movies: pa.Table, settings: dict[str, Any]) -> "Features":
        """Make the features of a model's resolved settings; ``movies`` is :data:`tables.MOVIES`.

        A model that sees ``genres`` needs the list of ``genre_names`` it was trained with; without one,
        it is that of ``movies``.
        """
        release_years = tables.genres_and_release(movies)(series.movie_ids)[1]
        return cls(
            series,
            release_years.cast(pa.float64()).to_numpy(zero_copy_only=False),
            settings["features"],
            settings["slot"],
            settings["window"],
            settings["gaps"],
            settings["offset_weights"],
            genre_flags(movies, series.movie_ids, settings.get("genre_names") or genre_names(movies))
            if "genres" in settings["features"]
            else None,
        )

    @property
    def has_offset(self) -> bool:
        """Whether the network starts from an average."""
        return self._weights is not None

    def candidates(self, slots: Ints) -> Floats:
        """Count the candidates of each slot."""
        return np.searchsorted(self._sorted_first_requests, slots).astype(np.float64)

    def __call__(self, movies: Ints, slots: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """Compute the inputs of n pairs.

        Returns
        -------
        float32 ``steps`` [n, window, step features], ``static`` [n, static features] and ``offset``
        [n, 1] (log of a share, 0 without offset). A movie that is no candidate yet, as its first
        request is the future, has static features of 0 and the least share as its offset.
        """
        unknown = slots <= self.series.first_request[movies]
        candidates = np.maximum(self.candidates(slots), 1.0)
        at = np.where(unknown, self.series.first_request[movies] + 1, slots)
        # The movie's latest element before the slot: what all running sums are read at.
        last = self.series.elements_before(movies, at) - 1
        static = [self._static_feature(name, movies, at, last) for name in self._static]
        # The log of shares times candidates is around 0 whatever the size of the catalogue.
        scale = np.log(candidates)[:, None]
        offset = np.zeros((len(movies), 1))
        if self._counts is not None:
            shares = self._counts(movies, at, candidates)
            if self._weights is not None:
                offset = np.log(shares[:, -len(self._weights) :] @ self._weights)[:, None]
                offset[unknown] = np.log(UNIFORM_SHARE / candidates[unknown, None])
                shares = shares[:, : -len(self._weights)]
            static.append(np.log(shares) + scale)
        if self._shares is not None:
            static.append(np.log(self._shares(movies, at, candidates)) + scale)
        if self._decayed_counts is not None:
            static.append(np.log1p(self._decayed_counts.sums(movies, at)))
        values = np.concatenate([np.zeros((len(movies), 0)), *static], axis=1)
        values[unknown] = 0
        return {
            "steps": self._step_features(movies, slots, candidates).astype(np.float32),
            "static": values.astype(np.float32),
            "offset": offset.astype(np.float32),
        }

    def _step_features(
        self, movies: Ints, slots: Ints, candidates: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        labels, at = self.series.windows(movies, slots, self._window, self._gaps)
        totals = self.series.requests(at)
        shares = labels / np.maximum(totals, 1)
        values: dict[str, Callable[[], Floats]] = {
            "label_n": lambda: shares,
            "log_count": lambda: np.log1p(labels),
            "log_share": lambda: np.log1p(shares * candidates[:, None]),
            "log_total": lambda: np.log1p(totals),
        }
        none = np.zeros((*labels.shape, 0))
        return np.concatenate([none, *(values[name]()[..., None] for name in self._steps)], axis=-1)

    def _static_feature(self, name: str, movies: Ints, slots: Ints, last: Ints) -> npt.NDArray[np.float64]:
        if name == "calendar":
            cycle = _CYCLES[self._slot]
            phase = 2 * np.pi * (slots % cycle) / cycle
            return np.stack([np.sin(phase), np.cos(phase)], axis=1)
        if name == "genres":
            return self._genres[movies].astype(np.float64)
        return self._single_values(name, movies, slots, last).astype(np.float64)[:, None]

    def _single_values(self, name: str, movies: Ints, slots: Ints, last: Ints) -> npt.NDArray[Any]:
        """Compute a static feature that is one number, [n]."""
        requests, first = self._requests_so_far, self.series.first_request
        idle = slots - self.series.slot[last]
        values: dict[str, Callable[[], npt.NDArray[Any]]] = {
            "log_requests": lambda: np.log1p(requests[last]),
            "log_requests_capped": lambda: np.log1p(np.minimum(requests[last], 20)),
            "requested_once": lambda: requests[last] <= 1,
            "requested_up_to_3": lambda: requests[last] <= 3,
            "log_age": lambda: np.log1p(slots - first[movies]),
            "first_seen_recently": lambda: slots - first[movies] <= 5,
            "log_idle": lambda: np.log1p(idle),
            "log_idle_capped": lambda: np.log1p(np.minimum(idle, 40)),
            "mean_rating": lambda: (self._stars_so_far[last] + 5 * 3.5) / (self._rated_so_far[last] + 5),
            # An unknown year is NaN, which is no new release.
            "log_release_age": lambda: np.log1p(np.nan_to_num(self._years_since_release(movies, slots))),
            "new_release": lambda: self._years_since_release(movies, slots) < 1.2,
            "new_release_idle": lambda: (
                (self._years_since_release(movies, slots) < 1.2) * np.log1p(np.minimum(idle, 40))
            ),
            "log_slot_total": lambda: np.log1p(self.series.requests(slots - 1)),
        }
        return values[name]()

    def _years_since_release(self, movies: Ints, slots: Ints) -> Floats:
        start = slot_start(slots, self._slot)
        year = 1970 + start.astype("datetime64[D]").astype(np.float64) / 365.2425
        return np.clip(year - self._release_years[movies], 0, 90)


def _averages(
    series: Series, names: Sequence[str], feature: str, others: Sequence[float], of: str = "counts"
) -> DecayedShares | None:
    """Make the averages of a feature's half-lives among the names, then those of other half-lives."""
    found = [match for name in names if (match := _WITH_HALF_LIFE.fullmatch(name))]
    half_lives = [float(match[2]) for match in found if match[1] == feature] + list(others)
    return DecayedShares(series, half_lives, of) if half_lives else None


def _running_sums(series: Series, values: npt.NDArray[np.integer | np.floating]) -> npt.NDArray[np.float64]:
    """Sum of each movie's values up to and with each element, [K]."""
    sums = np.cumsum(values, dtype=np.float64)
    before: Floats = np.concatenate([[0.0], sums])[series.starts[:-1]]
    return sums - before[series.movie]
