"""What a model sees of a movie before a slot: each feature is computed from earlier slots alone."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from popularity import tables
from popularity.averages import UNIFORM_SHARE, DecayedShares, LogSums
from popularity.mixtures import MixedShares
from popularity.offsets import Component, Mixture
from popularity.own import own_function
from popularity.program import Fault
from popularity.seasons import covered_seasons
from popularity.series import Ints, Series, distinct
from popularity.settings.model import is_own
from popularity.settings.slots import SLOTS_OF_A_DAY
from popularity.slots import clock_numbers, length_of, slot_start

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """The windows of n pairs of a slot and a movie.

    Attributes
    ----------
    labels, totals
        float64 [n, window], requests of the movie and of all movies in each slot of the window.
    shares
        float64 [n, window], the one over the other.
    features
        What knows the log.
    slots
        int [n], the predicted slots.
    """

    labels: Floats
    totals: Floats
    shares: Floats
    features: "Features"
    slots: Ints

    @property
    def candidates(self) -> Floats:
        """Candidates of the predicted slot, at least 1, [n]."""
        return self.features.candidates_or_one(self.slots)


@dataclass(frozen=True)
class Pairs:
    """Pairs of a slot and one of its candidates, n of them.

    Attributes
    ----------
    features
        What knows the log.
    movies, slots
        int [n] each.
    past
        float64 [n, 4], what is known of each movie at its latest request: its slot, the movie's requests
        up to and with it, those of them that were rated, and the sum of their ratings.
    """

    features: "Features"
    movies: Ints
    slots: Ints
    past: Floats

    @property
    def requests(self) -> Floats:
        """Requests of the movie before the slot."""
        return self.past[:, 1]

    @property
    def idle(self) -> Ints:
        """Slots since the movie's last request."""
        return self.slots - self.past[:, 0].astype(np.int64)

    @property
    def age(self) -> Ints:
        """Slots since the movie's first request."""
        return self.slots - self.features.series.first_request[self.movies]

    @property
    def start(self) -> npt.NDArray[np.datetime64]:
        """When the slot begins."""
        return slot_start(self.slots, self.features.slot)

    @property
    def years_since_release(self) -> Floats:
        """Years since the movie's release, 0 to 90; NaN where unknown."""
        start = slot_start(distinct(self.slots), self.features.slot)
        year = 1970 + start.astype("datetime64[D]").astype(np.float64) / 365.2425
        return np.clip(year - self.features.release_years[self.movies], 0, 90)


@dataclass(frozen=True)
class StepFeature:
    """A feature that has a value at every step of the window: its meaning, and its values [n, window]."""

    meaning: str
    values: Callable[[Steps], Floats]


@dataclass(frozen=True)
class StaticFeature:
    """A feature of a movie and a predicted slot: its meaning, and its values, [n] or [n, columns]."""

    meaning: str
    values: Callable[[Pairs], npt.NDArray[Any]]


STEP_FEATURES = {
    "label_n": StepFeature("the movie's share of the slot's requests", lambda steps: steps.shares),
    "log_count": StepFeature(
        "log(1 + the movie's requests in the slot)", lambda steps: np.log1p(steps.labels)
    ),
    "log_share": StepFeature(
        "log(1 + the movie's share x the candidates of the predicted slot)",
        lambda steps: np.log1p(steps.shares * steps.candidates[:, None]),
    ),
    "log_total": StepFeature("log(1 + all requests of the slot)", lambda steps: np.log1p(steps.totals)),
}


def _calendar(pairs: Pairs) -> Floats:
    slot = pairs.features.slot
    cycle, numbers = _CYCLES[length_of(slot)], clock_numbers(distinct(pairs.slots), slot)
    phase = 2 * np.pi * (numbers % cycle) / cycle
    place: Floats = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    if length_of(slot) in SLOTS_OF_A_DAY:
        days = (numbers - 1) // int(cycle)
        place = np.hstack([place, days[:, None] % 7 == np.arange(7)])
    return np.broadcast_to(place, (len(pairs.slots), place.shape[1]))


def _mean_rating(pairs: Pairs) -> Floats:
    rated, stars = pairs.past[:, 2], pairs.past[:, 3]
    means: Floats = (stars + 5 * 3.5) / (rated + 5)
    return means


