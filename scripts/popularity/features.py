"""What a model sees of a movie before a slot: each feature is computed from earlier slots alone."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.slots import slot_start
from popularity.windows import Ints, Series

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
    "log_requests": "log(1 + the movie's requests so far)",
    "log_age": "log(1 + slots since the movie's first request)",
    "log_idle": "log(1 + slots since the movie's last request)",
    "mean_rating": "the movie's mean rating so far, shrunk to 3.5 as if 5 had given that",
    "log_release_age": "log(1 + years since the movie's release, 0 to 90; 0 where unknown)",
    "calendar": "sine and cosine of the predicted slot's place in the week, year or day",
}

#: How a static feature that takes a number is written.
EWMA_FEATURE = re.compile(r"ewma_(\d+)")

#: Slots after which the calendar comes round: hours by the day, days by the week, the rest by year.
_CYCLES = {"hour": 24.0, "day": 7.0, "week": 365.2425 / 7, "month": 12.0, "year": 1.0}

#: Share of an average that is spread evenly over the candidates, so that none is held impossible.
UNIFORM_SHARE = 0.02


class DecayedShares:
    """Exponentially weighted averages of the movies' counts, as shares, before any slot.

    The average of half-life H before slot t is the sum over slots s < t of
    ``0.5 ** ((t - 1 - s) / H) * count(s)``, divided by the same sum over all movies (simple
    exponential smoothing of counts). Then :data:`UNIFORM_SHARE` of it is spread evenly over the slot's
    candidates.
    """

    def __init__(self, series: Series, half_lives: Sequence[float]) -> None:
        self._series = series
        self._decay = 0.5 ** (1 / np.asarray(half_lives, dtype=np.float64))
        self._states = self._element_states()
        self._requested = series.requested_slots(range(series.first_slot, series.last_slot + 1))
        self._totals = self._slot_totals()

    def _element_states(self) -> npt.NDArray[np.float64]:
        """Decayed sum of each element's movie up to and with the element, [K, half-lives]."""
        series = self._series
        states = np.zeros((len(series.slot), len(self._decay)))
        current = np.zeros((len(series.movie_ids), len(self._decay)))
        latest = np.full(len(series.movie_ids), series.first_slot)
        by_slot = np.argsort(series.slot, kind="stable")
        bounds = np.flatnonzero(np.diff(series.slot[by_slot])) + 1
        for elements in np.split(by_slot, bounds):
            movies = series.movie[elements]
            gap = series.slot[elements] - latest[movies]
            current[movies] *= self._decay ** gap[:, None]
            current[movies] += series.label[elements, None]
            latest[movies] = series.slot[elements]
            states[elements] = current[movies]
        return states

    def _slot_totals(self) -> npt.NDArray[np.float64]:
        """Decayed sum of all requests up to and with each slot that has some."""
        totals = np.zeros((len(self._requested), len(self._decay)))
        current = np.zeros(len(self._decay))
        gaps = np.diff(self._requested, prepend=self._series.first_slot)
        for at, requests in enumerate(self._series.requests(self._requested)):
            current = current * self._decay ** gaps[at] + requests
            totals[at] = current
        return totals

    def __call__(
        self, movies: Ints, slots: Ints, candidates: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
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
        return (1 - UNIFORM_SHARE) * shares + UNIFORM_SHARE / candidates[:, None]


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
    offset_half_life
        Half-life of the average whose log share the network starts from, None for no offset.
    """

    def __init__(
        self,
        series: Series,
        release_years: npt.NDArray[np.float64],
        names: Sequence[str],
        slot: str,
        window: int,
        gaps: str,
        offset_half_life: float | None,
    ) -> None:
        self.series = series
        self._release_years = release_years
        self._slot = slot
        self._window = window
        self._gaps = gaps
        self._steps = [name for name in names if name in STEP_FEATURES]
        self._static = [
            name for name in names if name not in STEP_FEATURES and not EWMA_FEATURE.fullmatch(name)
        ]
        half_lives = [float(match[1]) for name in names if (match := EWMA_FEATURE.fullmatch(name))]
        self._has_offset = offset_half_life is not None
        if offset_half_life is not None:
            half_lives.append(offset_half_life)
        self._shares = DecayedShares(series, half_lives) if half_lives else None
        self._first_request = series.slot[series.starts[:-1]]
        self._requests_so_far = _running_sums(series, series.label)
        rated = np.isfinite(series.avg_rating)
        self._rated_so_far = _running_sums(series, np.where(rated, series.label, 0))
        self._stars_so_far = _running_sums(series, np.where(rated, series.avg_rating, 0) * series.label)
        self._sorted_first_requests = np.sort(self._first_request)

    @classmethod
    def of_settings(cls, series: Series, movies: pa.Table, settings: dict[str, Any]) -> "Features":
        """Make the features of a model's resolved settings; ``movies`` is :data:`tables.MOVIES`."""
        release_years = tables.genres_and_release(movies)(series.movie_ids)[1]
        return cls(
            series,
            release_years.cast(pa.float64()).to_numpy(zero_copy_only=False),
            settings["features"],
            settings["slot"],
            settings["window"],
            settings["gaps"],
            settings["offset_half_life"],
        )

    def __call__(self, movies: Ints, slots: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """Compute the inputs of n pairs.

        Returns
        -------
        float32 ``steps`` [n, window, step features], ``static`` [n, static features] and ``offset``
        [n, 1] (log of a share, 0 without offset).
        """
        candidates = np.searchsorted(self._sorted_first_requests, slots).astype(np.float64)
        # The movie's latest element before the slot: what all running sums are read at.
        last = self.series.elements_before(movies, slots) - 1
        static = [self._static_feature(name, movies, slots, last) for name in self._static]
        offset = np.zeros((len(movies), 1))
        if self._shares is not None:
            logs = np.log(self._shares(movies, slots, candidates))
            if self._has_offset:
                offset = logs[:, -1:]
                logs = logs[:, :-1]
            # The log of shares times candidates is around 0 whatever the size of the catalogue.
            static.append(logs + np.log(candidates)[:, None])
        return {
            "steps": self._step_features(movies, slots, candidates).astype(np.float32),
            "static": np.concatenate([np.zeros((len(movies), 0)), *static], axis=1).astype(np.float32),
            "offset": offset.astype(np.float32),
        }

    def _step_features(
        self, movies: Ints, slots: Ints, candidates: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        labels, at = self.series.windows(movies, slots, self._window, self._gaps)
        totals = self.series.requests(at)
        shares = labels / np.maximum(totals, 1)
        values = {
            "label_n": lambda: shares,
            "log_count": lambda: np.log1p(labels),
            "log_share": lambda: np.log1p(shares * candidates[:, None]),
            "log_total": lambda: np.log1p(totals),
        }
        return np.stack([values[name]() for name in self._steps], axis=-1)

    def _static_feature(self, name: str, movies: Ints, slots: Ints, last: Ints) -> npt.NDArray[np.float64]:
        if name == "calendar":
            cycle = _CYCLES[self._slot]
            phase = 2 * np.pi * (slots % cycle) / cycle
            return np.stack([np.sin(phase), np.cos(phase)], axis=1)
        if name == "log_requests":
            value = np.log1p(self._requests_so_far[last])
        elif name == "log_age":
            value = np.log1p(slots - self._first_request[movies])
        elif name == "log_idle":
            value = np.log1p(slots - self.series.slot[last])
        elif name == "mean_rating":
            value = (self._stars_so_far[last] + 5 * 3.5) / (self._rated_so_far[last] + 5)
        else:
            start = slot_start(slots, self._slot)
            year = 1970 + start.astype("datetime64[D]").astype(np.float64) / 365.2425
            age = np.clip(year - self._release_years[movies], 0, 90)
            value = np.log1p(np.nan_to_num(age))
        return value[:, None]


def _running_sums(series: Series, values: npt.NDArray) -> npt.NDArray[np.float64]:
    """Sum of each movie's values up to and with each element, [K]."""
    sums = np.cumsum(values, dtype=np.float64)
    before = np.concatenate([[0.0], sums])[series.starts[:-1]]
    return sums - before[series.movie]
