"""Exponentially weighted averages of counts, one or a mix of two."""

import itertools
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from popularity.averages import (
    UNIFORM_SHARE,
    DecayedShares,
    decayed_totals,
    requested_with_decayed_sums,
)
from popularity.decay import Decay
from popularity.forecasters.base import Floats, Forecaster, Method, SimpleMethod, register
from popularity.offsets import Average, Mixture
from popularity.scoring.cross_entropy import request_losses
from popularity.series import Ints, Series
from popularity.settings.fields import Limits, setting

HalfLives = tuple[Annotated[float, Limits(minimum=0.01, maximum=1_000_000)], ...]
Shares = tuple[Annotated[float, Limits(above=0, below=1)], ...]


@dataclass(frozen=True)
class HalfLife:
    """The half-life of an average, in slots."""

    half_life: float


class OffsetMethod(Method):
    """A method that a network or a learned baseline may start from."""

    @abstractmethod
    def offset(self, series: Series, slots: range) -> Mixture:
        """Choose the averages to start from, by the cross entropy of these slots."""


@register("ewma")
@dataclass(frozen=True)
class Ewma(SimpleMethod[HalfLife], OffsetMethod):
    """Exponentially weighted average of counts, part of which is spread evenly over the movies."""

    parameters: ClassVar[type[HalfLife]] = HalfLife

    half_lives: HalfLives = setting("Half-lives in slots to choose from.", length=1, unique=True)
    uniform_share: float = setting(
        "The part that is spread evenly over the movies.", UNIFORM_SHARE, minimum=0, maximum=1
    )

    def average(self, series: Series, slots: range) -> Average:
        """Choose one of the half-lives."""
        options = [Average((half_life,), (1.0,)) for half_life in self.half_lives]
        return tuned_average(series, options, self.uniform_share, slots)

    def offset(self, series: Series, slots: range) -> Mixture:
        """Start from the average of the best half-life."""
        return self.average(series, slots).mixture(self.uniform_share)

    def tune(self, series: Series, slots: range) -> HalfLife:
        """Choose the half-life."""
        return HalfLife(self.average(series, slots).half_lives[0])

    def forecaster(self, series: Series, parameters: HalfLife) -> Forecaster:
        """Make the forecaster."""
        return average_forecaster(series, Average((parameters.half_life,), (1.0,)), self.uniform_share)


@register("ewma_mix")
@dataclass(frozen=True)
class EwmaMix(SimpleMethod[Average], OffsetMethod):
    """Weighted sum of two exponentially weighted averages, a short and a long one."""

    parameters: ClassVar[type[Average]] = Average

    short: HalfLives = setting(
        "Half-lives in slots of the shorter average to choose from.",
        length=1,
        unique=True,
        some_below="long",
    )
    long: HalfLives = setting(
        "Half-lives in slots of the longer average to choose from.", length=1, unique=True
    )
    weights: Shares = setting(
        "Weights of the shorter average to choose from; the longer has the rest.", length=1, unique=True
    )
    uniform_share: float = setting(
        "The part that is spread evenly over the movies.", UNIFORM_SHARE, minimum=0, maximum=1
    )

    def average(self, series: Series, slots: range) -> Average:
        """Choose a mix, of those whose short half-life is below the long one."""
        pairs = [pair for pair in itertools.product(self.short, self.long) if pair[0] < pair[1]]
        options = [Average(pair, (w, round(1 - w, 12))) for pair in pairs for w in self.weights]
        return tuned_average(series, options, self.uniform_share, slots)

    def offset(self, series: Series, slots: range) -> Mixture:
        """Start from the best mix."""
        return self.average(series, slots).mixture(self.uniform_share)

    def tune(self, series: Series, slots: range) -> Average:
        """Choose the half-lives and their weights."""
        return self.average(series, slots)

    def forecaster(self, series: Series, parameters: Average) -> Forecaster:
        """Make the forecaster."""
        return average_forecaster(series, parameters, self.uniform_share)


def average_forecaster(
    series: Series, average: Average, uniform_share: float = UNIFORM_SHARE
) -> Forecaster:
    """Forecast by a weighted sum of averages: see :class:`popularity.averages.DecayedShares`."""
    shares = DecayedShares(series, average.half_lives)
    weights = np.asarray(average.weights, dtype=np.float64)

    def forecast(slot: int, movies: Ints) -> Floats:
        size = len(movies)
        return shares(movies, np.full(size, slot), np.full(size, float(size)), uniform_share) @ weights

    return forecast


def tuned_average(
    series: Series, options: Sequence[Average], uniform_share: float, slots: range
) -> Average:
    """Choose the average of the lowest cross entropy on these slots.

    Parameters
    ----------
    options
        Averages to choose from.
    uniform_share
        Part of each that is spread evenly over the candidates.
    """
    half_lives = sorted({half_life for option in options for half_life in option.half_lives})
    # One column of weights for each option.
    weights = np.zeros((len(half_lives), len(options)))
    for at, option in enumerate(options):
        rows = [half_lives.index(half_life) for half_life in option.half_lives]
        weights[rows, at] = option.weights
    losses = np.zeros(len(options))
    for counts, averages, size in requested_averages(series, half_lives, slots):
        predicted = (1 - uniform_share) * averages @ weights + uniform_share / size
        losses += counts @ request_losses(predicted, size)
    return options[int(np.argmin(losses))]


def requested_averages(
    series: Series, half_lives: Sequence[float], slots: range
) -> Iterator[tuple[Floats, Floats, int]]:
    """Walk the requested candidates of each of the slots, holding no more than a number a movie.

    Yields
    ------
    Their counts [n], their average shares [n, half-lives] before the slot and without any part spread
    evenly, and the number of all candidates of the slot.
    """
    requested = series.requested_slots(range(series.first_slot, slots.stop))
    totals = decayed_totals(series.requests(requested), requested, half_lives)
    decay = Decay(half_lives, len(series.totals))
    first_request = np.sort(series.first_request)
    for slot, elements, sums, since in requested_with_decayed_sums(series, "counts", half_lives):
        if slot >= slots.stop:
            return
        if slot not in slots:
            continue
        known = series.slot[series.starts[series.movie[elements]]] < slot
        if known.any():
            # As of the latest slot with requests: after a long silence both sums would vanish.
            latest = np.searchsorted(requested, slot) - 1
            averages = sums[known] * decay(requested[latest] - since[known]) / totals[latest]
            size = int(np.searchsorted(first_request, slot))
            yield series.label[elements[known]].astype(np.float64), averages, size