def _new_release(pairs: Pairs) -> npt.NDArray[np.bool_]:
    # An unknown year is NaN, which is no new release.
    return pairs.years_since_release < 1.2


def _log_idle_capped(pairs: Pairs) -> Floats:
    return np.log1p(np.minimum(pairs.idle, 40))


STATIC_FEATURES = {
    "log_requests": StaticFeature(
        "log(1 + the movie's requests so far)", lambda pairs: np.log1p(pairs.requests)
    ),
    "log_requests_capped": StaticFeature(
        "the same with at most 20 requests: how far a rare movie is known",
        lambda pairs: np.log1p(np.minimum(pairs.requests, 20)),
    ),
    "requested_once": StaticFeature(
        "1 for a movie requested once so far, else 0", lambda pairs: pairs.requests <= 1
    ),
    "requested_up_to_3": StaticFeature(
        "1 for a movie requested up to 3 times so far, else 0", lambda pairs: pairs.requests <= 3
    ),
    "log_age": StaticFeature(
        "log(1 + slots since the movie's first request)", lambda pairs: np.log1p(pairs.age)
    ),
    "first_seen_recently": StaticFeature(
        "1 if the movie's first request was at most 5 slots ago, else 0", lambda pairs: pairs.age <= 5
    ),
    "log_idle": StaticFeature(
        "log(1 + slots since the movie's last request)", lambda pairs: np.log1p(pairs.idle)
    ),
    "log_idle_capped": StaticFeature("the same with at most 40 slots", _log_idle_capped),
    "mean_rating": StaticFeature(
        "the movie's mean rating so far, shrunk to 3.5 as if 5 had given that", _mean_rating
    ),
    "log_release_age": StaticFeature(
        "log(1 + years since the movie's release, 0 to 90; 0 where unknown)",
        lambda pairs: np.log1p(np.nan_to_num(pairs.years_since_release)),
    ),
    "new_release": StaticFeature(
        "1 if the movie was released less than 1.2 years ago, else 0; 0 where unknown", _new_release
    ),
    "new_release_idle": StaticFeature(
        "new_release x log_idle_capped", lambda pairs: _new_release(pairs) * _log_idle_capped(pairs)
    ),
    "log_slot_total": StaticFeature(
        "log(1 + all requests of the slot before)",
        lambda pairs: np.log1p(pairs.features.series.requests(pairs.slots - 1)),
    ),
    "calendar": StaticFeature(
        "sine and cosine of the predicted slot's place in the week, year or day; with hours, seven flags "
        "for the weekday, too",
        _calendar,
    ),
    "genres": StaticFeature(
        "for each genre (the 32 most frequent of the catalogue) 1 if the movie has it, else 0",
        lambda pairs: pairs.features.genres[pairs.movies],
    ),
}

#: Features that take a half-life of H slots, and are written with it: ``ewma_7``.
HALF_LIFE_FEATURES = {
    "ewma": "log of the exponentially weighted average share of half-life H slots, e.g. ewma_7",
    "ewma_share": "as ewma_H, but averaging the slots' shares, so that quiet slots count like busy ones",
    "decayed_count": "log(1 + the movie's requests, each halved every H slots), e.g. decayed_count_60",
}
#: What they average.
_AVERAGED = {"ewma": "counts", "ewma_share": "shares", "decayed_count": "counts"}
#: Plain sums up to a movie's latest request: see :attr:`Pairs.past`.
_PAST = (("counts", math.inf), ("rated", math.inf), ("ratings", math.inf))
_WITH_HALF_LIFE = re.compile(rf"({'|'.join(HALF_LIFE_FEATURES)})_(\d+)")

#: Features of seasons: of all of the settings' seasons, and of one of P slots, which is written with it.
SEASON_FEATURES = {
    "seasons": "season_P for each of the log's seasons (seasons in config.yaml)",
    "season_P": "how much more often than in all slots the movie was requested at this place of the last "
    "seasons of P slots, e.g. season_24 for the hours of a day: logs of three ratios, decayed over half a "
    "season, two and eight; left out where the log holds fewer than three seasons",
}
#: Features of what the model starts from.
OFFSET_FEATURES = {
    "offset_averages": "for each average that the offset is made of, the log of the share that it predicts "
    "over the offset's, so that a model learns which averages hold for which movies and when; none without "
    "an offset",
}
#: Share of the offset's that is added to that of an average, so that the log of a 0 is moderate.
OFFSET_PULL = 0.02
_OF_SEASON = re.compile(r"season_([1-9]\d*)")
#: Half-lives of that feature, in seasons.
SEASON_HALF_LIVES = (0.5, 2.0, 8.0)
#: Half-life of the share in all slots that it compares with, in seasons.
OVERALL_HALF_LIFE = 8.0
#: Requests that pull it to 0.
SEASON_PULL = 1.0

