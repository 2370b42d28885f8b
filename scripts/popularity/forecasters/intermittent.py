"""Forecasts for intermittent demand: how much is requested, times how often something is."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np

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
    states = np.zeros((len(series.slot), 2))
    elements: Ints = np.zeros(0, dtype=np.int64)
    for _, coming, sizes, rates in _walk_demand(
        series, kind, [constants.smoothing], [constants.rate_smoothing]
    ):
        movies = series.movie[elements]
        states[elements] = np.hstack([sizes[movies], rates[movies]])
        elements = coming

    def forecast(slot: int, movies: Ints) -> Floats:
        last = series.elements_before(movies, slot) - 1
        sizes, rates = states[last].T
        if kind == "tsb":
            # As of the movie requested last: after a long silence all would vanish.
            idle = series.slot[last].max(initial=0) - series.slot[last]
            rates = rates * (1 - constants.rate_smoothing) ** idle
        shares: Floats = sizes * rates / max((sizes * rates).sum(), 1e-300)
        return shares

    return forecast


def tuned_smoothing(series: Series, kind: Kind, options: Sequence[Smoothing], slots: range) -> Smoothing:
    """Choose the constants of :func:`intermittent` that have the lowest cross entropy on these slots."""
    sizes = sorted({option.smoothing for option in options})
    rates = sorted({option.rate_smoothing for option in options})
    by_size = np.array([sizes.index(option.smoothing) for option in options])
    by_rate = np.array([rates.index(option.rate_smoothing) for option in options])
    losses = np.zeros(len(options))
    for slot, elements, size, rate in _walk_demand(series, kind, sizes, rates):
        known = elements[size[series.movie[elements], 0] > 0]
        if slot not in slots or not len(known):
            continue
        # The rates as of the last slot with a request: shares are the same.
        candidates = int((size[:, 0] > 0).sum())
        sums = (size.T @ rate)[by_size, by_rate]
        movies = series.movie[known]
        shares = size[movies][:, by_size] * rate[movies][:, by_rate] / sums
        losses += series.label[known] @ request_losses(shares, candidates)
    return options[int(np.argmin(losses))]


def _walk_demand(
    series: Series, kind: Kind, size_smoothing: Sequence[float], rate_smoothing: Sequence[float]
) -> Iterator[tuple[int, Ints, Floats, Floats]]:
    """Walk the slots that have requests, smoothing each movie's demand as for intermittent series.

    The size of a movie's requests is smoothed over the slots in which it has some. With ``croston`` so
    are the slots from one of them to the next, whose inverse is the rate (Croston 1972, "Forecasting and
    stock control for intermittent demands"); with ``tsb`` the rate is the smoothed share of slots with a
    request, so that it falls while there is none (Teunter, Syntetos and Babai 2011, "Intermittent
    demand: linking forecasting to inventory obsolescence"). A movie's series begins with the log, and
    what is smoothed with its first value.

    Yields
    ------
    A slot, its elements, and before it the sizes [M, size constants] and rates [M, rate constants], 0
    for movies without a request so far, which are not to be changed; at last without elements.
    """
    first, alpha, beta = series.first_slot, np.array(size_smoothing), np.array(rate_smoothing)
    sizes = np.zeros((len(series.movie_ids), len(alpha)))
    rates = np.zeros((len(series.movie_ids), len(beta)))
    intervals = np.zeros_like(rates)
    latest = np.full(len(series.movie_ids), first - 1)
    previous = first
    for elements in series.elements_by_slot():
        slot, movies = int(series.slot[elements[0]]), series.movie[elements]
        yield slot, elements, sizes, rates
        counts = series.label[elements, None]
        new = sizes[movies, :1] == 0
        sizes[movies] = np.where(new, counts, sizes[movies] + alpha * (counts - sizes[movies]))
        if kind == "croston":
            interval = (slot - latest[movies])[:, None]
            smoothed = intervals[movies] + beta * (interval - intervals[movies])
            intervals[movies] = np.where(new, interval, smoothed)
            rates[movies] = 1 / intervals[movies]
        else:
            rates *= (1 - beta) ** (slot - previous)
            rates[movies] += 1.0 if slot == first else beta
        latest[movies] = previous = slot
    yield series.last_slot + 1, np.zeros(0, dtype=np.int64), sizes, rates
