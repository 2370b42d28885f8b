"""Forecasts for intermittent demand: how much is requested, times how often something is."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from popularity.forecasters.base import Floats, Forecaster, SimpleMethod, register
from popularity.scoring.cross_entropy import request_losses
from popularity.series import Ints, Series
from popularity.settings.fields import Limits, setting

Constants = tuple[Annotated[float, Limits(above=0, below=1)], ...]
Kind = Literal["croston", "tsb"]


@dataclass(frozen=True)
class Smoothing:
    """Smoothing constants of the requests' size, and of the rate of slots with a request."""

    smoothing: float
    rate_smoothing: float


@register("croston")
@dataclass(frozen=True)
class Croston(SimpleMethod[Smoothing]):
    """Size of a movie's requests over the slots between them, both smoothed (Croston 1972)."""

    parameters: ClassVar[type[Smoothing]] = Smoothing

    smoothing: Constants = setting("Smoothing constants to choose from.", length=1, unique=True)

    def tune(self, series: Series, slots: range) -> Smoothing:
        """Choose the constant, the same for sizes and intervals."""
        options = [Smoothing(constant, constant) for constant in self.smoothing]
        return tuned_smoothing(series, "croston", options, slots)

    def forecaster(self, series: Series, parameters: Smoothing) -> Forecaster:
        """Make the forecaster."""
        return intermittent(series, "croston", parameters)


@register("tsb")
@dataclass(frozen=True)
class Tsb(SimpleMethod[Smoothing]):
    """Size of a movie's requests times the share of slots with a request (Teunter et al. 2011)."""

    parameters: ClassVar[type[Smoothing]] = Smoothing

    smoothing: Constants = setting(
        "Smoothing constants to choose from, of the requests' size.", length=1, unique=True
    )
    rate_smoothing: Constants = setting(
        "Smoothing constants to choose from, of the rate of slots with a request.", length=1, unique=True
    )

    def tune(self, series: Series, slots: range) -> Smoothing:
        """Choose both constants."""
        pairs = itertools.product(self.smoothing, self.rate_smoothing)
        return tuned_smoothing(series, "tsb", [Smoothing(*pair) for pair in pairs], slots)

    def forecaster(self, series: Series, parameters: Smoothing) -> Forecaster:
        """Make the forecaster."""
        return intermittent(series, "tsb", parameters)


def intermittent(series: Series, kind: Kind, constants: Smoothing) -> Forecaster:
    """Size of a movie's requests times how often it has some, as shares: see :func:`_walk_demand`."""
    demand_before = _LatestDemand(series, kind, constants)
    powers = _powers(series, [constants.rate_smoothing])

    def forecast(slot: int, movies: Ints) -> Floats:
        sizes, rates = demand_before(slot).take(movies, axis=0).T
        demand: Floats = sizes * rates
        if kind == "tsb":
            # As of the movie requested last: after a long silence all would vanish.
            last = series.latest_slots(movies, slot)
            demand *= powers[last.max(initial=0) - last, 0]
        shares: Floats = demand / max(demand.sum(), 1e-300)
        return shares

    return forecast


def tuned_smoothing(series: Series, kind: Kind, options: Sequence[Smoothing], slots: range) -> Smoothing:
    """Choose the constants of :func:`intermittent` that have the lowest cross entropy on these slots."""
    sizes = sorted({option.smoothing for option in options})
    rates = sorted({option.rate_smoothing for option in options})
    by_size = np.array([sizes.index(option.smoothing) for option in options])
    by_rate = np.array([rates.index(option.rate_smoothing) for option in options])
    losses = np.zeros(len(options))
    for demand in _walk_demand(series, kind, sizes, rates):
        if demand.slot >= slots.stop:
            break
        if demand.slot in slots and demand.known.any():
            size, rate = (values[demand.known] for values in demand.before)
            shares = size[:, by_size] * rate[:, by_rate] / demand.sums[by_size, by_rate]
            labels = series.label[demand.elements[demand.known]]
            losses += labels @ request_losses(shares, demand.candidates)
    return options[int(np.argmin(losses))]