#: Smallest share of an offset, as a share of an even one: its log is taken.
LEAST_OFFSET = 1e-6

#: Most genres of the feature ``genres``: MovieLens has 20, another catalogue may have thousands.
MOST_GENRES = 32

#: Slots after which the calendar comes round: hours by the day, days by the week, the rest by year.
_CYCLES = {
    **{name: float(slots) for name, slots in SLOTS_OF_A_DAY.items()},
    "day": 7.0,
    "week": 365.2425 / 7,
    "month": 12.0,
    "year": 1.0,
}


def genre_names(movies: pa.Table) -> list[str]:
    """Name the genres of the feature ``genres``: the catalogue's most frequent ones, in order of name."""
    texts = movies["genre_names"].to_pylist()
    counts = Counter(name for text in texts for name in (text or "").split("|") if name)
    # Genres that are equally frequent are taken by name, so that the catalogue's order does not matter.
    frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_GENRES]
    return sorted(frequent)


def genre_flags(movies: pa.Table, movie_ids: Ints, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Flag which of the genres each movie has, by its id: [movies, names]."""
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
        Which features, of :data:`STEP_FEATURES`, :data:`STATIC_FEATURES` and the user's own.
    slot
        Length of a slot, a name of ``slots.SLOTS``.
    window, gaps
        Steps, and what they are made of: see ``build_sequences``.
    offset
        What the network starts from the log of, or None for no offset.
    seasons
        The seasons, in slots, that the log holds often enough: other ones' features are left out.
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
        offset: Mixture | None,
        seasons: Sequence[int] = (),
        genres: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.series: Series = series
        self.release_years = release_years
        self.slot = slot
        self._window = window
        self._gaps = gaps
        self._steps = [STEP_FEATURES[name] for name in names if name in STEP_FEATURES]
        self._static = [static_feature(name) for name in names if name in STATIC_FEATURES or is_own(name)]
        asked = seasons if "seasons" in names else named_seasons(names)
        used = [season for season in seasons if season in asked]
        averages = [component for season in used for component in _SeasonFeature.components(season)]
        averages += [
            Component(of, half_life)
            for feature, of in _AVERAGED.items()
            for half_life in _half_lives(names, feature)
        ]
        averages += () if offset is None else offset.components
        sums = LogSums.of(series, averages, _PAST)
        self._known_sums, self._known = sums.decayed, sums.decayed.columns(_PAST)
        self._offset = None if offset is None else MixedShares(series, offset, sums)
        self._offset_averages = "offset_averages" in names
        self._counts = _averages(series, names, "ewma", sums)
        self._shares = _averages(series, names, "ewma_share", sums)
        self._decayed_counts = _averages(series, names, "decayed_count", sums)
        self._seasons = [_SeasonFeature(series, season, sums) for season in used]
        self.genres: npt.NDArray[np.bool_] = (
            np.zeros((len(series.movie_ids), 0), bool) if genres is None else genres
        )
        self._sorted_first_requests = np.sort(self.series.first_request)

    @classmethod
    def of_catalogue(
        cls,
        series: Series,
        movies: pa.Table,
        names: Sequence[str],
        slot: str,
        window: int,
        gaps: str,
        offset: Mixture | None,
        seasons: Sequence[int] = (),
        known_genres: Sequence[str] | None = None,
    ) -> "Features":
        """Make the features of movies that a catalogue (:data:`tables.MOVIES`) describes.

        A model that sees ``genres`` needs the names that it was trained with, ``known_genres``; without
        them they are those of the catalogue.
        """
        release_years = tables.genres_and_release(movies)(series.movie_ids)[1]
        flags = None
        if "genres" in names:
            flags = genre_flags(movies, series.movie_ids, known_genres or genre_names(movies))
        years = release_years.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return cls(series, years, names, slot, window, gaps, offset, seasons, flags)

    @property
    def has_offset(self) -> bool:
        """Whether the network starts from an average."""
        return self._offset is not None

    def candidates(self, slots: Ints) -> Floats:
        """Count the candidates of each slot."""
        return np.searchsorted(self._sorted_first_requests, slots).astype(np.float64)

    def candidates_or_one(self, slots: Ints) -> Floats:
        """Count them, to divide by: at least 1."""
        return np.maximum(self.candidates(slots), 1.0)

    def __call__(self, movies: Ints, slots: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """Compute the inputs of n pairs.

        Returns
        -------
        float32 ``steps`` [n, window, step features], ``static`` [n, static features] and ``offset``
        [n, 1] (log of a share, 0 without offset). A movie that is no candidate yet, as its first
        request is the future, has static features of 0 and the least share as its offset.
        """
        return {"steps": self.steps(movies, slots), **self.static(movies, slots)}

    def static(self, movies: Ints, slots: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """Compute ``static`` and ``offset`` alone: see :meth:`__call__`."""
        unknown = slots <= self.series.first_request[movies]
        candidates = np.broadcast_to(self.candidates_or_one(distinct(slots)), len(slots))
        at = np.where(unknown, self.series.first_request[movies] + 1, slots)
        pairs = Pairs(self, movies, at, self._past(movies, at))
        static = [_columns(feature.values(pairs).astype(np.float64)) for feature in self._static]
        # The log of shares times candidates is around 0 whatever the size of the catalogue.
        scale = np.log(candidates)[:, None]
        offset = np.zeros(len(movies))
        if self._offset is not None:
            of_offset = self._offset.averages(movies, at, candidates)
            mixed = np.maximum(self._offset.mixed(of_offset, at), LEAST_OFFSET / candidates)
            offset = np.log(mixed)
            if self._offset_averages:
                ratios = of_offset / mixed[:, None]
                static.append(np.log((ratios + OFFSET_PULL) / (1 + OFFSET_PULL)))
            offset[unknown] = np.log(UNIFORM_SHARE / candidates[unknown])
        for averages in (self._counts, self._shares):
            if averages is not None:
                static.append(np.log(averages(movies, at, candidates)) + scale)
        if self._decayed_counts is not None:
            static.append(np.log1p(self._decayed_counts.sums(movies, at)))
        static += [season(movies, at, candidates) for season in self._seasons]
        none = np.zeros((len(movies), 0))
        values = np.concatenate([none, *static], axis=1, dtype=np.float32, casting="same_kind")
        values[unknown] = 0
        return {
            "static": values,
            "offset": offset[:, None].astype(np.float32),
        }

    def _past(self, movies: Ints, slots: Ints) -> Floats:
        """Look up :attr:`Pairs.past`."""
        latest = self.series.latest_slots(movies, slots)
        return np.column_stack([latest, self._known_sums(movies, slots).take(self._known, axis=1)])

    def steps(self, movies: Ints, slots: Ints) -> npt.NDArray[np.float32]:
        """Compute ``steps`` alone: see :meth:`__call__`."""
        if not self._steps:
            return np.zeros((len(movies), self._window, 0), np.float32)
        return self._step_values(*self.series.windows(movies, slots, self._window, self._gaps), slots)

    def steps_until(self, movies: Ints, slot: int, count: int) -> npt.NDArray[np.float32]:
        """Compute the ``steps`` of windows of one slot before each of the last slots up to this one.

        Returns
        -------
        float32 [n, count, step features], as :meth:`steps` computes them one by one.
        """
        labels, at = self.series.windows(movies, slot, count, "calendar")
        values = self._step_values(labels.reshape(-1, 1), at.reshape(-1, 1), at.reshape(-1) + 1)
        return values.reshape(len(movies), count, len(self._steps))

    def _step_values(self, labels: Floats, at: Ints, slots: Ints) -> npt.NDArray[np.float32]:
        """Compute them from the requests in the slots ``at``, [n, window] each, before ``slots``, [n]."""
        totals = self.series.requests(at)
        steps = Steps(labels, totals, labels / np.maximum(totals, 1), self, slots)
        none = np.zeros((*labels.shape, 0))
        values = [feature.values(steps)[..., None] for feature in self._steps]
        return np.concatenate([none, *values], axis=-1).astype(np.float32)


def _columns(values: Floats) -> Floats:
    return values if values.ndim == 2 else values[:, None]


def static_feature(name: str) -> StaticFeature:
    """Find a feature of a movie and a slot by its name, or by the function of the user's that it is."""
    if not is_own(name):
        return STATIC_FEATURES[name]
    function = own_function(name)

    def values(pairs: Pairs) -> Floats:
        try:
            made = np.asarray(function(pairs), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise Fault(f"{name}: it gave no numbers ({error})") from error
        if made.ndim not in (1, 2) or len(made) != len(pairs.movies):
            raise Fault(
                f"{name}: it gave an array of the shape {list(made.shape)} for {len(pairs.movies)} pairs; "
                "allowed: one number for each pair, or a row of numbers"
            )
        if not np.isfinite(made).all():
            raise Fault(f"{name}: it gave a number that is not finite")
        return made

    return StaticFeature("a function of the user's own", values)


def check_own_features(
    series: Series, movies: pa.Table, names: Sequence[str], slot: str, slots: Sequence[int]
) -> None:
    """Check that features of the user's own are the same without all requests from a slot on.

    Parameters
    ----------
    slots
        Predicted slots to check it at.

    Raises
    ------
    Fault
        If one is not: it sees what is to be predicted.
    """
    for at in slots:
        known = series.candidates(at)
        until = series.before(at)
        if not len(known):
            continue
        for name in filter(is_own, names):
            whole, cut = (
                Features.of_catalogue(log, movies, [name], slot, 1, "calendar", None)(
                    places, np.full(len(known), at)
                )["static"]
                for log, places in ((series, known), (until, np.arange(len(known))))
            )
            if not np.array_equal(whole, cut):
                raise Fault(
                    f"{name}: it sees the future: without the requests from the slot that is predicted on, "
                    f"its values for that slot ({at}) differ; use requests of earlier slots alone"
                )


def named_seasons(names: Sequence[str]) -> list[int]:
    """Seasons, in slots, of the features ``season_P`` among these names."""
    return [int(match[1]) for name in names if (match := _OF_SEASON.fullmatch(name))]


def usable_seasons(series: Series, seasons: Sequence[int], names: Sequence[str]) -> list[int]:
    """List the seasons, given or named by features, that the log holds often enough, in slots."""
    return covered_seasons(series, sorted({*seasons, *named_seasons(names)}))


class _SeasonFeature:
    """The feature ``season_P`` of one season: see :data:`SEASON_FEATURES`."""

    def __init__(self, series: Series, season: int, sums: LogSums) -> None:
        self._sums = sums.seasonal[season]
        self._columns = self._sums.columns(SEASON_HALF_LIVES)
        self._overall = DecayedShares(series, [OVERALL_HALF_LIFE * season], "counts", sums.decayed)

    @staticmethod
    def components(season: int) -> list[Component]:
        """List the averages whose sums it reads."""
        of_season = [Component("season", half_life, season) for half_life in SEASON_HALF_LIVES]
        return [*of_season, Component("counts", OVERALL_HALF_LIFE * season)]

    def __call__(self, movies: Ints, slots: Ints, candidates: Floats) -> Floats:
        """Compute it for pairs, [n, half-lives]."""
        same = self._sums(movies, slots).take(self._columns, axis=1)
        totals = self._sums.totals(distinct(slots)).take(self._columns, axis=1)
        expected = self._overall(movies, slots, candidates, 0.0) * totals
        ratios: Floats = np.log((same + SEASON_PULL) / (expected + SEASON_PULL))
        return ratios


def _half_lives(names: Sequence[str], feature: str) -> list[float]:
    """List the half-lives that a feature has among the names."""
    found = [match for name in names if (match := _WITH_HALF_LIFE.fullmatch(name))]
    return [float(match[2]) for match in found if match[1] == feature]


def _averages(series: Series, names: Sequence[str], feature: str, sums: LogSums) -> DecayedShares | None:
    """Make the averages of a feature's half-lives among the names."""
    half_lives = _half_lives(names, feature)
    return DecayedShares(series, half_lives, _AVERAGED[feature], sums.decayed) if half_lives else None