@dataclass(frozen=True)
class _Demand:
    """The demand for the movies that are requested in a slot.

    Attributes
    ----------
    slot, elements
        The slot, and its elements of the series, int [n].
    known
        bool [n], whether the movie was requested before.
    before
        Smoothed sizes [n, size constants] and rates [n, rate constants] of the movies before the slot, as
        of the latest earlier one that has requests; 0 where the movie is not known.
    after
        The same after the slot, as of it.
    sums
        [size constants, rate constants], sizes times rates of all movies, as ``before``.
    candidates
        Number of movies that were requested before.
    """

    slot: int
    elements: Ints
    known: npt.NDArray[np.bool_]
    before: tuple[Floats, Floats]
    after: tuple[Floats, Floats]
    sums: Floats
    candidates: int


class _LatestDemand:
    """Size and rate of each movie as of its latest request before a slot, carried from slot to slot."""

    def __init__(self, series: Series, kind: Kind, constants: Smoothing) -> None:
        self._series = series
        self._kind = kind
        self._constants = constants
        self._begin()

    def _begin(self) -> None:
        self._slot = self._series.first_slot
        self._states = np.zeros((len(self._series.movie_ids), 2))
        smoothing = [self._constants.smoothing], [self._constants.rate_smoothing]
        self._walk = _walk_demand(self._series, self._kind, *smoothing)
        self._next = next(self._walk, None)

    def __call__(self, slot: int) -> Floats:
        """Compute them, [M, 2]; 0 for movies without a request so far. Not to be changed."""
        if slot < self._slot:
            self._begin()
        self._slot = slot
        while self._next is not None and self._next.slot < slot:
            self._states[self._series.movie[self._next.elements]] = np.hstack(self._next.after)
            self._next = next(self._walk, None)
        return self._states


def _walk_demand(
    series: Series, kind: Kind, size_smoothing: Sequence[float], rate_smoothing: Sequence[float]
) -> Iterator[_Demand]:
    """Walk the slots that have requests, smoothing each movie's demand as for intermittent series.

    The size of a movie's requests is smoothed over the slots in which it has some. With ``croston`` so
    are the slots from one of them to the next, whose inverse is the rate (Croston 1972, "Forecasting and
    stock control for intermittent demands"); with ``tsb`` the rate is the smoothed share of slots with a
    request, so that it falls while there is none (Teunter, Syntetos and Babai 2011, "Intermittent
    demand: linking forecasting to inventory obsolescence"). A movie's series begins with the log, and
    what is smoothed with its first value.
    """
    alpha, beta = np.array(size_smoothing), np.array(rate_smoothing)
    powers = _powers(series, beta if kind == "tsb" else np.zeros(len(beta)))
    # As of each movie's latest request: a slot is no work but for the movies requested in it.
    sizes = np.zeros((len(series.movie_ids), len(alpha)))
    # Rates, or with croston intervals.
    paces = np.zeros((len(series.movie_ids), len(beta)))
    sums = np.zeros((len(alpha), len(beta)))
    candidates, previous = 0, series.first_slot
    for elements in series.elements_by_slot():
        slot, movies = int(series.slot[elements[0]]), series.movie[elements]
        known = series.starts[movies] < elements
        latest = np.where(known, series.slot[elements - 1], series.first_slot - 1)
        fallen, new = powers[slot - previous], ~known[:, None]
        counts = series.label[elements, None]
        size, pace = sizes.take(movies, axis=0), paces.take(movies, axis=0)
        sizes[movies] = smoothed = np.where(new, counts, size + alpha * (counts - size))
        if kind == "croston":
            interval = (slot - latest)[:, None]
            rate = np.where(new, 0.0, 1 / np.where(new, 1.0, pace))
            paces[movies] = paced = np.where(new, interval, pace + beta * (interval - pace))
            after = 1 / paced
        else:
            rate = pace * powers.take(np.maximum(previous - latest, 0), axis=0)
            after = rate * fallen + (1.0 if slot == series.first_slot else beta)
            paces[movies] = after
        yield _Demand(slot, elements, known, (size, rate), (smoothed, after), sums, candidates)
        sums = (sums - size.T @ rate) * fallen + smoothed.T @ after
        candidates += int(new.sum())
        previous = slot


def _powers(series: Series, smoothing: Sequence[float] | Floats) -> Floats:
    """Compute what is left of rates after 0, 1, … slots without a request, [slots + 1, constants]."""
    powers: Floats = (1 - np.asarray(smoothing)) ** np.arange(len(series.totals) + 1)[:, None]
    return powers
